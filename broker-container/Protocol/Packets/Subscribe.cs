namespace IotHub.Broker.Protocol.Packets;

/// <summary>Options of one subscription (MQTT 5.0 section 3.8.3.1).</summary>
/// <param name="RetainHandling">0 send retained, 1 only for a new subscription, 2 never.</param>
public readonly record struct SubscriptionOptions(byte Qos, bool NoLocal, bool RetainAsPublished, byte RetainHandling);

/// <summary>One filter of a SUBSCRIBE.</summary>
public readonly record struct SubscribeEntry(string Filter, SubscriptionOptions Options);

/// <summary>SUBSCRIBE (MQTT 5.0 section 3.8).</summary>
/// <param name="SubscriptionId">1 to 268,435,455, or 0 for none.</param>
public sealed record Subscribe(ushort PacketId, IReadOnlyList<SubscribeEntry> Entries, int SubscriptionId)
{
    // packet id | [properties] | (filter | options)+
    public static Subscribe Read(byte firstByte, ReadOnlySpan<byte> body, bool isV5, int maximumFilters)
    {
        if ((firstByte & 0x0F) != 2)
        {
            MqttException.Malformed("reserved flags of SUBSCRIBE [MQTT-3.8.1-1]");
        }
        var reader = new PacketReader(body);
        var packetId = reader.UInt16();
        if (packetId == 0)
        {
            MqttException.Protocol("packet identifier 0 [MQTT-2.2.1-3]");
        }
        var subscriptionId = isV5 ? ReadSubscriptionId(ref reader) : 0;
        if (reader.AtEnd)
        {
            MqttException.Protocol("SUBSCRIBE without a filter [MQTT-3.8.3-2]");
        }
        var entries = new List<SubscribeEntry>(1);
        while (!reader.AtEnd)
        {
            if (entries.Count == maximumFilters)
            {
                throw new MqttException(ReasonCode.QuotaExceeded, $"more than {maximumFilters} filters in one SUBSCRIBE");
            }
            var filter = reader.String();
            entries.Add(new SubscribeEntry(filter, ReadOptions(reader.Byte(), isV5)));
        }
        return new Subscribe(packetId, entries, subscriptionId);
    }

    private static int ReadSubscriptionId(ref PacketReader reader)
    {
        var id = 0;
        var properties = new PropertyReader(ref reader, PropertyPlace.Subscribe);
        while (properties.Next())
        {
            id = properties.Id == PropertyId.SubscriptionIdentifier ? (int)properties.NotZero() : id;
        }
        return id;
    }

    private static SubscriptionOptions ReadOptions(byte options, bool isV5)
    {
        if ((options & 3) == 3)
        {
            MqttException.InvalidQos(isV5 ? ReasonCode.ProtocolError : ReasonCode.MalformedPacket, 3, "QoS 3 in SUBSCRIBE [MQTT-3.8.3-4]");
        }
        if ((options & (isV5 ? 0xC0 : 0xFC)) != 0)
        {
            MqttException.Malformed("reserved bits of the subscription options [MQTT-3.8.3-5]");
        }
        var handling = (byte)((options >> 4) & 3);
        if (handling == 3)
        {
            MqttException.Protocol("retain handling 3");
        }
        return new SubscriptionOptions((byte)(options & 3), (options & 4) != 0, (options & 8) != 0, handling);
    }
}

/// <summary>UNSUBSCRIBE (MQTT 5.0 section 3.10).</summary>
public sealed record Unsubscribe(ushort PacketId, IReadOnlyList<string> Filters)
{
    // packet id | [properties] | filter+
    public static Unsubscribe Read(byte firstByte, ReadOnlySpan<byte> body, bool isV5, int maximumFilters)
    {
        if ((firstByte & 0x0F) != 2)
        {
            MqttException.Malformed("reserved flags of UNSUBSCRIBE [MQTT-3.10.1-1]");
        }
        var reader = new PacketReader(body);
        var packetId = reader.UInt16();
        if (packetId == 0)
        {
            MqttException.Protocol("packet identifier 0 [MQTT-2.2.1-3]");
        }
        if (isV5)
        {
            var properties = new PropertyReader(ref reader, PropertyPlace.Unsubscribe);
            while (properties.Next())
            {
                // User properties are checked, not used.
            }
        }
        if (reader.AtEnd)
        {
            MqttException.Protocol("UNSUBSCRIBE without a filter [MQTT-3.10.3-2]");
        }
        var filters = new List<string>(4);
        while (!reader.AtEnd)
        {
            if (filters.Count == maximumFilters)
            {
                throw new MqttException(ReasonCode.QuotaExceeded, $"more than {maximumFilters} filters in one UNSUBSCRIBE");
            }
            filters.Add(reader.String());
        }
        return new Unsubscribe(packetId, filters);
    }
}
