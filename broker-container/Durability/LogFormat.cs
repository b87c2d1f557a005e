using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace IotHub.Broker.Durability;

/// <summary>The bytes of a segment, in step with docs/formats/log.md. Everything is little-endian but the store's id.</summary>
internal static class LogFormat
{
    public const uint Version = 1;
    public const int SegmentHeaderBytes = 64;
    public const int BlockHeaderBytes = 48;
    public const int RecordHeaderBytes = 8;
    public const long NoSegment = -1;

    /// <summary>"IOTHUBLG"</summary>
    public const ulong SegmentMagic = 0x474C_4255_4854_4F49;

    /// <summary>"BLOK"</summary>
    public const uint BlockMagic = 0x4B4F_4C42;

    private const int SegmentCrcAt = 60;
    private const int BlockCrcAt = 4;
    private const int BlockChecked = 8;

    public static int Padded(int size) => (size + 7) & ~7;

    /// <summary>What every checksum of a shard begins with: bytes of another shard or store are damage here.</summary>
    public static uint Seed(Guid storeId, int shard)
    {
        Span<byte> bytes = stackalloc byte[20];
        storeId.TryWriteBytes(bytes, bigEndian: true, out _);
        BinaryPrimitives.WriteInt32LittleEndian(bytes[16..], shard);
        return Crc32C.Append(Crc32C.Start, bytes);
    }

    public static void WriteSegmentHeader(Span<byte> into, Guid storeId, int shard, long first, long previous)
    {
        into[..SegmentHeaderBytes].Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(into, SegmentMagic);
        BinaryPrimitives.WriteUInt32LittleEndian(into[8..], Version);
        BinaryPrimitives.WriteInt32LittleEndian(into[12..], shard);
        storeId.TryWriteBytes(into[16..], bigEndian: true, out _);
        BinaryPrimitives.WriteInt64LittleEndian(into[32..], first);
        BinaryPrimitives.WriteInt64LittleEndian(into[40..], previous);
        BinaryPrimitives.WriteUInt32LittleEndian(into[SegmentCrcAt..], Crc32C.Of(into[..SegmentCrcAt]));
    }

    /// <returns>False when these bytes are no segment header at all.</returns>
    public static bool TryReadSegmentHeader(ReadOnlySpan<byte> bytes, out SegmentHeader header)
    {
        header = default;
        if (bytes.Length < SegmentHeaderBytes || BinaryPrimitives.ReadUInt64LittleEndian(bytes) != SegmentMagic
            || BinaryPrimitives.ReadUInt32LittleEndian(bytes[SegmentCrcAt..]) != Crc32C.Of(bytes[..SegmentCrcAt]))
        {
            return false;
        }
        header = new SegmentHeader(
            BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]),
            BinaryPrimitives.ReadInt32LittleEndian(bytes[12..]),
            new Guid(bytes.Slice(16, 16), bigEndian: true),
            BinaryPrimitives.ReadInt64LittleEndian(bytes[32..]),
            BinaryPrimitives.ReadInt64LittleEndian(bytes[40..]));
        return true;
    }

    /// <summary>Writes the header of a block whose body is in place; the checksum covers both.</summary>
    public static void SealBlock(Span<byte> block, uint seed, in BlockHeader header)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(block, BlockMagic);
        BinaryPrimitives.WriteInt32LittleEndian(block[8..], header.BodyBytes);
        block[12] = (byte)header.Kind;
        block[13] = header.LastOfCommit ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteUInt16LittleEndian(block[14..], 0);
        BinaryPrimitives.WriteInt64LittleEndian(block[16..], header.Position);
        BinaryPrimitives.WriteInt64LittleEndian(block[24..], header.Commit);
        BinaryPrimitives.WriteInt64LittleEndian(block[32..], header.Clock.TimeMs);
        BinaryPrimitives.WriteInt64LittleEndian(block[40..], header.Clock.WallMs);
        BinaryPrimitives.WriteUInt32LittleEndian(block[BlockCrcAt..], BlockChecksum(block[..(BlockHeaderBytes + header.BodyBytes)], seed));
    }

    /// <summary>The header as it stands; only <see cref="BlockIsWhole"/> says that it is true.</summary>
    public static BlockHeader ReadBlockHeader(ReadOnlySpan<byte> bytes) => new(
        BinaryPrimitives.ReadInt32LittleEndian(bytes[8..]),
        (BlockKind)bytes[12],
        bytes[13] == 1,
        BinaryPrimitives.ReadInt64LittleEndian(bytes[16..]),
        BinaryPrimitives.ReadInt64LittleEndian(bytes[24..]),
        new LogClock(BinaryPrimitives.ReadInt64LittleEndian(bytes[32..]), BinaryPrimitives.ReadInt64LittleEndian(bytes[40..])));

    /// <summary>What can be said before the body is read; the length is bounded by the file it stands in.</summary>
    public static bool BlockMayBe(ReadOnlySpan<byte> header, long position, long bytesToTheEnd) =>
        BinaryPrimitives.ReadUInt32LittleEndian(header) == BlockMagic
        && BinaryPrimitives.ReadInt64LittleEndian(header[16..]) == position
        && BinaryPrimitives.ReadInt32LittleEndian(header[8..]) is var body && body >= 0 && body % 8 == 0
        && BlockHeaderBytes + (long)body <= bytesToTheEnd;

    public static bool BlockIsWhole(ReadOnlySpan<byte> block, uint seed) =>
        BinaryPrimitives.ReadUInt32LittleEndian(block[BlockCrcAt..]) == BlockChecksum(block, seed);

    /// <summary>
    /// 24 bits over position, kind, length and body, so that one record read back alone is checked too; the block's checksum
    /// is the stronger one, and recovery uses that.
    /// </summary>
    public static uint RecordCheck(uint seed, long position, byte kind, ReadOnlySpan<byte> body)
    {
        var crc = BitOperations.Crc32C(seed, (ulong)position);
        crc = BitOperations.Crc32C(crc, (uint)body.Length | ((ulong)kind << 32));
        return Crc32C.Finish(Crc32C.Append(crc, body)) & 0xFF_FFFF;
    }

    public static void WriteRecordCheck(Span<byte> record, uint check)
    {
        record[5] = (byte)check;
        record[6] = (byte)(check >> 8);
        record[7] = (byte)(check >> 16);
    }

    public static uint ReadRecordCheck(ReadOnlySpan<byte> record) => record[5] | ((uint)record[6] << 8) | ((uint)record[7] << 16);

    private static uint BlockChecksum(ReadOnlySpan<byte> block, uint seed) => Crc32C.Finish(Crc32C.Append(seed, block[BlockChecked..]));
}

/// <param name="Previous">First position of the segment before it, or <see cref="LogFormat.NoSegment"/>.</param>
internal readonly record struct SegmentHeader(uint Version, int Shard, Guid StoreId, long First, long Previous);

/// <summary>Stored: may only grow.</summary>
internal enum BlockKind : byte
{
    Records = 0,

    /// <summary>Stands where a repair gave bytes up.</summary>
    Gap = 1,
}

/// <param name="Commit">Position of the first block of its commit: a commit counts whole or not at all.</param>
internal readonly record struct BlockHeader(int BodyBytes, BlockKind Kind, bool LastOfCommit, long Position, long Commit, LogClock Clock)
{
    public long End => Position + LogFormat.BlockHeaderBytes + BodyBytes;
}

/// <summary>CRC-32C (Castagnoli) by the processor's instruction, eight bytes a step.</summary>
internal static class Crc32C
{
    public const uint Start = uint.MaxValue;

    public static uint Of(ReadOnlySpan<byte> bytes) => Finish(Append(Start, bytes));

    public static uint Finish(uint state) => ~state;

    public static uint Append(uint state, ReadOnlySpan<byte> bytes)
    {
        ref var at = ref MemoryMarshal.GetReference(bytes);
        var i = 0;
        for (; i <= bytes.Length - 8; i += 8)
        {
            var word = Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref at, i));
            state = BitOperations.Crc32C(state, BitConverter.IsLittleEndian ? word : BinaryPrimitives.ReverseEndianness(word));
        }
        for (; i < bytes.Length; i++)
        {
            state = BitOperations.Crc32C(state, bytes[i]);
        }
        return state;
    }
}
