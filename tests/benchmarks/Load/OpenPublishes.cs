using System.Numerics;

namespace IotHub.Benchmarks.Load;

/// <summary>Packet ids of a publisher that wait for their last acknowledgement, at most a window of them.</summary>
internal sealed class OpenPublishes(int window)
{
    // Twice the window, so that an id that is late seldom stands in the way of the next ones.
    private readonly ushort[] _ids = new ushort[BitOperations.RoundUpToPowerOf2((uint)window * 2)];
    private readonly long[] _begunAt = new long[BitOperations.RoundUpToPowerOf2((uint)window * 2)];
    private int _window = window;
    private int _count;
    private ushort _last;

    public bool HasRoom => _count < _window;

    /// <summary>What the broker's Receive Maximum allows, where that is less.</summary>
    public void Limit(int receiveMaximum) => _window = Math.Min(_window, receiveMaximum);

    public ushort Begin(long now)
    {
        do
        {
            _last++;
        }
        while (_last == 0 || _ids[_last & (_ids.Length - 1)] != 0);
        _ids[_last & (_ids.Length - 1)] = _last;
        _begunAt[_last & (_ids.Length - 1)] = now;
        _count++;
        return _last;
    }

    /// <returns>False for an id that is not open.</returns>
    public bool End(ushort id, out long begunAt)
    {
        ref var slot = ref _ids[id & (_ids.Length - 1)];
        begunAt = _begunAt[id & (_ids.Length - 1)];
        if (slot != id)
        {
            return false;
        }
        slot = 0;
        _count--;
        return true;
    }
}
