namespace IotHub.Broker.Transport;

/// <summary>
/// Bytes on their way to one socket: what is being sent, and what has come meanwhile. Appending and swapping happen under the lane's
/// lock; the send itself outside of it, so a slow socket holds nobody up. An empty outbox owns no buffer.
/// </summary>
/// <remarks>Invariant: <see cref="Sending"/> is non-null exactly while <see cref="IsSending"/>.</remarks>
public sealed class Outbox(BufferPool pool)
{
    private byte[]? _pending;

    public int PendingBytes { get; private set; }

    /// <summary>Packets written since the connection was last asked; each is taken room for once.</summary>
    public int Packets { get; set; }
    public byte[]? Sending { get; private set; }
    public int SendingBytes { get; private set; }
    public bool IsSending => Sending is not null;
    public bool IsEmpty => PendingBytes == 0 && !IsSending;

    /// <summary>Room for <paramref name="size"/> bytes at the end; it counts as filled.</summary>
    public Span<byte> Take(int size)
    {
        if (_pending is null)
        {
            _pending = pool.Rent(size);
        }
        else if (_pending.Length - PendingBytes < size)
        {
            var larger = pool.Rent(Math.Max(PendingBytes + size, _pending.Length * 2));
            _pending.AsSpan(0, PendingBytes).CopyTo(larger);
            pool.Return(_pending);
            _pending = larger;
        }
        var span = _pending.AsSpan(PendingBytes, size);
        PendingBytes += size;
        Packets++;
        return span;
    }

    public void Append(ReadOnlySpan<byte> bytes) => bytes.CopyTo(Take(bytes.Length));

    /// <summary>Makes what is pending the bytes to send. Only when nothing is being sent and something is pending.</summary>
    public void BeginSend()
    {
        (Sending, SendingBytes) = (_pending, PendingBytes);
        (_pending, PendingBytes) = (null, 0);
    }

    public void EndSend()
    {
        if (Sending is not null)
        {
            pool.Return(Sending);
        }
        (Sending, SendingBytes) = (null, 0);
    }

    /// <summary>Gives the pending buffer back; what is being sent is given back by <see cref="EndSend"/>.</summary>
    public void Discard()
    {
        if (_pending is not null)
        {
            pool.Return(_pending);
        }
        (_pending, PendingBytes) = (null, 0);
    }
}
