using System.Net;

namespace IotHub.Broker.Transport;

/// <summary>
/// One client of an <see cref="EpollLoop"/>. Anyone may send and ask for the end; everything else happens on the loop's thread.
/// </summary>
/// <remarks>
/// The descriptor is closed when its last user lets go of it: the loop, or a send that was under way when the loop did. So no thread
/// ever writes to a number that belongs to another client by then.
/// </remarks>
internal sealed class EpollChannel(EpollLoop loop, int descriptor, uint generation) : Channel
{
    private int _users = 1;
    private int _isClosing;
    private Rest? _rest;
    private uint _watched;
    private bool _isEnded;
    private bool _isReceiving;
    private bool _isDeaf;

    public int Descriptor => descriptor;

    /// <summary>Tells this client from an earlier one with the same descriptor, of which news may still be on its way.</summary>
    public uint Generation => generation;

    /// <summary>Set once the broker has taken the client in.</summary>
    public Connection Connection { get; set; } = null!;

    public override bool HasUnsent => _rest is not null || base.HasUnsent;

    public override IPEndPoint? RemoteAddress
    {
        get
        {
            if (!TryUse())
            {
                return null;
            }
            var peer = EpollCalls.PeerOf(descriptor);
            Release();
            return peer;
        }
    }

    public override bool Send(byte[] buffer, int count, Action done)
    {
        if (Volatile.Read(ref _isClosing) != 0 || !TryUse())
        {
            return true;
        }
        var sent = EpollCalls.Send(descriptor, buffer.AsSpan(0, count));
        var isBroken = sent < 0 && !EpollCalls.LastWouldBlock;
        if (isBroken)
        {
            Broke();
        }
        Release();
        return sent == count || isBroken || !loop.SendLater(this, new Rest(buffer, Math.Max(sent, 0), count, done));
    }

    public override void FinishSending()
    {
        if (TryUse())
        {
            var isFinished = EpollCalls.FinishSending(descriptor);
            Release();
            if (!isFinished)
            {
                Close();
            }
        }
    }

    public override void Close()
    {
        if (Interlocked.Exchange(ref _isClosing, 1) == 0)
        {
            loop.EndLater(this);
        }
    }

    /// <summary>The kernel has news. Level-triggered: what is left will be told again, after the other clients had their turn.</summary>
    public void OnReady(uint events)
    {
        if (_rest is not null && (events & ~EpollCalls.Readable) != 0)
        {
            SendRest(_rest);
        }
        if (_isEnded || (events & ~EpollCalls.Writable) == 0)
        {
            return;
        }
        if (_isReceiving)
        {
            // What was read last is not dealt with: nothing of this may be heard until then.
            _isDeaf = true;
            Watch();
            return;
        }
        var read = EpollCalls.Receive(descriptor, loop.Buffer.Span);
        if (read > 0)
        {
            Receive(loop.Buffer[..read]);
        }
        else if (read == 0 || !EpollCalls.LastWouldBlock)
        {
            End();
        }
    }

    /// <summary>The socket was full: the rest goes out as it takes more.</summary>
    public void SendAsItTakes(Rest rest)
    {
        if (_isEnded)
        {
            rest.Done();
            return;
        }
        _rest = rest;
        Watch();
    }

    /// <summary>What was received is dealt with: goes on listening.</summary>
    public void GoOn()
    {
        (_isReceiving, _isDeaf) = (false, false);
        if (_isEnded)
        {
            // Abandoned meanwhile.
            loop.Broker.Disconnected(Connection);
        }
        else if (Volatile.Read(ref _isClosing) != 0)
        {
            End();
        }
        else
        {
            Watch();
        }
    }

    /// <summary>Ends the client, or lets it end when what it sent last is dealt with.</summary>
    public void EndWhenReceived()
    {
        if (!_isReceiving)
        {
            End();
        }
    }

    /// <summary>The loop stops. A client whose bytes are being dealt with is told to the broker after that.</summary>
    public void Abandon()
    {
        if (!_isReceiving)
        {
            End();
        }
        else
        {
            _isEnded = true;
            loop.Forget(this);
            Release();
        }
    }

    /// <summary>Tells the kernel what to look out for, if that has changed.</summary>
    public void Watch()
    {
        var wanted = (_isDeaf ? 0 : EpollCalls.Readable) | (_rest is null ? 0 : EpollCalls.Writable);
        if (wanted == _watched)
        {
            return;
        }
        // Without anything to look out for it must go: the kernel tells of a broken connection whether asked to or not.
        var operation = wanted == 0 ? EpollCalls.Delete : _watched == 0 ? EpollCalls.Add : EpollCalls.Modify;
        _watched = wanted;
        if (!loop.Control(operation, this, wanted))
        {
            Close();
        }
    }

    private void Receive(ReadOnlyMemory<byte> bytes)
    {
        var received = Connection.Receive(bytes);
        if (!received.IsCompleted)
        {
            _isReceiving = true;
            _ = GoOnAfter(received);
        }
        else if (!received.GetAwaiter().GetResult())
        {
            End();
        }
    }

    private async Task GoOnAfter(ValueTask<bool> received)
    {
        try
        {
            if (!await received.ConfigureAwait(false))
            {
                Volatile.Write(ref _isClosing, 1);
            }
        }
        catch (Exception e)
        {
            loop.Report(e);
            Volatile.Write(ref _isClosing, 1);
        }
        if (!loop.GoOnLater(this))
        {
            loop.Broker.Disconnected(Connection);
        }
    }

    private void SendRest(Rest rest)
    {
        var sent = EpollCalls.Send(descriptor, rest.Bytes);
        if (sent < 0)
        {
            if (EpollCalls.LastWouldBlock)
            {
                return;
            }
            Broke();
            Close();
        }
        else if (rest.Took(sent))
        {
            return;
        }
        _rest = null;
        // It may leave a rest again: then there is nothing to change.
        rest.Done();
        Watch();
    }

    private void End()
    {
        if (_isEnded)
        {
            return;
        }
        _isEnded = true;
        Volatile.Write(ref _isClosing, 1);
        loop.Forget(this);
        try
        {
            loop.Broker.Disconnected(Connection);
        }
        finally
        {
            Release();
            _rest?.Done();
            _rest = null;
        }
    }

    private bool TryUse()
    {
        var users = Volatile.Read(ref _users);
        while (users > 0)
        {
            var seen = Interlocked.CompareExchange(ref _users, users + 1, users);
            if (seen == users)
            {
                return true;
            }
            users = seen;
        }
        return false;
    }

    private void Release()
    {
        if (Interlocked.Decrement(ref _users) == 0)
        {
            EpollCalls.Close(descriptor);
        }
    }

    /// <summary>What a full socket did not take yet, and whom to tell when it has.</summary>
    internal sealed class Rest(byte[] buffer, int sent, int count, Action done)
    {
        private int _sent = sent;

        public ReadOnlySpan<byte> Bytes => buffer.AsSpan(_sent, count - _sent);
        public Action Done => done;

        /// <returns>Is there more?</returns>
        public bool Took(int bytes)
        {
            _sent += bytes;
            return _sent < count;
        }
    }
}
