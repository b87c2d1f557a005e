using System.Text;
using IotHub.Broker.Protocol.Packets;
using Exchange = IotHub.Broker.Sessions.Owed;

namespace IotHub.Broker.Sessions.Stored;

/// <summary>A session as the records of the log leave it.</summary>
public sealed class RecoveredSession
{
    public long Home { get; set; }
    public Guid HubId { get; set; }
    public SessionKey Key { get; set; }
    public uint ExpirySeconds { get; set; }
    public long ExpiresAt { get; set; }
    public long WillAt { get; set; }
    public bool WasConnected { get; set; }
    public Will? Will { get; set; }
    public Dictionary<string, (SubscriptionOptions Options, int Id)> Subscriptions { get; } = new(StringComparer.Ordinal);
    public HashSet<ushort> Incoming { get; } = [];
    public StoredQueue Queue { get; } = new();

    /// <summary>Open exchanges by sequence number.</summary>
    public SortedDictionary<long, (ushort PacketId, Exchange Owed)> InFlight { get; } = [];
    public long LastSent { get; set; }
}

/// <summary>
/// A shard's state as its log tells it: a fold over the records in their order. Records about a session may come before its image, where
/// an older one has been cleaned away; what has no image at the end has ended.
/// </summary>
public sealed class RecoveredShard(int rememberedIds)
{
    public Dictionary<long, RecoveredSession> Sessions { get; } = [];
    public Dictionary<Guid, Dictionary<string, long>> Retained { get; } = [];
    public Dictionary<(Guid HubId, Guid MessageId), (long Position, OwedRoutes Routes)> Owed { get; } = [];

    /// <summary>By hub, oldest first: ids and where their records lie.</summary>
    public Dictionary<Guid, Queue<(Guid MessageId, long Position)>> Ingested { get; } = [];
    public long NextSession { get; private set; } = 1;

    /// <summary>Boot and up-time at a moment of the log's time; null in a new log.</summary>
    public (BootClock Boot, long AtMs)? Clock { get; private set; }

    /// <exception cref="InvalidDataException">The record is whole, but not one that this version writes.</exception>
    public void Apply(long position, byte kind, ReadOnlySpan<byte> body)
    {
        var reader = new RecordSpan(body);
        switch ((RecordKind)kind)
        {
            case RecordKind.Message:
                ApplyMessage(position, MessageRecord.Read(body));
                break;
            case RecordKind.Done:
                ApplyDone(reader.Int64(), reader.Int64());
                break;
            case RecordKind.Sent or RecordKind.Received:
                ApplyExchange((RecordKind)kind, ref reader);
                break;
            case RecordKind.SessionImage or RecordKind.SessionChanged or RecordKind.SessionEnded or RecordKind.Subscribed
                or RecordKind.Unsubscribed or RecordKind.IncomingReceived or RecordKind.IncomingReleased:
                ApplySession((RecordKind)kind, position, ref reader);
                break;
            case RecordKind.RetainedCleared:
                ClearRetained(reader.Id(), Encoding.UTF8.GetString(body[16..]));
                break;
            case RecordKind.RoutesDone:
                Owed.Remove((reader.Id(), reader.Id()));
                break;
            case RecordKind.Ingested:
                ApplyIngested(position, reader.Id(), reader.Id());
                break;
            case RecordKind.HubEnded:
                EndHub(reader.Id());
                break;
            case RecordKind.Clock:
                ThrowIfNewer(reader.Byte());
                Clock = (new BootClock(reader.Id(), reader.Int64()), reader.Int64());
                break;
            default:
                throw new InvalidDataException($"a record of kind {kind}, which this broker does not know: a newer one wrote it");
        }
    }

    private static void ThrowIfNewer(byte version)
    {
        if (version > Journal.Version)
        {
            throw new InvalidDataException(
                $"a newer broker wrote it (records of version {version}; this one reads up to {Journal.Version})");
        }
    }

    /// <summary>All records have been told.</summary>
    public void Complete()
    {
        foreach (var (number, session) in Sessions)
        {
            if (session.Home == 0)
            {
                Sessions.Remove(number);
                continue;
            }
            session.Queue.Unsent = Math.Max(session.LastSent + 1, session.Queue.First);
        }
    }

    private RecoveredSession Of(long number)
    {
        if (!Sessions.TryGetValue(number, out var session))
        {
            Sessions.Add(number, session = new RecoveredSession());
            NextSession = Math.Max(NextSession, number + 1);
        }
        return session;
    }

    private void ApplyMessage(long position, in MessageRecord message)
    {
        if (message.Publisher != 0)
        {
            Of(message.Publisher).Incoming.Add(message.IncomingPacketId);
        }
        if (message.IsRetained)
        {
            if (!Retained.TryGetValue(message.HubId, out var ofHub))
            {
                Retained.Add(message.HubId, ofHub = new Dictionary<string, long>(StringComparer.Ordinal));
            }
            ofHub[Encoding.UTF8.GetString(message.Topic)] = position;
        }
        if (message.Routes is { } routes)
        {
            Owed[(routes.HubId, routes.MessageId)] = (position, routes);
        }
        var rest = message.Rest;
        for (var i = 0; i < message.Receivers; i++)
        {
            ApplyReceiver(position, MessageRecord.ReadReceiver(ref rest), message.Qos, message.Size);
        }
    }

    private void ApplyReceiver(long position, in StoredReceiver receiver, byte publishedQos, int size)
    {
        var session = Of(receiver.Session);
        var entry = new StoredEntry(position, size, receiver.Qos, publishedQos, receiver.Retain, receiver.Extra is not null);
        session.Queue.Set(receiver.Sequence, entry, receiver.Extra);
        if (receiver.PacketId != 0)
        {
            session.InFlight[receiver.Sequence] = (receiver.PacketId, receiver.Qos == 1 ? Exchange.PubAck : Exchange.PubRec);
            session.LastSent = Math.Max(session.LastSent, receiver.Sequence);
        }
    }

    private void ApplyDone(long number, long sequence)
    {
        var session = Of(number);
        session.Queue.Remove(sequence);
        session.InFlight.Remove(sequence);
        session.Queue.Skip(sequence + 1);
    }

    private void ApplyExchange(RecordKind kind, ref RecordSpan reader)
    {
        var session = Of(reader.Int64());
        var sequence = reader.Int64();
        var packetId = reader.UInt16();
        session.LastSent = Math.Max(session.LastSent, sequence);
        if (kind == RecordKind.Received)
        {
            session.Queue.Remove(sequence);
            session.Queue.Skip(sequence + 1);
            session.InFlight[sequence] = (packetId, Exchange.PubComp);
        }
        else if (session.Queue[sequence] is { IsEmpty: false } entry)
        {
            session.InFlight[sequence] = (packetId, entry.Qos == 1 ? Exchange.PubAck : Exchange.PubRec);
        }
    }

    private void ApplySession(RecordKind kind, long position, ref RecordSpan reader)
    {
        var number = reader.Int64();
        if (kind == RecordKind.SessionEnded)
        {
            Of(number);
            Sessions.Remove(number);
            return;
        }
        var session = Of(number);
        switch (kind)
        {
            case RecordKind.SessionImage:
                ApplyImage(session, position, ref reader);
                break;
            case RecordKind.SessionChanged:
                ReadPresence(session, ref reader);
                break;
            case RecordKind.Subscribed:
                ReadSubscription(session, ref reader);
                break;
            case RecordKind.Unsubscribed:
                session.Subscriptions.Remove(reader.Text());
                break;
            case RecordKind.IncomingReceived:
                session.Incoming.Add(reader.UInt16());
                break;
            default:
                session.Incoming.Remove(reader.UInt16());
                break;
        }
    }

    private static void ApplyImage(RecoveredSession session, long position, ref RecordSpan reader)
    {
        session.Home = position;
        session.HubId = reader.Id();
        session.Key = new SessionKey(reader.Id(), reader.Text());
        ReadPresence(session, ref reader);
        long next = reader.Int64(), first = reader.Int64();
        session.Queue.Skip(next);
        for (var sequence = session.Queue.First; sequence < first; sequence = session.Queue.FindLive(sequence + 1))
        {
            session.Queue.Remove(sequence);
            session.InFlight.Remove(sequence);
        }
        session.Subscriptions.Clear();
        for (var left = reader.UInt32(); left > 0; left--)
        {
            ReadSubscription(session, ref reader);
        }
        session.Incoming.Clear();
        for (var left = reader.UInt32(); left > 0; left--)
        {
            session.Incoming.Add(reader.UInt16());
        }
        foreach (var (sequence, exchange) in session.InFlight.ToList())
        {
            if (exchange.Owed == Exchange.PubComp)
            {
                session.InFlight.Remove(sequence);
            }
        }
        for (var left = reader.UInt32(); left > 0; left--)
        {
            session.InFlight[reader.Int64()] = (reader.UInt16(), Exchange.PubComp);
        }
    }

    private static void ReadPresence(RecoveredSession session, ref RecordSpan reader)
    {
        session.ExpirySeconds = reader.UInt32();
        session.ExpiresAt = reader.Int64();
        session.WillAt = reader.Int64();
        var flags = reader.Byte();
        session.WasConnected = (flags & 1) != 0;
        session.Will = (flags & 2) != 0 ? ReadWill(ref reader) : null;
    }

    private static Will ReadWill(ref RecordSpan reader)
    {
        var topic = reader.Text();
        var flags = reader.Byte();
        uint delay = reader.UInt32(), expiry = reader.UInt32();
        var properties = reader.Block().ToArray();
        return new Will(
            topic, reader.Block().ToArray(), (byte)(flags & 3), (flags & 4) != 0, delay, properties, (flags & 16) != 0 ? expiry : null,
            (flags & 8) != 0);
    }

    private static void ReadSubscription(RecoveredSession session, ref RecordSpan reader)
    {
        var filter = reader.Text();
        var options = reader.Byte();
        session.Subscriptions[filter] = (
            new SubscriptionOptions((byte)(options & 3), (options & 4) != 0, (options & 8) != 0, (byte)(options >> 4 & 3)),
            (int)reader.UInt32());
    }

    private void ClearRetained(Guid hubId, string topic)
    {
        if (Retained.TryGetValue(hubId, out var ofHub))
        {
            ofHub.Remove(topic);
        }
    }

    private void ApplyIngested(long position, Guid hubId, Guid messageId)
    {
        if (!Ingested.TryGetValue(hubId, out var ids))
        {
            Ingested.Add(hubId, ids = []);
        }
        ids.Enqueue((messageId, position));
        if (ids.Count > rememberedIds)
        {
            ids.Dequeue();
        }
    }

    private void EndHub(Guid hubId)
    {
        Retained.Remove(hubId);
        Ingested.Remove(hubId);
        foreach (var key in Owed.Keys.Where(key => key.HubId == hubId).ToList())
        {
            Owed.Remove(key);
        }
    }
}
