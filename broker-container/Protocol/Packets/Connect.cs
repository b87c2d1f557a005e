namespace IotHub.Broker.Protocol.Packets;

/// <summary>A will as CONNECT carries it.</summary>
/// <param name="Properties">Properties that travel with the message (0x01 0x03 0x08 0x09 0x26), as they came.</param>
/// <param name="ExpirySeconds">Message Expiry Interval, counted from publication; null for none.</param>
public sealed record Will(
    string Topic, byte[] Payload, byte Qos, bool Retain, uint DelaySeconds, byte[] Properties, uint? ExpirySeconds, bool PayloadIsText);

/// <summary>CONNECT (MQTT 5.0 section 3.1). For 3.1 and 3.1.1 the 5.0 fields hold what those versions mean.</summary>
public sealed record Connect
{
    public const uint NeverExpires = uint.MaxValue;

    /// <summary>Size of a CONNACK of 5.0 without properties.</summary>
    public const uint ShortestConnAck = 5;

    public required byte Level { get; init; }
    public required bool CleanStart { get; init; }
    public required ushort KeepAliveSeconds { get; init; }
    public string ClientId { get; private set; } = "";
    public string? UserName { get; private set; }
    public byte[]? Password { get; private set; }
    public Will? Will { get; private set; }
    public uint SessionExpirySeconds { get; private set; }
    public ushort ReceiveMaximum { get; private set; } = ushort.MaxValue;
    public uint MaximumPacketSize { get; private set; } = uint.MaxValue;
    public ushort TopicAliasMaximum { get; private set; }
    public bool RequestProblemInformation { get; private set; } = true;
    public bool RequestResponseInformation { get; private set; }
    public string? AuthenticationMethod { get; private set; }
    public byte[]? AuthenticationData { get; private set; }
    public required int RemainingLength { get; init; }

    public bool IsV5 => Level == ProtocolLevel.Mqtt5;

    // protocol name | level | flags | keep alive | [properties] | client id | [will properties, topic, payload] | [user name] | [password]
    /// <param name="maximumPacketSize">
    /// What a refusal of this packet may take. Until the client's own limit has been read it is the size of the shortest one, so that a
    /// text never breaks a limit that stands behind the mistake.
    /// </param>
    public static Connect Read(byte firstByte, ReadOnlySpan<byte> body, out uint maximumPacketSize)
    {
        maximumPacketSize = ShortestConnAck;
        if ((firstByte & 0x0F) != 0)
        {
            MqttException.Malformed("reserved flags of CONNECT [MQTT-2.1.3-1]");
        }
        var reader = new PacketReader(body);
        var level = ReadLevel(ref reader);
        var flags = ReadFlags(ref reader, level);
        var keepAlive = reader.UInt16();
        var connect = new Connect
        {
            Level = level,
            CleanStart = (flags & 0x02) != 0,
            KeepAliveSeconds = keepAlive,
            RemainingLength = body.Length,
            // CleanSession 0 of 3.1.1 keeps the session without limit of time.
            SessionExpirySeconds = level < ProtocolLevel.Mqtt5 && (flags & 0x02) == 0 ? NeverExpires : 0,
        };
        if (level == ProtocolLevel.Mqtt5)
        {
            connect.ReadProperties(ref reader);
        }
        maximumPacketSize = connect.MaximumPacketSize;
        connect.ClientId = reader.String();
        connect.Will = (flags & 0x04) != 0 ? ReadWill(ref reader, flags, level) : null;
        connect.UserName = (flags & 0x80) != 0 ? reader.String() : null;
        connect.Password = (flags & 0x40) != 0 ? reader.Binary().ToArray() : null;
        reader.End();
        return connect;
    }

    private static byte ReadLevel(ref PacketReader reader)
    {
        var name = reader.Binary();
        var level = reader.Byte();
        var isMqtt = name.SequenceEqual("MQTT"u8);
        var isOldName = name.SequenceEqual("MQIsdp"u8);
        if ((isMqtt && level is ProtocolLevel.Mqtt311 or ProtocolLevel.Mqtt5) || (isOldName && level == ProtocolLevel.Mqtt31))
        {
            return level;
        }
        // [MQTT-3.1.2-1] [MQTT-3.1.2-2]: another name is not MQTT at all; another level is told so.
        throw isMqtt || isOldName
            ? new UnsupportedLevelException(level)
            : new MqttException(ReasonCode.UnsupportedProtocolVersion, "the protocol name is not MQTT");
    }

    private static byte ReadFlags(ref PacketReader reader, byte level)
    {
        var flags = reader.Byte();
        if ((flags & 0x01) != 0)
        {
            MqttException.Malformed("the reserved connect flag is set [MQTT-3.1.2-3]");
        }
        if (((flags >> 3) & 3) == 3 || ((flags & 0x04) == 0 && (flags & 0x38) != 0))
        {
            MqttException.Malformed("will flags do not fit together [MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-13]");
        }
        if (level < ProtocolLevel.Mqtt5 && (flags & 0xC0) == 0x40)
        {
            MqttException.Malformed("a password without a user name (3.1.1: MQTT-3.1.2-22)");
        }
        return flags;
    }

    private void ReadProperties(ref PacketReader reader)
    {
        var properties = new PropertyReader(ref reader, PropertyPlace.Connect);
        while (properties.Next())
        {
            switch (properties.Id)
            {
                case PropertyId.SessionExpiryInterval:
                    SessionExpirySeconds = properties.Number;
                    break;
                case PropertyId.ReceiveMaximum:
                    ReceiveMaximum = (ushort)properties.NotZero();
                    break;
                case PropertyId.MaximumPacketSize:
                    MaximumPacketSize = properties.NotZero();
                    break;
                case PropertyId.TopicAliasMaximum:
                    TopicAliasMaximum = (ushort)properties.Number;
                    break;
                case PropertyId.RequestProblemInformation:
                    RequestProblemInformation = properties.Flag();
                    break;
                case PropertyId.RequestResponseInformation:
                    RequestResponseInformation = properties.Flag();
                    break;
                case PropertyId.AuthenticationMethod:
                    AuthenticationMethod = Utf8Text.Decode(properties.Value);
                    break;
                case PropertyId.AuthenticationData:
                    AuthenticationData = properties.Value.ToArray();
                    break;
                default:
                    break;
            }
        }
        if (AuthenticationData is not null && AuthenticationMethod is null)
        {
            MqttException.Protocol("authentication data without a method");
        }
    }

    private static Will ReadWill(ref PacketReader reader, byte flags, byte level)
    {
        uint delay = 0;
        uint? expiry = null;
        var isText = false;
        var forwarded = new List<byte>();
        if (level == ProtocolLevel.Mqtt5)
        {
            var properties = new PropertyReader(ref reader, PropertyPlace.Will);
            while (properties.Next())
            {
                switch (properties.Id)
                {
                    case PropertyId.WillDelayInterval:
                        delay = properties.Number;
                        break;
                    case PropertyId.MessageExpiryInterval:
                        expiry = properties.Number;
                        break;
                    default:
                        isText |= properties.Id == PropertyId.PayloadFormatIndicator && properties.Flag();
                        Publish.CheckResponseTopic(properties);
                        forwarded.AddRange(properties.Raw);
                        break;
                }
            }
        }
        var topic = reader.Utf8();
        if (!Topics.TopicBytes.IsValidName(topic))
        {
            throw new MqttException(ReasonCode.TopicNameInvalid, "the will topic is empty or holds a wildcard");
        }
        return new Will(
            Utf8Text.Decode(topic), reader.Binary().ToArray(), (byte)((flags >> 3) & 3), (flags & 0x20) != 0, delay, [.. forwarded], expiry, isText);
    }
}

/// <summary>The client speaks MQTT at a level that this server does not. [MQTT-3.1.2-2]</summary>
public sealed class UnsupportedLevelException(byte level) : Exception($"protocol level {level} is not supported")
{
    public byte Level { get; } = level;
}
