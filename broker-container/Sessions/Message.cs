using IotHub.Broker.Protocol.Packets;
using IotHub.Broker.Sessions.Stored;
using IotHub.Broker.Topics;

namespace IotHub.Broker.Sessions;

/// <summary>
/// An application message that outlives its publish: in flight, queued, retained, or a will. Stored once, however many sessions wait for
/// it, and counted by reference. Pooled per lane and touched only under the lane's lock.
/// </summary>
public sealed class Message
{
    /// <summary>Arrays up to this size stay with a pooled message.</summary>
    private const int KeptBytes = 4 * 1024;

    private byte[] _data = [];
    private int _topicLength;
    private int _propertiesLength;
    private int _payloadLength;

    public byte Qos { get; private set; }
    public bool PayloadIsText { get; private set; }

    /// <summary>Milliseconds of the lane's clock, or <see cref="long.MaxValue"/> for never.</summary>
    public long ExpiresAt { get; private set; }

    /// <summary>Who published it; only of one that was published to be retained, and known.</summary>
    public SessionKey? RetainedBy { get; private set; }

    public int References { get; private set; }

    /// <summary>Where its record lies in the log; 0 when it is in memory only.</summary>
    public long Position { get; internal set; }

    public ReadOnlySpan<byte> Topic => _data.AsSpan(0, _topicLength);

    /// <summary>Properties that travel on unchanged, in their order.</summary>
    public ReadOnlySpan<byte> Properties => _data.AsSpan(_topicLength, _propertiesLength);
    public ReadOnlySpan<byte> Payload => _data.AsSpan(_topicLength + _propertiesLength, _payloadLength);
    public int Size => _topicLength + _propertiesLength + _payloadLength;

    internal void Fill(in PublishedMessage from)
    {
        var size = from.Topic.Utf8.Length + from.Properties.Length + from.Payload.Length;
        if (_data.Length < size)
        {
            _data = new byte[size];
        }
        (_topicLength, _propertiesLength, _payloadLength) = (from.Topic.Utf8.Length, from.Properties.Length, from.Payload.Length);
        from.Topic.Utf8.CopyTo(_data, 0);
        from.Properties.CopyTo(_data.AsSpan(_topicLength));
        from.Payload.CopyTo(_data.AsSpan(_topicLength + _propertiesLength));
        (Qos, PayloadIsText, ExpiresAt, References, Position) = (from.Qos, from.PayloadIsText, from.ExpiresAt, 1, 0);
        RetainedBy = from.RetainedBy;
    }

    internal void Fill(in MessageRecord from, long position)
    {
        if (_data.Length < from.Size)
        {
            _data = new byte[from.Size];
        }
        (_topicLength, _propertiesLength, _payloadLength) = (from.Topic.Length, from.Properties.Length, from.Payload.Length);
        from.Topic.CopyTo(_data);
        from.Properties.CopyTo(_data.AsSpan(_topicLength));
        from.Payload.CopyTo(_data.AsSpan(_topicLength + _propertiesLength));
        (Qos, PayloadIsText, ExpiresAt, References, Position) = (from.Qos, from.PayloadIsText, from.ExpiresAt, 1, position);
        RetainedBy = from.RetainedBy;
    }

    internal void AddReference() => References++;

    /// <summary>True when nobody holds it any more.</summary>
    internal bool DropReference() => --References == 0;

    internal void Forget()
    {
        if (_data.Length > KeptBytes)
        {
            _data = [];
        }
    }

    /// <summary>What is left of the Message Expiry Interval, in whole seconds, at least 1; null for no expiry. [MQTT-3.3.2-6]</summary>
    public uint? RemainingSeconds(long now) => ExpiresAt == long.MaxValue ? null : (uint)Math.Max(1, (ExpiresAt - now + 999) / 1000);

    public bool HasExpired(long now) => ExpiresAt <= now;

    /// <summary>Writes this message as a PUBLISH; false when it is larger than the receiver takes. [MQTT-3.1.2-24]</summary>
    public bool WriteTo(Connection receiver, in PublishHead head) => receiver.WritePublish(head, Topic, Properties, Payload);
}

/// <summary>A message at the moment it is published: slices of the receive buffer, before anything is copied.</summary>
public readonly ref struct PublishedMessage
{
    public required TopicEntry Topic { get; init; }
    public required ReadOnlySpan<byte> Properties { get; init; }
    public required ReadOnlySpan<byte> Payload { get; init; }
    public required byte Qos { get; init; }
    public required bool Retain { get; init; }
    public bool PayloadIsText { get; init; }
    public required long ExpiresAt { get; init; }
    public uint? ExpirySeconds { get; init; }

    /// <summary>The session that published it, for No Local; null for networks and events.</summary>
    public Session? Publisher { get; init; }

    /// <summary>What is kept with it when it is retained, for No Local of those who come later.</summary>
    public SessionKey? RetainedBy => Retain ? Publisher?.Key : null;

    /// <summary>Packet id of a client's QoS 2 publish, which must be known again after a crash; else 0.</summary>
    public ushort IncomingPacketId { get; init; }

    /// <summary>Nobody waits for an acknowledgement, and nobody sends it again: it is taken where others are refused.</summary>
    public bool IsWill { get; init; }

    /// <summary>The whole packet as it came, where it can be sent on as it stands to receivers of the same version at QoS 0.</summary>
    public ReadOnlySpan<byte> ReadyFrame { get; init; }
    public bool ReadyFrameIsV5 { get; init; }
}

/// <summary>Free list of <see cref="Message"/>, and the count of bytes that living ones hold. One per lane.</summary>
public sealed class MessagePool
{
    private const int Kept = 16_384;
    private readonly Stack<Message> _free = new();

    /// <summary>A message with one reference, which the caller owns.</summary>
    public Message Rent(in PublishedMessage from)
    {
        var message = _free.TryPop(out var pooled) ? pooled : new Message();
        message.Fill(from);
        return message;
    }

    /// <summary>The same for one that was read back from the log.</summary>
    internal Message Rent(in MessageRecord from, long position)
    {
        var message = _free.TryPop(out var pooled) ? pooled : new Message();
        message.Fill(from, position);
        return message;
    }

    public void Release(Message message)
    {
        if (message.DropReference())
        {
            message.Forget();
            if (_free.Count < Kept)
            {
                _free.Push(message);
            }
        }
    }
}
