using System.Buffers.Binary;

namespace IotHub.Broker.Protocol.Packets;

/// <summary>
/// PUBLISH (MQTT 5.0 section 3.3) as slices of the receive buffer. The topic is not validated here: the topic table does that the first
/// time it sees the bytes.
/// </summary>
public ref struct Publish
{
    public byte Qos { get; private set; }
    public bool Dup { get; private set; }
    public bool Retain { get; private set; }

    /// <summary>1 to 65,535 for QoS 1 and 2, else 0.</summary>
    public ushort PacketId { get; private set; }

    public ReadOnlySpan<byte> Topic { get; private set; }
    public ReadOnlySpan<byte> Payload { get; private set; }

    /// <summary>All properties as they came, without their length; empty for 3.1.1.</summary>
    public ReadOnlySpan<byte> Properties { get; private set; }

    /// <summary>True when <see cref="Properties"/> holds only what travels on unchanged.</summary>
    public bool AllPropertiesForwarded { get; private set; }

    public uint? ExpirySeconds { get; private set; }

    /// <summary>0 when there is none.</summary>
    public ushort TopicAlias { get; private set; }

    public bool PayloadIsText { get; private set; }

    // topic name | [packet id] | [properties] | payload
    public static Publish Read(byte firstByte, ReadOnlySpan<byte> body, bool isV5)
    {
        var publish = new Publish
        {
            Qos = (byte)((firstByte >> 1) & 3),
            Dup = (firstByte & 8) != 0,
            Retain = (firstByte & 1) != 0,
            AllPropertiesForwarded = true,
        };
        if (publish.Qos == 3)
        {
            MqttException.InvalidQos(ReasonCode.MalformedPacket, 3, "QoS 3 [MQTT-3.3.1-4]");
        }
        if (publish.Qos == 0 && publish.Dup)
        {
            MqttException.Malformed("DUP with QoS 0 [MQTT-3.3.1-2]");
        }
        var reader = new PacketReader(body);
        publish.Topic = reader.Binary();
        if (publish.Qos > 0)
        {
            publish.PacketId = reader.UInt16();
            if (publish.PacketId == 0)
            {
                MqttException.Protocol("packet identifier 0 [MQTT-2.2.1-3]");
            }
        }
        if (isV5)
        {
            publish.ReadProperties(ref reader);
        }
        publish.Payload = reader.Rest;
        return publish;
    }

    private void ReadProperties(ref PacketReader reader)
    {
        if (!reader.AtEnd && reader.Rest[0] == 0)
        {
            reader.Byte();
            return;
        }
        var properties = new PropertyReader(ref reader, PropertyPlace.Publish);
        Properties = properties.All;
        while (properties.Next())
        {
            switch (properties.Id)
            {
                case PropertyId.TopicAlias:
                    TopicAlias = (ushort)properties.Number;
                    AllPropertiesForwarded = false;
                    if (TopicAlias == 0)
                    {
                        throw new MqttException(ReasonCode.TopicAliasInvalid, "topic alias 0 [MQTT-3.3.2-8]");
                    }
                    break;
                case PropertyId.MessageExpiryInterval:
                    ExpirySeconds = properties.Number;
                    AllPropertiesForwarded = false;
                    break;
                case PropertyId.SubscriptionIdentifier:
                    MqttException.Protocol("a client sent a subscription identifier in PUBLISH [MQTT-3.3.4-6]");
                    break;
                case PropertyId.PayloadFormatIndicator:
                    PayloadIsText = properties.Flag();
                    break;
                default:
                    CheckResponseTopic(properties);
                    break;
            }
        }
    }

    /// <summary>A Response Topic may hold no wildcard. [MQTT-3.3.2-14]</summary>
    internal static void CheckResponseTopic(scoped in PropertyReader properties)
    {
        if (properties.Id == PropertyId.ResponseTopic && !Topics.TopicBytes.IsValidName(properties.Value))
        {
            throw new MqttException(ReasonCode.TopicNameInvalid, "the response topic is empty or holds a wildcard [MQTT-3.3.2-14]");
        }
    }

    /// <summary>Copies the properties that travel on, in their order, and returns their size.</summary>
    public readonly int CopyForwarded(Span<byte> target)
    {
        if (AllPropertiesForwarded)
        {
            Properties.CopyTo(target);
            return Properties.Length;
        }
        var copied = 0;
        var rest = Properties;
        while (!rest.IsEmpty)
        {
            var size = SizeOf(rest);
            if ((PropertyId)rest[0] is not (PropertyId.TopicAlias or PropertyId.MessageExpiryInterval))
            {
                rest[..size].CopyTo(target[copied..]);
                copied += size;
            }
            rest = rest[size..];
        }
        return copied;
    }

    /// <summary>The first property of that kind as it stands, or nothing.</summary>
    public readonly ReadOnlySpan<byte> Find(PropertyId id)
    {
        for (var rest = Properties; !rest.IsEmpty;)
        {
            var size = SizeOf(rest);
            if ((PropertyId)rest[0] == id)
            {
                return rest[..size];
            }
            rest = rest[size..];
        }
        return default;
    }

    // Only called on what PropertyReader has accepted.
    private static int SizeOf(ReadOnlySpan<byte> property) => PropertyTable.Row((PropertyId)property[0]).Type switch
    {
        PropertyType.Byte => 2,
        PropertyType.TwoBytes => 3,
        PropertyType.FourBytes => 5,
        PropertyType.Utf8Pair => PairSize(property),
        _ => 3 + BinaryPrimitives.ReadUInt16BigEndian(property[1..]),
    };

    private static int PairSize(ReadOnlySpan<byte> property)
    {
        var name = BinaryPrimitives.ReadUInt16BigEndian(property[1..]);
        return 5 + name + BinaryPrimitives.ReadUInt16BigEndian(property[(3 + name)..]);
    }
}
