using System.Buffers.Binary;
using System.Text;

namespace IotHub.Broker.Protocol;

/// <summary>Builds the properties of the packets that the server sends seldom: CONNACK, SUBACK, DISCONNECT, AUTH and acknowledgements.</summary>
public sealed class PropertyWriter
{
    private byte[] _bytes = new byte[64];

    public int Length { get; private set; }
    public ReadOnlySpan<byte> Written => _bytes.AsSpan(0, Length);

    public PropertyWriter Byte(PropertyId id, byte value)
    {
        var span = Take(2);
        span[0] = (byte)id;
        span[1] = value;
        return this;
    }

    public PropertyWriter UInt16(PropertyId id, ushort value)
    {
        var span = Take(3);
        span[0] = (byte)id;
        BinaryPrimitives.WriteUInt16BigEndian(span[1..], value);
        return this;
    }

    public PropertyWriter UInt32(PropertyId id, uint value)
    {
        var span = Take(5);
        span[0] = (byte)id;
        BinaryPrimitives.WriteUInt32BigEndian(span[1..], value);
        return this;
    }

    /// <summary>A string; cut to what a string may hold.</summary>
    public PropertyWriter Text(PropertyId id, string value) => Binary(id, Encoding.UTF8.GetBytes(value));

    public PropertyWriter Binary(PropertyId id, ReadOnlySpan<byte> value)
    {
        var span = Take(3 + value.Length);
        span[0] = (byte)id;
        BinaryPrimitives.WriteUInt16BigEndian(span[1..], checked((ushort)value.Length));
        value.CopyTo(span[3..]);
        return this;
    }

    private Span<byte> Take(int count)
    {
        if (_bytes.Length < Length + count)
        {
            Array.Resize(ref _bytes, Math.Max(_bytes.Length * 2, Length + count));
        }
        var span = _bytes.AsSpan(Length, count);
        Length += count;
        return span;
    }
}
