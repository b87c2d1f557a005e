namespace IotHub.Broker.Protocol;

/// <summary>Property identifiers (MQTT 5.0 section 2.2.2.2).</summary>
public enum PropertyId : byte
{
    PayloadFormatIndicator = 0x01,
    MessageExpiryInterval = 0x02,
    ContentType = 0x03,
    ResponseTopic = 0x08,
    CorrelationData = 0x09,
    SubscriptionIdentifier = 0x0B,
    SessionExpiryInterval = 0x11,
    AssignedClientIdentifier = 0x12,
    ServerKeepAlive = 0x13,
    AuthenticationMethod = 0x15,
    AuthenticationData = 0x16,
    RequestProblemInformation = 0x17,
    WillDelayInterval = 0x18,
    RequestResponseInformation = 0x19,
    ResponseInformation = 0x1A,
    ServerReference = 0x1C,
    ReasonString = 0x1F,
    ReceiveMaximum = 0x21,
    TopicAliasMaximum = 0x22,
    TopicAlias = 0x23,
    MaximumQos = 0x24,
    RetainAvailable = 0x25,
    UserProperty = 0x26,
    MaximumPacketSize = 0x27,
    WildcardSubscriptionAvailable = 0x28,
    SubscriptionIdentifierAvailable = 0x29,
    SharedSubscriptionAvailable = 0x2A,
}

/// <summary>The places where properties stand, as the table of section 2.2.2.2 has them.</summary>
[Flags]
public enum PropertyPlace
{
    None = 0,
    Connect = 1,
    Will = 2,
    ConnAck = 4,
    Publish = 8,
    Acks = 16,
    Subscribe = 32,
    SubAcks = 64,
    Unsubscribe = 128,
    Disconnect = 256,
    Auth = 512,
}

public enum PropertyType : byte { None, Byte, TwoBytes, FourBytes, VarInt, Utf8, Binary, Utf8Pair }

/// <summary>The table: type and places of each property. One row per identifier; 0x00 and gaps are unknown.</summary>
public static class PropertyTable
{
    private const PropertyPlace Everywhere = PropertyPlace.Connect | PropertyPlace.Will | PropertyPlace.ConnAck | PropertyPlace.Publish
        | PropertyPlace.Acks | PropertyPlace.Subscribe | PropertyPlace.SubAcks | PropertyPlace.Unsubscribe | PropertyPlace.Disconnect
        | PropertyPlace.Auth;

    public static (PropertyType Type, PropertyPlace Places) Row(PropertyId id) => id switch
    {
        PropertyId.PayloadFormatIndicator => (PropertyType.Byte, PropertyPlace.Publish | PropertyPlace.Will),
        PropertyId.MessageExpiryInterval => (PropertyType.FourBytes, PropertyPlace.Publish | PropertyPlace.Will),
        PropertyId.ContentType => (PropertyType.Utf8, PropertyPlace.Publish | PropertyPlace.Will),
        PropertyId.ResponseTopic => (PropertyType.Utf8, PropertyPlace.Publish | PropertyPlace.Will),
        PropertyId.CorrelationData => (PropertyType.Binary, PropertyPlace.Publish | PropertyPlace.Will),
        PropertyId.SubscriptionIdentifier => (PropertyType.VarInt, PropertyPlace.Publish | PropertyPlace.Subscribe),
        PropertyId.SessionExpiryInterval =>
            (PropertyType.FourBytes, PropertyPlace.Connect | PropertyPlace.ConnAck | PropertyPlace.Disconnect),
        PropertyId.AssignedClientIdentifier => (PropertyType.Utf8, PropertyPlace.ConnAck),
        PropertyId.ServerKeepAlive => (PropertyType.TwoBytes, PropertyPlace.ConnAck),
        PropertyId.AuthenticationMethod => (PropertyType.Utf8, PropertyPlace.Connect | PropertyPlace.ConnAck | PropertyPlace.Auth),
        PropertyId.AuthenticationData => (PropertyType.Binary, PropertyPlace.Connect | PropertyPlace.ConnAck | PropertyPlace.Auth),
        PropertyId.RequestProblemInformation => (PropertyType.Byte, PropertyPlace.Connect),
        PropertyId.WillDelayInterval => (PropertyType.FourBytes, PropertyPlace.Will),
        PropertyId.RequestResponseInformation => (PropertyType.Byte, PropertyPlace.Connect),
        PropertyId.ResponseInformation => (PropertyType.Utf8, PropertyPlace.ConnAck),
        PropertyId.ServerReference => (PropertyType.Utf8, PropertyPlace.ConnAck | PropertyPlace.Disconnect),
        PropertyId.ReasonString => (PropertyType.Utf8,
            PropertyPlace.ConnAck | PropertyPlace.Acks | PropertyPlace.SubAcks | PropertyPlace.Disconnect | PropertyPlace.Auth),
        PropertyId.ReceiveMaximum => (PropertyType.TwoBytes, PropertyPlace.Connect | PropertyPlace.ConnAck),
        PropertyId.TopicAliasMaximum => (PropertyType.TwoBytes, PropertyPlace.Connect | PropertyPlace.ConnAck),
        PropertyId.TopicAlias => (PropertyType.TwoBytes, PropertyPlace.Publish),
        PropertyId.MaximumQos => (PropertyType.Byte, PropertyPlace.ConnAck),
        PropertyId.RetainAvailable => (PropertyType.Byte, PropertyPlace.ConnAck),
        PropertyId.UserProperty => (PropertyType.Utf8Pair, Everywhere),
        PropertyId.MaximumPacketSize => (PropertyType.FourBytes, PropertyPlace.Connect | PropertyPlace.ConnAck),
        PropertyId.WildcardSubscriptionAvailable => (PropertyType.Byte, PropertyPlace.ConnAck),
        PropertyId.SubscriptionIdentifierAvailable => (PropertyType.Byte, PropertyPlace.ConnAck),
        PropertyId.SharedSubscriptionAvailable => (PropertyType.Byte, PropertyPlace.ConnAck),
        _ => (PropertyType.None, PropertyPlace.None),
    };
}

/// <summary>
/// Walks the properties of one packet: each identifier known, allowed in this place, at most once unless it is a User Property, each
/// value whole and, if text, valid. The value is read through <see cref="Number"/> or <see cref="Value"/>.
/// </summary>
public ref struct PropertyReader
{
    private readonly PropertyPlace _place;
    private PacketReader _reader;
    private ulong _seen;

    /// <summary>Takes the property length and the properties off <paramref name="packet"/>.</summary>
    public PropertyReader(scoped ref PacketReader packet, PropertyPlace place)
    {
        _place = place;
        All = packet.Bytes(packet.VarInt());
        _reader = new PacketReader(All);
    }

    /// <summary>All properties as they came, without their length.</summary>
    public ReadOnlySpan<byte> All { get; }

    public PropertyId Id { get; private set; }

    /// <summary>Value of a Byte, Two Byte, Four Byte or Variable Byte property.</summary>
    public uint Number { get; private set; }

    /// <summary>Value of a string or binary property, without its length.</summary>
    public ReadOnlySpan<byte> Value { get; private set; }

    /// <summary>The current property as it came: identifier and value.</summary>
    public ReadOnlySpan<byte> Raw { get; private set; }

    public bool Next()
    {
        if (_reader.AtEnd)
        {
            return false;
        }
        var before = _reader.Rest;
        var id = _reader.VarInt();
        var (type, places) = id <= byte.MaxValue ? PropertyTable.Row((PropertyId)id) : (PropertyType.None, PropertyPlace.None);
        if ((places & _place) == 0)
        {
            MqttException.Malformed($"property 0x{id:X2} is unknown or not allowed here");
        }
        Id = (PropertyId)id;
        if (Id != PropertyId.UserProperty && (_seen & (1UL << id)) != 0)
        {
            MqttException.Protocol($"property 0x{id:X2} stands twice");
        }
        _seen |= 1UL << id;
        ReadValue(type);
        Raw = before[..(before.Length - _reader.Rest.Length)];
        return true;
    }

    private void ReadValue(PropertyType type)
    {
        switch (type)
        {
            case PropertyType.Byte:
                Number = _reader.Byte();
                break;
            case PropertyType.TwoBytes:
                Number = _reader.UInt16();
                break;
            case PropertyType.FourBytes:
                Number = _reader.UInt32();
                break;
            case PropertyType.VarInt:
                Number = (uint)_reader.VarInt();
                break;
            case PropertyType.Utf8:
                Value = _reader.Utf8();
                break;
            case PropertyType.Binary:
                Value = _reader.Binary();
                break;
            default:
                _reader.Utf8();
                Value = _reader.Utf8();
                break;
        }
    }

    /// <summary>Value of a flag that may only be 0 or 1.</summary>
    public readonly bool Flag()
    {
        if (Number > 1)
        {
            MqttException.Protocol($"property 0x{(byte)Id:X2} may only be 0 or 1");
        }
        return Number == 1;
    }

    /// <summary>Value of a number that may not be 0.</summary>
    public readonly uint NotZero()
    {
        if (Number == 0)
        {
            MqttException.Protocol($"property 0x{(byte)Id:X2} may not be 0");
        }
        return Number;
    }
}
