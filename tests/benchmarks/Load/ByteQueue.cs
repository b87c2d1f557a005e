namespace IotHub.Benchmarks.Load;

/// <summary>Bytes that go in at the end and out at the front; the array grows and is kept.</summary>
internal sealed class ByteQueue
{
    private byte[] _bytes = [];
    private int _start;
    private int _end;

    public int Length => _end - _start;
    public ReadOnlySpan<byte> Span => _bytes.AsSpan(_start, Length);

    /// <summary>Room for so many bytes at the end; they count as filled.</summary>
    public Span<byte> Take(int size)
    {
        if (_end + size > _bytes.Length)
        {
            var target = Length + size > _bytes.Length ? new byte[Math.Max(Length + size, Math.Max(256, _bytes.Length * 2))] : _bytes;
            Span.CopyTo(target);
            (_bytes, _end, _start) = (target, Length, 0);
        }
        _end += size;
        return _bytes.AsSpan(_end - size, size);
    }

    public void Append(ReadOnlySpan<byte> data) => data.CopyTo(Take(data.Length));

    public void Consume(int count)
    {
        _start += count;
        if (_start == _end)
        {
            _start = _end = 0;
        }
    }
}
