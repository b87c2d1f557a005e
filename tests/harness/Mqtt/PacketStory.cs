namespace IotHub.Harness.Mqtt;

/// <summary>Packets of a broker in words that a test can compare: <c>PUBLISH 1 dup #7 t=hello</c>, <c>PUBACK #7</c>.</summary>
public static class PacketStory
{
    private static readonly string[] Names =
    [
        "?", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK",
        "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
    ];

    /// <summary>Takes what the client has received since the last call.</summary>
    public static string[] TakeStory(this MemoryClient client, bool isV5 = true) => [.. Split(client.TakeReceived()).Select(p => Tell(p, isV5))];

    /// <summary>Whole packets, one by one.</summary>
    /// <exception cref="InvalidDataException">The bytes end within one.</exception>
    public static IEnumerable<byte[]> Split(byte[] bytes)
    {
        for (var at = 0; at < bytes.Length;)
        {
            var size = FirstPacket(bytes.AsSpan(at));
            yield return size > 0 ? bytes[at..(at + size)] : throw new InvalidDataException("the bytes end within a packet");
            at += size;
        }
    }

    /// <summary>How many of the bytes are whole packets.</summary>
    public static int WholePackets(byte[] bytes)
    {
        var whole = 0;
        while (FirstPacket(bytes.AsSpan(whole)) is var size and > 0)
        {
            whole += size;
        }
        return whole;
    }

    /// <summary>Bytes of the first packet; 0 when it is not whole.</summary>
    private static int FirstPacket(ReadOnlySpan<byte> bytes)
    {
        var length = 0;
        for (var at = 1; at < bytes.Length; at++)
        {
            length |= (bytes[at] & 0x7F) << (7 * (at - 1));
            if ((bytes[at] & 0x80) == 0)
            {
                return at + 1 + length <= bytes.Length ? at + 1 + length : 0;
            }
        }
        return 0;
    }

    /// <summary>One packet.</summary>
    public static string Tell(byte[] packet, bool isV5)
    {
        var name = Names[packet[0] >> 4];
        switch (packet[0] >> 4)
        {
            case 2:
                return $"{name} {((packet[2] & 1) != 0 ? "present" : "new")}{(packet[3] == 0 ? "" : $" {packet[3]:x2}")}";
            case 3:
                var publish = ReceivedPublish.Read(packet, isV5);
                return $"{name} {publish.Qos}{(publish.Dup ? " dup" : "")}{(publish.Retain ? " retain" : "")}"
                    + $"{(publish.Qos > 0 ? $" #{publish.Id}" : "")} {publish.Topic}={publish.Payload}";
            case 4 or 5 or 6 or 7:
                return $"{name} #{(packet[2] << 8) | packet[3]}{(packet.Length > 4 && packet[4] != 0 ? $" {packet[4]:x2}" : "")}";
            case 9 or 11:
                var codes = packet[(isV5 ? 5 + packet[4] : 4)..];
                return $"{name} #{(packet[2] << 8) | packet[3]} {Convert.ToHexStringLower(codes)}".TrimEnd();
            case 14:
                return packet.Length > 2 ? $"{name} {packet[2]:x2}" : name;
            default:
                return name;
        }
    }
}
