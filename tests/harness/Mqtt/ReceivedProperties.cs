using System.Globalization;
using System.Text;
using Xunit;

namespace IotHub.Harness.Mqtt;

/// <summary>The properties of a packet that a client received, in their order.</summary>
public sealed class ReceivedProperties
{
    private readonly List<(byte Id, byte[] Value)> _all = [];

    private ReceivedProperties()
    {
    }

    public IReadOnlyList<byte> Ids => [.. _all.Select(p => p.Id)];

    /// <param name="bytes">Without the property length.</param>
    public static ReceivedProperties Read(byte[] bytes)
    {
        var read = new ReceivedProperties();
        for (var at = 0; at < bytes.Length;)
        {
            var id = bytes[at++];
            var size = id switch
            {
                0x01 or 0x17 or 0x19 or 0x24 or 0x25 or 0x28 or 0x29 or 0x2A => 1,
                0x13 or 0x21 or 0x22 or 0x23 => 2,
                0x02 or 0x11 or 0x18 or 0x27 => 4,
                0x0B => VarIntSize(bytes, at),
                0x26 => PairSize(bytes, at),
                0x03 or 0x08 or 0x09 or 0x12 or 0x15 or 0x16 or 0x1A or 0x1C or 0x1F => 2 + TextSize(bytes, at),
                _ => throw new InvalidOperationException($"no property 0x{id:X2} exists: {Hex.Write(bytes)}"),
            };
            read._all.Add((id, bytes[at..(at + size)]));
            at += size;
        }
        return read;
    }

    public bool Has(byte id) => _all.Exists(p => p.Id == id);

    /// <summary>The value of a property that stands once, as it came: numbers big endian, strings with their length.</summary>
    public byte[] Bytes(byte id) => Assert.Single(_all, p => p.Id == id).Value;

    public uint Number(byte id) => uint.Parse(Convert.ToHexString(Bytes(id)), NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    public string Text(byte id) => Encoding.UTF8.GetString(Bytes(id), 2, Bytes(id).Length - 2);

    /// <summary>Subscription identifiers, smallest first.</summary>
    public int[] SubscriptionIds =>
        [.. _all.Where(p => p.Id == 0x0B).Select(p => p.Value.Select((b, i) => (b & 0x7F) << (7 * i)).Sum()).Order()];

    /// <summary>User properties as <c>name=value</c>, in their order.</summary>
    public string[] UserProperties => [.. _all.Where(p => p.Id == 0x26).Select(p => Pair(p.Value))];

    private static string Pair(byte[] value)
    {
        var name = TextSize(value, 0);
        return $"{Encoding.UTF8.GetString(value, 2, name)}={Encoding.UTF8.GetString(value, 4 + name, value.Length - 4 - name)}";
    }

    private static int TextSize(byte[] bytes, int at) => (bytes[at] << 8) | bytes[at + 1];

    private static int PairSize(byte[] bytes, int at)
    {
        var name = 2 + TextSize(bytes, at);
        return name + 2 + TextSize(bytes, at + name);
    }

    private static int VarIntSize(byte[] bytes, int at)
    {
        var size = 1;
        while ((bytes[at + size - 1] & 0x80) != 0)
        {
            size++;
        }
        return size;
    }
}

/// <summary>A CONNACK, DISCONNECT or acknowledgement of 5.0 taken apart: what stands in front, the code, the properties.</summary>
/// <param name="Head">Flags of CONNACK, the packet id of an acknowledgement; empty for DISCONNECT.</param>
/// <param name="Codes">The reason code, or those of SUBACK and UNSUBACK.</param>
public sealed record ReceivedAnswer(byte FirstByte, byte[] Head, byte[] Codes, ReceivedProperties Properties)
{
    public byte Code => Assert.Single(Codes);
    public bool SessionPresent => (Head[0] & 1) != 0;

    public static ReceivedAnswer Read(byte[] packet)
    {
        var at = 1;
        var length = VarInt(packet, ref at);
        Assert.Equal(packet.Length - at, length);
        var head = packet[at..(at + (packet[0] >> 4) switch { 2 => 1, 14 or 15 => 0, _ => 2 })];
        at += head.Length;
        if (packet[0] is 0x90 or 0xB0)
        {
            var properties = TakeProperties(packet, ref at);
            return new ReceivedAnswer(packet[0], head, packet[at..], properties);
        }
        byte[] code = at < packet.Length ? [packet[at++]] : [0];
        var own = at < packet.Length ? TakeProperties(packet, ref at) : ReceivedProperties.Read([]);
        Assert.Equal(packet.Length, at);
        return new ReceivedAnswer(packet[0], head, code, own);
    }

    private static ReceivedProperties TakeProperties(byte[] packet, ref int at)
    {
        var length = VarInt(packet, ref at);
        var properties = ReceivedProperties.Read(packet[at..(at + length)]);
        at += length;
        return properties;
    }

    private static int VarInt(byte[] bytes, ref int at)
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
