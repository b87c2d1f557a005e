namespace IotHub.Broker.Transport;

/// <summary>The unfinished end of what a client has sent. Grows with what has come, never with what was announced.</summary>
public sealed class InboundBuffer(BufferPool pool)
{
    private byte[]? _bytes;

    public int Length { get; private set; }
    public ReadOnlySpan<byte> Span => _bytes.AsSpan(0, Length);

    public void Append(ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty)
        {
            return;
        }
        if (_bytes is null || _bytes.Length - Length < data.Length)
        {
            var larger = pool.Rent(Length + data.Length);
            Span.CopyTo(larger);
            Release();
            _bytes = larger;
        }
        data.CopyTo(_bytes.AsSpan(Length));
        Length += data.Length;
    }

    /// <summary>Drops the first <paramref name="count"/> bytes; an empty buffer goes back to the pool.</summary>
    public void Consume(int count)
    {
        Length -= count;
        if (Length == 0)
        {
            Release();
        }
        else if (count > 0)
        {
            _bytes.AsSpan(count, Length).CopyTo(_bytes);
        }
    }

    public void Clear()
    {
        Length = 0;
        Release();
    }

    private void Release()
    {
        if (_bytes is not null)
        {
            pool.Return(_bytes);
            _bytes = null;
        }
    }
}
