using System.Buffers.Binary;
using IotHub.Broker.Durability;

namespace IotHub.Broker.Sessions.Stored;

/// <summary>What a message is owed to beside sessions: routes, under an id that is the same on every repeat.</summary>
public sealed record OwedRoutes(Guid HubId, Guid MessageId, long ReceivedAtMs, Guid[] Routes, bool Retain);

/// <summary>One session for which a message is kept, as its record tells.</summary>
/// <param name="PacketId">0 while it waits.</param>
public readonly record struct StoredReceiver(
    long Session, long Sequence, ushort PacketId, byte Qos, bool Retain, StoredExtra? Extra);

/// <summary>The record of a message taken apart.</summary>
/// <remarks>
/// <code>
/// u8 qos | u8 flags | u16 topic size | u32 properties size | u32 payload size | u32 receivers | i64 expires at
/// [retained or routed: 16 hub] [retained by a client: 16 device, text client id] [has publisher: i64 session, u16 packet id]
/// [routed: 16 message id, i64 received at, u16 n, n x 16 route]
/// topic | properties | payload | receivers x (i64 session, i64 sequence, u16 packet id, u8 flags, u8 n ids, n x u32 id, [text share filter])
/// </code>
/// </remarks>
internal readonly ref struct MessageRecord
{
    private const int ReceiversOffset = 12;

    private const byte TextFlag = 1;
    private const byte RetainedFlag = 2;
    private const byte PublisherFlag = 4;
    private const byte RoutedFlag = 8;
    private const byte RoutedRetainFlag = 16;
    private const byte RetainedByFlag = 32;
    private const byte AllFlags = 63;

    private const byte ReceiverRetainFlag = 4;
    private const byte ReceiverShareFlag = 8;

    private MessageRecord(ReadOnlySpan<byte> body)
    {
        var reader = new RecordSpan(body);
        Qos = reader.Byte();
        var flags = reader.Byte();
        if (flags > AllFlags)
        {
            throw new InvalidDataException($"a message with flags 0x{flags:X2}, which this broker does not know: a newer one wrote it");
        }
        int topic = reader.UInt16(), properties = (int)reader.UInt32(), payload = (int)reader.UInt32();
        Receivers = (int)reader.UInt32();
        ExpiresAt = reader.Int64();
        (PayloadIsText, IsRetained) = ((flags & TextFlag) != 0, (flags & RetainedFlag) != 0);
        HubId = (flags & (RetainedFlag | RoutedFlag)) != 0 ? reader.Id() : default;
        RetainedBy = (flags & RetainedByFlag) != 0 ? new SessionKey(reader.Id(), reader.Text()) : null;
        if ((flags & PublisherFlag) != 0)
        {
            (Publisher, IncomingPacketId) = (reader.Int64(), reader.UInt16());
        }
        if ((flags & RoutedFlag) != 0)
        {
            Guid message = reader.Id();
            var receivedAt = reader.Int64();
            var routes = new Guid[reader.UInt16()];
            for (var i = 0; i < routes.Length; i++)
            {
                routes[i] = reader.Id();
            }
            Routes = new OwedRoutes(HubId, message, receivedAt, routes, (flags & RoutedRetainFlag) != 0);
        }
        Topic = reader.Bytes(topic);
        Properties = reader.Bytes(properties);
        Payload = reader.Bytes(payload);
        Rest = reader;
    }

    public byte Qos { get; }
    public bool PayloadIsText { get; }
    public bool IsRetained { get; }
    public long ExpiresAt { get; }
    public Guid HubId { get; }
    public SessionKey? RetainedBy { get; }
    public long Publisher { get; }
    public ushort IncomingPacketId { get; }
    public OwedRoutes? Routes { get; }
    public ReadOnlySpan<byte> Topic { get; }
    public ReadOnlySpan<byte> Properties { get; }
    public ReadOnlySpan<byte> Payload { get; }
    public int Receivers { get; }
    public int Size => Topic.Length + Properties.Length + Payload.Length;

    /// <summary>Stands before the first receiver; read each with <see cref="ReadReceiver"/>.</summary>
    public RecordSpan Rest { get; }

    public static MessageRecord Read(ReadOnlySpan<byte> body) => new(body);

    public static StoredReceiver ReadReceiver(ref RecordSpan reader)
    {
        long session = reader.Int64(), sequence = reader.Int64();
        var packetId = reader.UInt16();
        byte flags = reader.Byte(), ids = reader.Byte();
        int[]? subscriptionIds = ids == 0 ? null : new int[ids];
        for (var i = 0; i < ids; i++)
        {
            subscriptionIds![i] = (int)reader.UInt32();
        }
        var share = (flags & ReceiverShareFlag) != 0 ? reader.Text() : null;
        var extra = subscriptionIds is null && share is null ? null : new StoredExtra(subscriptionIds, share);
        return new StoredReceiver(session, sequence, packetId, (byte)(flags & 3), (flags & ReceiverRetainFlag) != 0, extra);
    }

    /// <summary>Opens the record and writes everything up to the receivers.</summary>
    public static long Begin(ShardLog log, in StoredMessage message)
    {
        var position = log.Begin((byte)RecordKind.Message);
        var routes = message.Routes;
        log.Byte(message.Qos);
        log.Byte((byte)((message.PayloadIsText ? TextFlag : 0) | (message.IsRetained ? RetainedFlag : 0)
            | (message.Publisher != 0 ? PublisherFlag : 0) | (routes is not null ? RoutedFlag : 0)
            | (routes is { Retain: true } ? RoutedRetainFlag : 0) | (message.RetainedBy is not null ? RetainedByFlag : 0)));
        log.UInt16((ushort)message.Topic.Length);
        log.UInt32((uint)message.Properties.Length);
        log.UInt32((uint)message.Payload.Length);
        log.UInt32(0);
        log.Int64(message.ExpiresAt);
        if (message.IsRetained || routes is not null)
        {
            log.Id(message.HubId);
        }
        if (message.RetainedBy is { } client)
        {
            log.Id(client.DeviceId);
            log.Text(client.ClientId);
        }
        if (message.Publisher != 0)
        {
            log.Int64(message.Publisher);
            log.UInt16(message.IncomingPacketId);
        }
        if (routes is not null)
        {
            log.Id(routes.MessageId);
            log.Int64(routes.ReceivedAtMs);
            log.UInt16((ushort)routes.Routes.Length);
            foreach (var route in routes.Routes)
            {
                log.Id(route);
            }
        }
        log.Bytes(message.Topic);
        log.Bytes(message.Properties);
        log.Bytes(message.Payload);
        return position;
    }

    /// <summary>Closes the record, behind its last receiver.</summary>
    public static void End(ShardLog log, int receivers)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(log.Written(ReceiversOffset, 4), (uint)receivers);
        log.End();
    }

    public static void WriteReceiver(ShardLog log, in StoredReceiver receiver)
    {
        log.Int64(receiver.Session);
        log.Int64(receiver.Sequence);
        log.UInt16(receiver.PacketId);
        var ids = receiver.Extra?.SubscriptionIds ?? [];
        log.Byte((byte)(receiver.Qos | (receiver.Retain ? ReceiverRetainFlag : 0)
            | (receiver.Extra?.ShareFilter is not null ? ReceiverShareFlag : 0)));
        var count = Math.Min(ids.Length, byte.MaxValue);
        log.Byte((byte)count);
        for (var i = 0; i < count; i++)
        {
            log.UInt32((uint)ids[i]);
        }
        if (receiver.Extra?.ShareFilter is { } share)
        {
            log.Text(share);
        }
    }
}

/// <summary>A message on its way into the log.</summary>
internal readonly ref struct StoredMessage
{
    public required byte Qos { get; init; }
    public required bool PayloadIsText { get; init; }
    public required long ExpiresAt { get; init; }
    public required ReadOnlySpan<byte> Topic { get; init; }
    public required ReadOnlySpan<byte> Properties { get; init; }
    public required ReadOnlySpan<byte> Payload { get; init; }
    public Guid HubId { get; init; }
    public bool IsRetained { get; init; }

    /// <summary>Whose message it is that is retained; null unless it is, and known.</summary>
    public SessionKey? RetainedBy { get; init; }

    /// <summary>Number of the stored session whose QoS 2 publish it was, or 0.</summary>
    public long Publisher { get; init; }
    public ushort IncomingPacketId { get; init; }
    public OwedRoutes? Routes { get; init; }
}
