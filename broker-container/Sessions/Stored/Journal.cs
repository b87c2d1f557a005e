using IotHub.Broker.Durability;
using IotHub.Broker.Protocol.Packets;

namespace IotHub.Broker.Sessions.Stored;

/// <summary>
/// What a lane writes to its log: one method per <see cref="RecordKind"/>. Nothing is on disk when a method returns; what must not be told
/// before it is waits for the commit (see <see cref="Connection.Hold"/>). Touched only under the lane.
/// </summary>
public sealed class Journal(ShardLog log, long nextSession, int pendingBytesMaximum)
{
    /// <summary>Of what the records mean; a broker that finds a higher one refuses to start. 2: retained messages say who published them.</summary>
    public const byte Version = 2;

    private List<Action> _afterCommit = [];
    private List<Action> _committing = [];
    private long _nextSession = nextSession;

    /// <summary>Where the first record will lie that makes the next commit urgent, or lies.</summary>
    private long _urgentFrom = log.NextPosition;

    /// <summary>Where the last record lies that took away a session, a retained message or a hub.</summary>
    private long _lastRemoval = -1;

    public ShardLog Log { get; } = log;

    /// <summary>The stored sessions of the shard by their numbers.</summary>
    public Dictionary<long, Session> Sessions { get; } = [];

    /// <summary>Messages that not all of their routes have, and where their records lie.</summary>
    public Dictionary<(Guid HubId, Guid MessageId), (long Position, OwedRoutes Routes)> Owed { get; } = [];

    /// <summary>Position of the record that says which boot and clock the times in this log go by.</summary>
    public long ClockHome { get; private set; }

    /// <summary>The disk does not take what it is given, or not as fast as it comes: nothing new that has to be kept is accepted.</summary>
    public bool RefusesWork => Log.IsFailing || Log.PendingBytes > pendingBytesMaximum;

    /// <summary>
    /// Something other than <see cref="Done"/> was recorded since the last commit began. That a client has acknowledged a message may wait:
    /// should it be lost in a crash, the client gets the message once more, with DUP, as if its acknowledgement had not arrived.
    /// </summary>
    public bool IsUrgent => Log.NextPosition != _urgentFrom;

    /// <summary>
    /// Something was taken away, and that is not on disk yet. Whoever finds that a thing is not there has nothing to record, and yet must
    /// not tell of it: after a crash it would be there again.
    /// </summary>
    public bool HasUncommittedRemoval => _lastRemoval >= Log.CommittedPosition;

    /// <summary>Runs outside of the lane when all that has been written up to now is on disk.</summary>
    public void AfterCommit(Action action) => _afterCommit.Add(action);

    /// <summary>A commit begins: what was asked for so far goes with it.</summary>
    internal void BeginCommit()
    {
        _urgentFrom = Log.NextPosition;
        _committing.AddRange(_afterCommit);
        _afterCommit.Clear();
    }

    /// <summary>What was to be done after the commit that has ended.</summary>
    internal List<Action> EndCommit()
    {
        if (_committing.Count == 0)
        {
            return _committing;
        }
        var due = _committing;
        _committing = [];
        return due;
    }

    public void Clock(BootClock boot, long nowMs)
    {
        var position = Log.Begin((byte)RecordKind.Clock);
        Log.Byte(Version);
        Log.Id(boot.BootId);
        Log.Int64(boot.UpMs);
        Log.Int64(nowMs);
        Log.End();
        ClockHome = Moved(ClockHome, position);
    }

    /// <summary>Gives a new session its number, which makes it a stored one; its <see cref="Image"/> has to follow.</summary>
    public void Begin(Session session)
    {
        session.Number = _nextSession++;
        Sessions.Add(session.Number, session);
    }

    /// <summary>Writes the session as a whole, its queue excepted; this is its home from now on.</summary>
    public void Image(Session session)
    {
        var queue = session.Stored;
        var position = Log.Begin((byte)RecordKind.SessionImage);
        Log.Int64(session.Number);
        Log.Id(session.Hub.Id);
        Log.Id(session.Key.DeviceId);
        Log.Text(session.Key.ClientId);
        Presence(session);
        Log.Int64(queue.Next);
        Log.Int64(queue.First);
        Log.UInt32((uint)session.Subscriptions.Count);
        foreach (var subscription in session.Subscriptions.Values)
        {
            Subscription(subscription);
        }
        Log.UInt32((uint)(session.IncomingQos2?.Count ?? 0));
        foreach (var id in session.IncomingQos2 ?? [])
        {
            Log.UInt16(id);
        }
        var released = session.HasInFlight ? session.InFlight.Released() : [];
        Log.UInt32((uint)released.Count);
        foreach (var (sequence, packetId) in released)
        {
            Log.Int64(sequence);
            Log.UInt16(packetId);
        }
        Log.End();
        session.Home = Moved(session.Home, position);
    }

    public void Changed(Session session)
    {
        Log.Begin((byte)RecordKind.SessionChanged);
        Log.Int64(session.Number);
        Presence(session);
        Log.End();
    }

    public void Ended(Session session)
    {
        _lastRemoval = Log.NextPosition;
        Numbers(RecordKind.SessionEnded, session.Number);
        Log.DropReference(session.Home);
        Sessions.Remove(session.Number);
    }

    public void Subscribed(Session session, Topics.Subscription subscription)
    {
        Log.Begin((byte)RecordKind.Subscribed);
        Log.Int64(session.Number);
        Subscription(subscription);
        Log.End();
    }

    public void Unsubscribed(Session session, string filter)
    {
        Log.Begin((byte)RecordKind.Unsubscribed);
        Log.Int64(session.Number);
        Log.Text(filter);
        Log.End();
    }

    public void Sent(Session session, long sequence, ushort packetId) => Exchange(RecordKind.Sent, session, sequence, packetId);

    public void Received(Session session, long sequence, ushort packetId) => Exchange(RecordKind.Received, session, sequence, packetId);

    public void Done(Session session, long sequence)
    {
        var wasUrgent = IsUrgent;
        Numbers(RecordKind.Done, session.Number, sequence);
        _urgentFrom = wasUrgent ? _urgentFrom : Log.NextPosition;
    }

    public void IncomingReceived(Session session, ushort packetId) => Incoming(RecordKind.IncomingReceived, session, packetId);

    public void IncomingReleased(Session session, ushort packetId) => Incoming(RecordKind.IncomingReleased, session, packetId);

    public void RetainedCleared(Guid hubId, ReadOnlySpan<byte> topic)
    {
        _lastRemoval = Log.NextPosition;
        Log.Begin((byte)RecordKind.RetainedCleared);
        Log.Id(hubId);
        Log.Bytes(topic);
        Log.End();
    }

    /// <summary>The message in the record at <paramref name="position"/>, which may still be open, is owed to routes from now on.</summary>
    public void Owe(long position, OwedRoutes routes)
    {
        var before = Owed.GetValueOrDefault((routes.HubId, routes.MessageId)).Position;
        Owed[(routes.HubId, routes.MessageId)] = (Moved(before, position), routes);
    }

    public void RoutesDone(Guid hubId, Guid messageId)
    {
        if (Owed.Remove((hubId, messageId), out var owed))
        {
            Ids(RecordKind.RoutesDone, hubId, messageId);
            Log.DropReference(owed.Position);
        }
    }

    /// <returns>Where the record lies: it is needed as long as the id is to be known.</returns>
    public long Ingested(Guid hubId, Guid messageId)
    {
        var position = Ids(RecordKind.Ingested, hubId, messageId);
        Log.AddReference(position);
        return position;
    }

    public void HubEnded(Guid hubId)
    {
        _lastRemoval = Log.NextPosition;
        Log.Begin((byte)RecordKind.HubEnded);
        Log.Id(hubId);
        Log.End();
        foreach (var (key, owed) in Owed)
        {
            if (key.HubId == hubId)
            {
                Owed.Remove(key);
                Log.DropReference(owed.Position);
            }
        }
    }

    /// <summary>What was needed at one place is needed at another.</summary>
    private long Moved(long from, long to)
    {
        Log.AddReference(to);
        if (from != 0)
        {
            Log.DropReference(from);
        }
        return to;
    }

    private long Ids(RecordKind kind, Guid hubId, Guid messageId)
    {
        var position = Log.Begin((byte)kind);
        Log.Id(hubId);
        Log.Id(messageId);
        Log.End();
        return position;
    }

    private void Numbers(RecordKind kind, long first)
    {
        Log.Begin((byte)kind);
        Log.Int64(first);
        Log.End();
    }

    private void Numbers(RecordKind kind, long first, long second)
    {
        Log.Begin((byte)kind);
        Log.Int64(first);
        Log.Int64(second);
        Log.End();
    }

    private void Exchange(RecordKind kind, Session session, long sequence, ushort packetId)
    {
        Log.Begin((byte)kind);
        Log.Int64(session.Number);
        Log.Int64(sequence);
        Log.UInt16(packetId);
        Log.End();
    }

    private void Incoming(RecordKind kind, Session session, ushort packetId)
    {
        Log.Begin((byte)kind);
        Log.Int64(session.Number);
        Log.UInt16(packetId);
        Log.End();
    }

    private void Subscription(Topics.Subscription subscription)
    {
        var options = subscription.Options;
        Log.Text(subscription.Filter);
        Log.Byte((byte)(options.Qos | (options.NoLocal ? 4 : 0) | (options.RetainAsPublished ? 8 : 0) | (options.RetainHandling << 4)));
        Log.UInt32((uint)subscription.Id);
    }

    private void Presence(Session session)
    {
        var will = session.Connection?.Connect.Will ?? session.DelayedWill;
        Log.UInt32(session.ExpirySeconds);
        Log.Int64(session.ExpiresAt);
        Log.Int64(session.WillAt);
        Log.Byte((byte)((session.Connection is not null ? 1 : 0) | (will is not null ? 2 : 0)));
        if (will is not null)
        {
            Will(will);
        }
    }

    private void Will(Will will)
    {
        Log.Text(will.Topic);
        Log.Byte((byte)(will.Qos | (will.Retain ? 4 : 0) | (will.PayloadIsText ? 8 : 0) | (will.ExpirySeconds is not null ? 16 : 0)));
        Log.UInt32(will.DelaySeconds);
        Log.UInt32(will.ExpirySeconds ?? 0);
        Log.Block(will.Properties);
        Log.Block(will.Payload);
    }
}

/// <summary>Which boot of the machine this is, and how long it has been up: a clock that nobody can set.</summary>
public readonly record struct BootClock(Guid BootId, long UpMs)
{
    private const string BootIdFile = "/proc/sys/kernel/random/boot_id";

    /// <summary>As of now; where the system does not say which boot it is, an id that never comes again.</summary>
    public static BootClock Read() => new(
        File.Exists(BootIdFile) && Guid.TryParse(File.ReadAllText(BootIdFile), out var id) ? id : Guid.NewGuid(), Environment.TickCount64);
}
