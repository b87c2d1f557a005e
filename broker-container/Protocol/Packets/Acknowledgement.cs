using System.Buffers.Binary;

namespace IotHub.Broker.Protocol.Packets;

/// <summary>PUBACK, PUBREC, PUBREL and PUBCOMP (MQTT 5.0 sections 3.4 to 3.7): one layout.</summary>
public readonly record struct Acknowledgement(ushort PacketId, ReasonCode Reason)
{
    /// <summary>Largest size of what <see cref="Write"/> writes.</summary>
    public const int MaximumSize = 5;

    // packet id | [reason code] | [properties]: both left out when Success and no property; 3.1.1 has neither
    public static Acknowledgement Read(PacketType type, byte firstByte, ReadOnlySpan<byte> body, bool isV5)
    {
        if ((firstByte & 0x0F) != (type == PacketType.PubRel ? 2 : 0))
        {
            MqttException.Malformed("reserved flags of an acknowledgement [MQTT-2.1.3-1] [MQTT-3.6.1-1]");
        }
        var reader = new PacketReader(body);
        var id = reader.UInt16();
        if (id == 0)
        {
            MqttException.Protocol("packet identifier 0");
        }
        var reason = ReasonCode.Success;
        if (isV5 && !reader.AtEnd)
        {
            reason = (ReasonCode)reader.Byte();
            CheckReason(type, reason);
            if (!reader.AtEnd)
            {
                var properties = new PropertyReader(ref reader, PropertyPlace.Acks);
                while (properties.Next())
                {
                    // Reason strings and user properties of a client are checked, not used.
                }
            }
        }
        reader.End();
        return new Acknowledgement(id, reason);
    }

    private static void CheckReason(PacketType type, ReasonCode reason)
    {
        var known = type is PacketType.PubAck or PacketType.PubRec
            ? reason is ReasonCode.Success or ReasonCode.NoMatchingSubscribers or ReasonCode.UnspecifiedError
                or ReasonCode.ImplementationSpecificError or ReasonCode.NotAuthorized or ReasonCode.TopicNameInvalid
                or ReasonCode.PacketIdentifierInUse or ReasonCode.QuotaExceeded or ReasonCode.PayloadFormatInvalid
            : reason is ReasonCode.Success or ReasonCode.PacketIdentifierNotFound;
        if (!known)
        {
            MqttException.Protocol($"reason code 0x{(byte)reason:X2} does not belong to {type}");
        }
    }

    /// <summary>Writes the acknowledgement and returns its size: 4 bytes, or 5 with a reason code that is not Success.</summary>
    public static int Write(Span<byte> target, PacketType type, ushort packetId, ReasonCode reason, bool isV5)
    {
        var withReason = isV5 && reason != ReasonCode.Success;
        target[0] = (byte)((byte)type << 4 | (type == PacketType.PubRel ? 2 : 0));
        target[1] = (byte)(withReason ? 3 : 2);
        BinaryPrimitives.WriteUInt16BigEndian(target[2..], packetId);
        if (!withReason)
        {
            return 4;
        }
        target[4] = (byte)reason;
        return 5;
    }
}
