namespace IotHub.Broker.Protocol;

/// <summary>Control packet types (MQTT 5.0 section 2.1.2): the high four bits of the first byte.</summary>
public enum PacketType : byte
{
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    Auth = 15,
}

/// <summary>Protocol levels as they stand in CONNECT.</summary>
public static class ProtocolLevel
{
    public const byte Mqtt31 = 3;
    public const byte Mqtt311 = 4;
    public const byte Mqtt5 = 5;
}
