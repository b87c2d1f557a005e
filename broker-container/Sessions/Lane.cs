using IotHub.Broker.Telemetry;

namespace IotHub.Broker.Sessions;

/// <summary>
/// Everything of the hubs that hash to one shard happens here, one step at a time: a state machine under one lock, entered once per batch
/// of packets. What a step wants to say to clients lies in their outboxes when it ends; <see cref="Leave"/> sends it after the
/// lock is released, one send per client.
/// </summary>
public sealed partial class Lane
{
    private readonly Lock _gate = new();
    private readonly long _start;
    private readonly Action _sendReleased;
    private readonly Stack<List<Connection>> _spareLists = new();
    private List<Connection> _dirty = new();
    private long _nextTimer = long.MaxValue;
    private long _nextLook = long.MaxValue;

    public Lane(MqttBroker broker, int index)
    {
        (Broker, Index) = (broker, index);
        _start = broker.Time.GetTimestamp();
        _sendReleased = SendReleased;
    }

    public MqttBroker Broker { get; }
    public int Index { get; }
    public Dictionary<Guid, Hub> Hubs { get; } = [];
    public HashSet<Connection> Connections { get; } = [];
    public MessagePool Messages { get; } = new();
    public FrameCache Frames { get; } = new();
    public Counters Counters { get; } = new();

    /// <summary>Milliseconds of this lane's clock, as of this step: since the broker started, or since its log was begun. Never goes back.</summary>
    public long Now { get; private set; }

    public void Enter()
    {
        _gate.Enter();
        Now = _startsAt + (long)Broker.Time.GetElapsedTime(_start).TotalMilliseconds;
    }

    /// <summary>Ends the step and sends what it left in outboxes.</summary>
    public void Leave()
    {
        ReleaseIfNothingIsRecorded();
        var sends = TakeDirty();
        Exit();
        while (sends is not null)
        {
            foreach (var connection in sends)
            {
                connection.SentAtOnce = connection.Channel.Send(
                    connection.Outbox.Sending!, connection.Outbox.SendingBytes, connection.SentLater);
            }
            Enter();
            foreach (var connection in sends)
            {
                if (connection.SentAtOnce)
                {
                    Sent(connection);
                }
            }
            sends.Clear();
            _spareLists.Push(sends);
            ReleaseIfNothingIsRecorded();
            sends = TakeDirty();
            Exit();
        }
    }

    private void Exit()
    {
        var wantsCommit = WantsCommit;
        _gate.Exit();
        if (wantsCommit)
        {
            _committer?.Wake();
        }
    }

    /// <summary>This connection has something to send when the step ends.</summary>
    public void MarkDirty(Connection connection)
    {
        if (!connection.IsDirty)
        {
            connection.IsDirty = true;
            _dirty.Add(connection);
        }
    }

    /// <summary>The socket has taken all that was given to it.</summary>
    public void Sent(Connection connection)
    {
        connection.Outbox.EndSend();
        connection.Session?.Hub.Pump(connection.Session);
        if (connection.Outbox.SendableBytes > 0)
        {
            MarkDirty(connection);
        }
        else
        {
            connection.CloseIfDrained();
        }
    }

    /// <summary>Something of this lane is due then; the timer step will look.</summary>
    public void WakeAt(long due) => _nextTimer = Math.Min(_nextTimer, due);

    /// <summary>A connection of this lane may have to be ended then: until the earliest of them nobody is looked at.</summary>
    public void LookAt(long due) => _nextLook = Math.Min(_nextLook, due);

    /// <summary>The timer step: keep-alive, closing connections that do not drain, wills and sessions that are due.</summary>
    public void Tick()
    {
        Enter();
        try
        {
            if (_nextLook < Now)
            {
                EndOverdue();
            }
            if (_nextTimer <= Now)
            {
                _nextTimer = long.MaxValue;
                foreach (var hub in Hubs.Values)
                {
                    hub.EndDue(Now);
                }
            }
            OfferAgain();
            _isCommitDue = Journal is { Log.HasPending: true };
        }
        finally
        {
            Leave();
        }
    }

    // A crowd of idle connections costs one look at each in half a keep-alive, not one at every tick.
    private void EndOverdue()
    {
        _nextLook = long.MaxValue;
        List<Connection> overdue = [];
        foreach (var connection in Connections)
        {
            LookAt(connection.DueAt);
            if (connection.DueAt < Now)
            {
                overdue.Add(connection);
            }
        }
        foreach (var connection in overdue)
        {
            connection.EndOverdue();
        }
    }

    private List<Connection>? TakeDirty()
    {
        if (_dirty.Count == 0)
        {
            return null;
        }
        var taken = _dirty;
        _dirty = _spareLists.TryPop(out var spare) ? spare : new List<Connection>();
        var kept = 0;
        for (var i = 0; i < taken.Count; i++)
        {
            var connection = taken[i];
            connection.IsDirty = false;
            if (!connection.Outbox.IsSending && connection.Outbox.SendableBytes > 0)
            {
                connection.Outbox.BeginSend();
                taken[kept++] = connection;
            }
        }
        taken.RemoveRange(kept, taken.Count - kept);
        if (kept > 0)
        {
            return taken;
        }
        _spareLists.Push(taken);
        return null;
    }
}
