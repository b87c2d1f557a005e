namespace IotHub.Broker.Transport;

/// <summary>
/// Bytes on their way to one socket: what is being sent, and what has come meanwhile. Appending and swapping happen under the lane's
/// lock; the send itself outside of it, so a slow socket holds nobody up. An empty outbox owns no buffer.
/// </summary>
/// <remarks>
/// Bytes that tell of something that is not on disk yet are held, and all that comes behind them: <see cref="Hold"/> before they are
/// written, <see cref="Seal"/> when the commit that covers them begins, <see cref="Release"/> when it has ended.
/// Invariants: <see cref="Sending"/> is non-null exactly while <see cref="IsSending"/>; 0 &lt;= sendable &lt;= next &lt;= pending bytes.
/// </remarks>
public sealed class Outbox(BufferPool pool)
{
    private byte[]? _pending;

    /// <summary>While held: bytes before the first that waits.</summary>
    private int _sendable;

    /// <summary>A commit that covers the first that waits is under way.</summary>
    private bool _isSealed;

    /// <summary>While sealed: bytes before the first that waits for the commit behind that one; -1 when there are none.</summary>
    private int _next = -1;

    /// <summary>Pending bytes that may go out now.</summary>
    public int SendableBytes => IsHeld ? _sendable : PendingBytes;

    /// <summary>Some bytes wait for a commit.</summary>
    public bool IsHeld { get; private set; }

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

    /// <summary>What is written from here on waits until it is released.</summary>
    public void Hold()
    {
        if (!IsHeld)
        {
            (IsHeld, _sendable, _isSealed, _next) = (true, PendingBytes, false, -1);
        }
        else if (_isSealed && _next < 0)
        {
            _next = PendingBytes;
        }
    }

    /// <summary>The commit that begins now covers all that is held so far.</summary>
    public void Seal() => (_isSealed, _next) = (IsHeld, -1);

    /// <summary>That commit is on disk: what does not wait for another may go.</summary>
    public void Release()
    {
        if (!_isSealed)
        {
            return;
        }
        IsHeld = _next >= 0;
        (_sendable, _isSealed, _next) = (Math.Max(_next, 0), false, -1);
    }

    /// <summary>Nothing is recorded that could be waited for.</summary>
    public void ReleaseAll() => (IsHeld, _sendable, _isSealed, _next) = (false, 0, false, -1);

    /// <summary>Makes what may go out the bytes to send. Only when nothing is being sent and something may.</summary>
    public void BeginSend()
    {
        var held = PendingBytes - SendableBytes;
        (Sending, SendingBytes) = (_pending, SendableBytes);
        _pending = null;
        if (held > 0)
        {
            _pending = pool.Rent(held);
            Sending.AsSpan(SendingBytes, held).CopyTo(_pending);
        }
        (_sendable, _next) = (0, _next < 0 ? -1 : _next - SendingBytes);
        PendingBytes = held;
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
        ReleaseAll();
    }
}
