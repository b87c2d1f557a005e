using System.Globalization;
using IotHub.Broker.Topics;
using IotHub.Core.Messages;

namespace IotHub.Harness.Simulation;

/// <summary>A message as its publisher knows it; its number stands at the beginning of its payload.</summary>
public sealed record SimulatedMessage(int Number, string Publisher, string Topic, byte Qos, bool Retain, bool IsEmpty, uint? ExpirySeconds)
{
    /// <summary>Each time it is published its time counts anew: for the first one, and for the last.</summary>
    public long ExpiresFirst { get; set; } = long.MaxValue;

    public long ExpiresLast { get; set; } = long.MaxValue;

    /// <summary>What the last publish of it put up, which its acknowledgement makes certain.</summary>
    public List<OwedMessage> Owed { get; } = [];

    /// <summary>Of a topic that a group shares: one of its members has to get it.</summary>
    public OwedMessage? OwedToGroup { get; set; }

    /// <summary>Its publisher was told that it is safe.</summary>
    public bool IsAcknowledged { get; set; }

    /// <summary>How often the broker took it.</summary>
    public int Taken { get; set; }

    public bool IsShared => Topic.StartsWith("s/", StringComparison.Ordinal);

    public override string ToString() => $"m{Number} {Topic} qos {Qos}{(Retain ? " retain" : "")}";
}

/// <summary>A subscription as its client asked for it, or as it is.</summary>
/// <param name="Qos">Null where it was taken back.</param>
/// <param name="AskedWith">Packet id of the request.</param>
/// <param name="IsConfirmed">Its client was told so.</param>
public readonly record struct ModelSubscription(byte? Qos, bool NoLocal, bool AsPublished, ushort AskedWith, bool IsConfirmed = false)
{
    public override string ToString() => $"{Qos?.ToString() ?? "none"}{(NoLocal ? " no local" : "")}{(AsPublished ? " as published" : "")}";

    /// <summary>Does it say the same, whoever asked for it?</summary>
    public bool IsSameAs(ModelSubscription other) => (Qos, NoLocal, AsPublished) == (other.Qos, other.NoLocal, other.AsPublished);
}

/// <summary>One message that one session (or group) may get, so often, and whether it has to.</summary>
public sealed class OwedMessage(SimulatedMessage message)
{
    public SimulatedMessage Message { get; } = message;
    public HashSet<byte> Qos { get; } = [];
    public int Allowed { get; set; }
    public int Delivered { get; set; }

    /// <summary>Not delivering it is losing it.</summary>
    public bool Must { get; set; }

    /// <summary>The publisher was told that it is safe.</summary>
    public bool IsAcknowledged { get; set; }

    /// <summary>It was put up as a message that is retained, for a subscription that was made later.</summary>
    public bool IsFromRetained { get; set; }

    /// <summary>It was put up at a quality at which it leaves when it is on disk.</summary>
    public bool WaitedForDisk { get; set; }

    /// <summary>The commit that makes it certain.</summary>
    public long Moment { get; set; }

    /// <summary>When it was put up first and last, for the order.</summary>
    public int First { get; set; }

    public int Last { get; set; }
}

/// <summary>A session as the model has it.</summary>
public sealed class ModelSession(string clientId, long number)
{
    public string ClientId { get; } = clientId;

    /// <summary>0 for one that ends with its connection.</summary>
    public long Number { get; } = number;
    public long EndedAt { get; set; } = long.MaxValue;
    public bool IsOnline { get; set; }

    /// <summary>Its client has read the CONNACK.</summary>
    public bool IsConfirmed { get; set; }
    public uint ExpirySeconds { get; set; }
    public long ExpiresAt { get; set; } = long.MaxValue;
    public SimulatedMessage? Will { get; set; }
    public uint WillDelay { get; set; }
    public long WillAt { get; set; } = long.MaxValue;

    public Dictionary<string, ModelSubscription> Filters { get; } = [];

    /// <summary>What its subscriptions to groups were once, Retain As Published: what was put up then may still come.</summary>
    public bool WasAsPublishedInGroup { get; set; }

    /// <summary>By the number of the message, and the flag RETAIN that it comes with.</summary>
    public Dictionary<(int Number, bool Retain), OwedMessage> Owed { get; } = [];

    /// <summary>By publisher and topic: what was put up latest of what was delivered.</summary>
    public Dictionary<(string Publisher, string Topic), int> Order { get; } = [];

    /// <summary>By packet id: QoS 1 messages that came, and from when on their PUBACK is certain.</summary>
    public Dictionary<ushort, (int Number, long AckedAt)> Seen { get; } = [];
}

/// <summary>
/// What may be: sessions, subscriptions, retained messages and wills as they follow from what clients did, and for each message whom it
/// is owed to. Exact while the broker runs; after a crash what was in doubt is taken as the broker has it, what was acknowledged is
/// insisted on.
/// </summary>
/// <param name="isLossy">Queues are bounded: messages may go.</param>
public sealed partial class SimulationModel(SimulatedBroker broker, bool isLossy)
{
    private readonly List<SimulatedMessage> _messages = [];
    private readonly List<ModelSession> _ended = [];
    private Dictionary<string, (SimulatedMessage Message, long Moment, bool IsConfirmed)> _retained = [];
    private int _order;

    public Dictionary<string, ModelSession> Sessions { get; } = [];

    public SimulatedMessage NewMessage(string publisher, string topic, byte qos, bool retain, bool isEmpty, uint? expirySeconds)
    {
        var message = new SimulatedMessage(_messages.Count, publisher, topic, qos, retain, isEmpty, expirySeconds);
        _messages.Add(message);
        return message;
    }

    /// <summary>The broker has let a client in. Returns whether its session was there.</summary>
    public bool Connected(string clientId, bool cleanStart, uint expirySeconds, SimulatedMessage? will, uint willDelay, long number)
    {
        if (Sessions.GetValueOrDefault(clientId) is { IsOnline: true } older)
        {
            Disconnected(older, publishWill: true);
        }
        var session = Sessions.GetValueOrDefault(clientId);
        if (session is not null && (cleanStart || session.ExpiresAt <= broker.Lane.Now))
        {
            Drop(session);
            session = null;
        }
        var wasPresent = session is not null;
        if (session is null)
        {
            Sessions.Add(clientId, session = new ModelSession(clientId, number));
        }
        session.IsOnline = true;
        (session.ExpirySeconds, session.ExpiresAt) = (expirySeconds, long.MaxValue);
        (session.Will, session.WillDelay, session.WillAt) = (will, willDelay, long.MaxValue);
        Check(session.Number == number, $"{clientId} got session {number}, not {session.Number}");
        return wasPresent;
    }

    public void Disconnected(ModelSession session, bool publishWill)
    {
        session.IsOnline = false;
        if (!publishWill)
        {
            session.Will = null;
        }
        else if (session.Will is not null)
        {
            var delay = Math.Min(session.WillDelay, session.ExpirySeconds);
            session.WillAt = broker.Lane.Now + (delay * 1000L);
            if (delay == 0)
            {
                PublishWill(session);
            }
        }
        if (session.ExpirySeconds == 0)
        {
            Drop(session);
        }
        else if (session.ExpirySeconds != uint.MaxValue)
        {
            session.ExpiresAt = broker.Lane.Now + (session.ExpirySeconds * 1000L);
        }
    }

    /// <summary>The broker looked what is due.</summary>
    public void Ticked()
    {
        var now = broker.Lane.Now;
        foreach (var session in Sessions.Values.Where(s => !s.IsOnline).ToList())
        {
            if (session.WillAt <= now)
            {
                PublishWill(session);
            }
            if (session.ExpiresAt <= now)
            {
                Drop(session);
            }
        }
    }

    public void Subscribed(ModelSession session, string filter, ModelSubscription wanted, int handling)
    {
        var isNew = session.Filters.GetValueOrDefault(filter).Qos is null;
        session.Filters[filter] = wanted;
        session.WasAsPublishedInGroup |= wanted.AsPublished && SharedFilter.IsShared(filter);
        if (SharedFilter.IsShared(filter) || handling == 2 || (handling == 1 && !isNew))
        {
            return;
        }
        foreach (var (topic, (message, _, _)) in _retained)
        {
            var isOwn = wanted.NoLocal && message.Publisher == session.ClientId;
            if (!isOwn && !message.IsEmpty && message.ExpiresLast > broker.Lane.Now && TopicFilter.Matches(filter, topic))
            {
                Owe(session, message, Math.Min(wanted.Qos!.Value, message.Qos), withRetain: true, isFromRetained: true);
            }
        }
    }

    public void Unsubscribed(ModelSession session, string filter, ushort packetId)
    {
        session.Filters[filter] = new ModelSubscription(null, false, false, packetId);
        if (SharedFilter.IsShared(filter))
        {
            LeaveGroup(filter);
        }
    }

    /// <summary>SUBACK or UNSUBACK.</summary>
    public static void Confirm(ModelSession session, string filter, ushort packetId)
    {
        // An earlier request says nothing of a later one.
        if (session.Filters.TryGetValue(filter, out var now) && now.AskedWith == packetId)
        {
            session.Filters[filter] = now with { IsConfirmed = true };
        }
    }

    /// <summary>Would the broker have to keep it?</summary>
    public bool MustBeKept(SimulatedMessage message, ModelSession publisher) => message.Retain
        || (message.Qos == 2 && publisher.Number != 0)
        || (message.Qos > 0 && IsRouted(message))
        || (message.Qos > 0 && Sessions.Values.Any(s => s.Number != 0 && (GrantedTo(s, message.Topic) > 0 || MembershipOf(s, message.Topic) > 0)));

    public bool IsRouted(SimulatedMessage message) => broker.Routes is not null && TopicFilter.Matches(SimulatedRoutes.Filter, message.Topic);

    /// <summary>The broker has taken the message, for the first time or once more.</summary>
    public void Published(SimulatedMessage message)
    {
        message.Owed.Clear();
        message.Taken++;
        if (message.ExpirySeconds is { } seconds)
        {
            message.ExpiresLast = broker.Lane.Now + (seconds * 1000L);
            message.ExpiresFirst = Math.Min(message.ExpiresFirst, message.ExpiresLast);
        }
        if (message.Retain)
        {
            _retained[message.Topic] = (message, broker.Moment, false);
        }
        if (message.IsEmpty)
        {
            return;
        }
        foreach (var session in Sessions.Values)
        {
            var bringing = Matching(session, message.Topic).Where(s => !s.NoLocal || message.Publisher != session.ClientId).ToList();
            if (bringing.Count > 0)
            {
                var withRetain = message.Retain && bringing.Exists(s => s.AsPublished);
                Owe(session, message, Math.Min(bringing.Max(s => s.Qos!.Value), message.Qos), withRetain, isFromRetained: false);
            }
        }
        if (message.IsShared)
        {
            OweToGroup(message);
        }
    }

    /// <summary>PUBACK or PUBREC: what it was published to will get it, whatever happens.</summary>
    public void Acknowledged(SimulatedMessage message)
    {
        message.IsAcknowledged = true;
        foreach (var owed in message.Owed)
        {
            owed.IsAcknowledged = true;
        }
        if (_retained.TryGetValue(message.Topic, out var kept) && kept.Message == message)
        {
            _retained[message.Topic] = kept with { IsConfirmed = true };
        }
    }

    /// <summary>Subscriptions that share with nobody.</summary>
    private static IEnumerable<ModelSubscription> Matching(ModelSession session, string topic) => session.Filters
        .Where(f => f.Value.Qos is not null && !SharedFilter.IsShared(f.Key) && TopicFilter.Matches(f.Key, topic)).Select(f => f.Value);

    private static byte? GrantedTo(ModelSession session, string topic) => Matching(session, topic).Max(s => s.Qos);

    private static byte? MembershipOf(ModelSession session, string topic) => session.Filters
        .Where(f => f.Value.Qos is not null && SharedFilter.IsShared(f.Key)
            && TopicFilter.Matches(SharedFilter.Parse(f.Key)!.TopicFilter, topic)).Max(f => f.Value.Qos);

    private void Owe(ModelSession session, SimulatedMessage message, byte qos, bool withRetain, bool isFromRetained)
    {
        if (!session.Owed.TryGetValue((message.Number, withRetain), out var owed))
        {
            session.Owed.Add((message.Number, withRetain), owed = new OwedMessage(message) { First = ++_order });
        }
        PutUp(owed, qos);
        if (isFromRetained)
        {
            owed.IsFromRetained = true;
            owed.Allowed++;
            return;
        }
        // A repeat of a QoS 2 publish is taken only where the first was lost, and then what it put up is lost as well; but at QoS 0
        // nothing waits for the disk.
        owed.Allowed += message.Qos == 2 && qos > 0 && owed.WaitedForDisk ? 0 : 1;
        owed.WaitedForDisk |= qos > 0;
        message.Owed.Add(owed);
    }

    private void OweToGroup(SimulatedMessage message)
    {
        var members = Sessions.Values.Select(s => (s.Number, Qos: MembershipOf(s, message.Topic))).Where(m => m.Qos is not null).ToList();
        var owed = message.OwedToGroup ??= new OwedMessage(message) { First = ++_order };
        PutUp(owed, members.Count == 0 ? (byte)0 : Math.Min(message.Qos, members.Min(m => m.Qos!.Value)));
        owed.Allowed++;
        // A member that ends with its connection may take it with it.
        owed.Must &= members.Count > 0 && members.TrueForAll(m => m.Number != 0);
        message.Owed.Add(owed);
    }

    private void PutUp(OwedMessage owed, byte qos)
    {
        owed.Qos.Add(qos);
        owed.Must = qos > 0 && !isLossy;
        (owed.Moment, owed.Last, owed.IsAcknowledged) = (broker.Moment, ++_order, false);
    }

    private void PublishWill(ModelSession session)
    {
        var will = session.Will!;
        (session.Will, session.WillAt) = (null, long.MaxValue);
        Published(will);
    }

    private void Drop(ModelSession session)
    {
        Sessions.Remove(session.ClientId);
        session.EndedAt = broker.Moment;
        if (session.Number != 0)
        {
            _ended.Add(session);
        }
        foreach (var filter in session.Filters.Where(f => f.Value.Qos is not null && SharedFilter.IsShared(f.Key)))
        {
            LeaveGroup(filter.Key);
        }
        if (session.Will is not null)
        {
            PublishWill(session);
        }
    }

    /// <summary>What a member that leaves holds may go with it.</summary>
    private void LeaveGroup(string filter)
    {
        var topics = SharedFilter.Parse(filter)!.TopicFilter;
        foreach (var message in _messages.Where(m => m.OwedToGroup is not null && TopicFilter.Matches(topics, m.Topic)))
        {
            message.OwedToGroup!.Must = false;
        }
    }

    internal static void Check(bool holds, string what)
    {
        if (!holds)
        {
            throw new SimulationException(what);
        }
    }

    internal static int NumberOf(string payload) => int.Parse(payload.AsSpan(1, payload.AsSpan().IndexOf(' ') - 1), CultureInfo.InvariantCulture);
}
