using System.Numerics;

namespace IotHub.Broker.Transport;

/// <summary>
/// Byte blocks of 4 KB to 1 MB in free lists by power of two. <c>ArrayPool.Shared</c> keeps too few per size: with hundreds of
/// receivers holding one block each it allocates anew on every batch. What is larger than 1 MB is left to the collector.
/// </summary>
public sealed class BufferPool(int blocksPerSize = 1024)
{
    public const int SmallestBlock = 4 * 1024;
    private const int Sizes = 9;
    private const int LargestBlock = SmallestBlock << (Sizes - 1);

    private readonly Lock _gate = new();
    private readonly Stack<byte[]>[] _free = Enumerable.Range(0, Sizes).Select(_ => new Stack<byte[]>()).ToArray();

    public byte[] Rent(int minimumSize)
    {
        if (minimumSize > LargestBlock)
        {
            return new byte[BitOperations.RoundUpToPowerOf2((uint)minimumSize)];
        }
        var index = Index(Math.Max(minimumSize, SmallestBlock));
        lock (_gate)
        {
            if (_free[index].TryPop(out var block))
            {
                return block;
            }
        }
        return new byte[SmallestBlock << index];
    }

    public void Return(byte[] block)
    {
        if (block.Length > LargestBlock)
        {
            return;
        }
        var index = Index(block.Length);
        lock (_gate)
        {
            // As many bytes of each size at most: 1024 blocks of 4 KB, 4 of 1 MB.
            if (_free[index].Count < Math.Max(4, blocksPerSize >> index))
            {
                _free[index].Push(block);
            }
        }
    }

    private static int Index(int size) => BitOperations.Log2(BitOperations.RoundUpToPowerOf2((uint)size)) - BitOperations.Log2(SmallestBlock);
}
