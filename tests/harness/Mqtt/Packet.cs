using System.Buffers.Binary;
using System.Text;
using Xunit;

namespace IotHub.Harness.Mqtt;

/// <summary>Fields of a CONNECT that a test wants to be otherwise than usual.</summary>
public sealed record ConnectOptions
{
    public byte Level { get; init; } = 5;
    public string ClientId { get; init; } = "";
    public bool CleanStart { get; init; } = true;
    public ushort KeepAlive { get; init; } = 60;

    /// <summary>Bytes of the properties without their length (5.0).</summary>
    public byte[] Properties { get; init; } = [];

    public string? UserName { get; init; }
    public byte[]? Password { get; init; }
    public WillOptions? Will { get; init; }
}

public sealed record WillOptions(string Topic, string Payload, byte Qos = 0, bool Retain = false)
{
    public byte[] Properties { get; init; } = [];
}

/// <summary>Builds whole packets, byte by byte and independent of the broker's own code.</summary>
public static class Packet
{
    public static byte[] Connect(ConnectOptions options)
    {
        var flags = (byte)((options.CleanStart ? 2 : 0) | (options.UserName is null ? 0 : 0x80) | (options.Password is null ? 0 : 0x40)
            | (options.Will is null ? 0 : 4 | (options.Will.Qos << 3) | (options.Will.Retain ? 0x20 : 0)));
        var isV5 = options.Level == 5;
        var body = new List<byte>();
        body.AddRange(Text(options.Level == 3 ? "MQIsdp" : "MQTT"));
        body.AddRange([options.Level, flags, (byte)(options.KeepAlive >> 8), (byte)options.KeepAlive]);
        body.AddRange(isV5 ? WithLength(options.Properties) : []);
        body.AddRange(Text(options.ClientId));
        if (options.Will is { } will)
        {
            body.AddRange(isV5 ? WithLength(will.Properties) : []);
            body.AddRange(Text(will.Topic));
            body.AddRange(Text(will.Payload));
        }
        body.AddRange(options.UserName is null ? [] : Text(options.UserName));
        body.AddRange(options.Password is null ? [] : Binary(options.Password));
        return Whole(0x10, [.. body]);
    }

    /// <summary>A CONNECT of 5.0 with these flags, properties and payload, whatever they mean.</summary>
    /// <param name="propertiesHex">Without their length.</param>
    public static byte[] RawConnect(string flagsHex, string payloadHex, string propertiesHex = "") => Whole(
        0x10, [.. Text("MQTT"), 5, .. Hex.Read(flagsHex), 0, 60, .. WithLength(Hex.Read(propertiesHex)), .. Hex.Read(payloadHex)]);

    public static byte[] Publish(
        string topic, string payload, byte qos = 0, ushort id = 0, bool retain = false, bool dup = false, bool isV5 = true, byte[]? properties = null)
    {
        var body = new List<byte>(Text(topic));
        if (qos > 0)
        {
            body.AddRange(UInt16(id));
        }
        body.AddRange(isV5 ? WithLength(properties ?? []) : []);
        body.AddRange(Encoding.UTF8.GetBytes(payload));
        return Whole((byte)(0x30 | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0)), [.. body]);
    }

    public static byte[] Subscribe(ushort id, bool isV5, int subscriptionId, params (string Filter, byte Options)[] filters)
    {
        var body = new List<byte>(UInt16(id));
        body.AddRange(isV5 ? WithLength(subscriptionId == 0 ? [] : [0x0B, .. VarInt(subscriptionId)]) : []);
        foreach (var (filter, options) in filters)
        {
            body.AddRange(Text(filter));
            body.Add(options);
        }
        return Whole(0x82, [.. body]);
    }

    public static byte[] Unsubscribe(ushort id, bool isV5, params string[] filters)
    {
        var body = new List<byte>(UInt16(id));
        body.AddRange(isV5 ? new byte[] { 0 } : []);
        foreach (var filter in filters)
        {
            body.AddRange(Text(filter));
        }
        return Whole(0xA2, [.. body]);
    }

    /// <summary>PUBACK 4, PUBREC 5, PUBREL 6, PUBCOMP 7 in the short form.</summary>
    public static byte[] Ack(int type, ushort id) => [(byte)((type << 4) | (type == 6 ? 2 : 0)), 2, (byte)(id >> 8), (byte)id];

    /// <summary>The long form with a reason code.</summary>
    public static byte[] Ack(int type, ushort id, byte reason) =>
        [(byte)((type << 4) | (type == 6 ? 2 : 0)), 3, (byte)(id >> 8), (byte)id, reason];

    public static byte[] Whole(byte first, byte[] body) => [first, .. VarInt(body.Length), .. body];

    public static byte[] Text(string text) => Binary(Encoding.UTF8.GetBytes(text));

    public static byte[] Binary(byte[] bytes) => [.. UInt16((ushort)bytes.Length), .. bytes];

    public static byte[] WithLength(byte[] properties) => [.. VarInt(properties.Length), .. properties];

    public static byte[] UInt16(ushort value) => [(byte)(value >> 8), (byte)value];

    public static byte[] UInt32(uint value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        return bytes;
    }

    public static byte[] VarInt(int value)
    {
        var bytes = new List<byte>();
        do
        {
            bytes.Add((byte)((value & 0x7F) | (value > 127 ? 0x80 : 0)));
            value >>= 7;
        }
        while (value > 0);
        return [.. bytes];
    }

    /// <summary>A property of four bytes, two bytes, one byte or text.</summary>
    public static byte[] Property(byte id, uint value) => [id, .. UInt32(value)];

    public static byte[] Property(byte id, ushort value) => [id, .. UInt16(value)];

    public static byte[] Property(byte id, byte value) => [id, value];

    public static byte[] Property(byte id, string value) => [id, .. Text(value)];

    public static byte[] UserProperty(string name, string value) => [0x26, .. Text(name), .. Text(value)];
}

/// <summary>A PUBLISH that a client received, taken apart.</summary>
public sealed record ReceivedPublish(string Topic, string Payload, byte Qos, bool Retain, bool Dup, ushort Id, byte[] Properties)
{
    public static ReceivedPublish Read(byte[] packet, bool isV5)
    {
        Assert.True(packet[0] >> 4 == 3, $"expected a PUBLISH, got {Hex.Write(packet)}");
        var at = 1;
        TakeVarInt(packet, ref at);
        var topicLength = (packet[at] << 8) | packet[at + 1];
        var topic = Encoding.UTF8.GetString(packet, at + 2, topicLength);
        at += 2 + topicLength;
        var qos = (byte)((packet[0] >> 1) & 3);
        ushort id = 0;
        if (qos > 0)
        {
            id = (ushort)((packet[at] << 8) | packet[at + 1]);
            at += 2;
        }
        byte[] properties = [];
        if (isV5)
        {
            var length = TakeVarInt(packet, ref at);
            properties = packet[at..(at + length)];
            at += length;
        }
        return new ReceivedPublish(
            topic, Encoding.UTF8.GetString(packet, at, packet.Length - at), qos, (packet[0] & 1) != 0, (packet[0] & 8) != 0, id, properties);
    }

    private static int TakeVarInt(byte[] bytes, ref int at)
    {
        var value = 0;
        for (var shift = 0; ; shift += 7)
        {
            var b = bytes[at++];
            value |= (b & 0x7F) << shift;
            if ((b & 0x80) == 0)
            {
                return value;
            }
        }
    }
}
