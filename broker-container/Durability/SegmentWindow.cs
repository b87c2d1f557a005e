using System.Buffers.Binary;

namespace IotHub.Broker.Durability;

/// <summary>Reads a segment forward through one buffer, which grows only to what one commit needs.</summary>
internal sealed class SegmentWindow
{
    private const int Ahead = 1024 * 1024;

    private byte[] _bytes = new byte[Ahead];
    private ISegment? _segment;
    private long _offset;
    private int _count;

    /// <summary>Nothing behind it is looked at.</summary>
    public long End { get; private set; }

    public void Open(ISegment segment, long end)
    {
        _segment = segment;
        _offset = _count = 0;
        End = end;
        if (_bytes.Length > 8 * Ahead)
        {
            _bytes = new byte[Ahead];
        }
    }

    /// <summary>The bytes at an offset, fewer only at the end; valid until the next call.</summary>
    /// <param name="keepFrom">Bytes from here on are to be kept: they are asked for again.</param>
    public ReadOnlySpan<byte> Get(long offset, int size, long keepFrom)
    {
        size = (int)Math.Min(size, End - offset);
        if (size <= 0)
        {
            return [];
        }
        if (offset < _offset || offset + size > _offset + _count)
        {
            Fill(Math.Min(keepFrom, offset), offset + size);
        }
        var at = (int)(offset - _offset);
        return _bytes.AsSpan(at, Math.Min(size, Math.Max(0, _count - at)));
    }

    /// <summary>Offset behind the last byte that is not zero, at least <paramref name="from"/>.</summary>
    public long EndOfBytes(long from)
    {
        var end = from;
        for (var offset = from; offset < End;)
        {
            var bytes = Get(offset, Ahead, offset);
            end = bytes.LastIndexOfAnyExcept((byte)0) is var at and >= 0 ? offset + at + 1 : end;
            offset += Math.Max(1, bytes.Length);
        }
        return end;
    }

    /// <returns>Offset, at a multiple of 8 behind <paramref name="from"/> or there, of a word; or -1.</returns>
    public long Find(uint word, long from)
    {
        Span<byte> pattern = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(pattern, word);
        while (from < End)
        {
            var bytes = Get(from, Ahead, from);
            var at = bytes.IndexOf(pattern);
            if (at >= 0 && (from + at) % 8 == 0)
            {
                return from + at;
            }
            // A word may lie across the edge of what was read.
            from += at >= 0 ? at + 1 : Math.Max(1, bytes.Length - (sizeof(uint) - 1));
        }
        return -1;
    }

    private void Fill(long from, long to)
    {
        if (from >= _offset && from < _offset + _count)
        {
            _bytes.AsSpan((int)(from - _offset), (int)(_offset + _count - from)).CopyTo(_bytes);
            _count -= (int)(from - _offset);
        }
        else
        {
            _count = 0;
        }
        _offset = from;
        var wanted = Math.Max(to, Math.Min(End, from + Ahead)) - from;
        if (wanted > _bytes.Length)
        {
            Array.Resize(ref _bytes, (int)Math.Min(Math.Max(wanted, 2L * _bytes.Length), Array.MaxLength));
        }
        while (_count < wanted)
        {
            var read = _segment!.Read(_offset + _count, _bytes.AsSpan(_count, (int)(Math.Min(_bytes.Length, End - from) - _count)));
            if (read == 0)
            {
                break;
            }
            _count += read;
        }
    }
}
