namespace IotHub.Broker.Protocol.Packets;

/// <summary>
/// Writers of the packets that the server sends seldom, each as a whole array. PUBLISH and the acknowledgements, which are hot, have
/// writers that fill a span (<see cref="PublishWriter"/>, <see cref="Acknowledgement.Write"/>).
/// </summary>
public static class ServerPackets
{
    public static readonly byte[] PingResponse = [0xD0, 0x00];

    // flags | reason code | [properties]
    public static byte[] ConnAck(byte level, bool sessionPresent, ReasonCode reason, PropertyWriter? properties) =>
        level == ProtocolLevel.Mqtt5
            ? WithProperties(0x20, [(byte)(sessionPresent ? 1 : 0), (byte)reason], properties ?? new PropertyWriter(), [])
            // 3.1 has no session present flag.
            : [0x20, 2, (byte)(sessionPresent && level == ProtocolLevel.Mqtt311 ? 1 : 0), ReturnCode(reason)];

    /// <summary>The CONNACK of 5.0 that says no.</summary>
    public static byte[] RefusingConnAck(ReasonCode reason, string? text, uint maximumSize, string? otherServer = null) =>
        Explained(0x20, [0, (byte)reason], text, maximumSize, [], otherServer);

    // packet id | [properties] | code+
    public static byte[] SubAck(ushort packetId, ReadOnlySpan<byte> codes, bool isV5, string? text, uint maximumSize) => isV5
        ? Explained(0x90, [(byte)(packetId >> 8), (byte)packetId], text, maximumSize, codes)
        : WithProperties(0x90, [(byte)(packetId >> 8), (byte)packetId], null, codes);

    // 5.0: packet id | properties | code+ ; 3.1.1: packet id
    public static byte[] UnsubAck(ushort packetId, ReadOnlySpan<byte> codes, bool isV5) =>
        WithProperties(0xB0, [(byte)(packetId >> 8), (byte)packetId], isV5 ? new PropertyWriter() : null, isV5 ? codes : []);

    // reason code | properties
    public static byte[] Disconnect(ReasonCode reason, string? text, uint maximumSize, string? otherServer = null) =>
        Explained(0xE0, [(byte)reason], text, maximumSize, [], otherServer);

    // packet id | reason code | properties
    /// <summary>PUBACK, PUBREC, PUBREL or PUBCOMP of 5.0 that says why.</summary>
    public static byte[] FailingAcknowledgement(PacketType type, ushort packetId, ReasonCode reason, string? text, uint maximumSize) => Explained(
        (byte)((byte)type << 4 | (type == PacketType.PubRel ? 2 : 0)),
        [(byte)(packetId >> 8), (byte)packetId, (byte)reason], text, maximumSize, []);

    // reason code | properties
    public static byte[] Auth(ReasonCode reason, PropertyWriter properties) => WithProperties(0xF0, [(byte)reason], properties, []);

    /// <summary>The return code of 3.1.1 for a reason code, or 0xFF for one that 3.1.1 cannot say (then the connection is only closed).</summary>
    public static byte ReturnCode(ReasonCode reason) => reason switch
    {
        ReasonCode.Success => 0,
        ReasonCode.UnsupportedProtocolVersion => 1,
        ReasonCode.ClientIdentifierNotValid => 2,
        ReasonCode.ServerUnavailable or ReasonCode.ServerBusy or ReasonCode.ConnectionRateExceeded or ReasonCode.UseAnotherServer => 3,
        ReasonCode.BadUserNameOrPassword => 4,
        ReasonCode.NotAuthorized or ReasonCode.Banned => 5,
        _ => 0xFF,
    };

    /// <summary>
    /// With a Server Reference and a Reason String; without what would make the packet larger than the client takes, the text first.
    /// [MQTT-3.2.2-19] [MQTT-3.14.2-3]
    /// </summary>
    private static byte[] Explained(
        byte first, ReadOnlySpan<byte> head, string? text, uint maximumSize, ReadOnlySpan<byte> payload, string? otherServer = null)
    {
        foreach (var (isTold, isNamed) in new[] { (true, true), (false, true), (true, false) })
        {
            if ((isTold && text is null) || (isNamed && otherServer is null))
            {
                continue;
            }
            var properties = new PropertyWriter();
            _ = isNamed ? properties.Text(PropertyId.ServerReference, otherServer!) : properties;
            _ = isTold ? properties.Text(PropertyId.ReasonString, text!) : properties;
            var packet = WithProperties(first, head, properties, payload);
            if ((uint)packet.Length <= maximumSize)
            {
                return packet;
            }
        }
        return WithProperties(first, head, new PropertyWriter(), payload);
    }

    private static byte[] WithProperties(byte first, ReadOnlySpan<byte> head, PropertyWriter? properties, ReadOnlySpan<byte> payload)
    {
        var propertyBytes = properties is null ? 0 : VariableByteInteger.Size(properties.Length) + properties.Length;
        var remaining = head.Length + propertyBytes + payload.Length;
        var packet = new byte[1 + VariableByteInteger.Size(remaining) + remaining];
        packet[0] = first;
        var at = 1 + VariableByteInteger.Write(packet.AsSpan(1), remaining);
        head.CopyTo(packet.AsSpan(at));
        at += head.Length;
        if (properties is not null)
        {
            at += VariableByteInteger.Write(packet.AsSpan(at), properties.Length);
            properties.Written.CopyTo(packet.AsSpan(at));
            at += properties.Length;
        }
        payload.CopyTo(packet.AsSpan(at));
        return packet;
    }
}
