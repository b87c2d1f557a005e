using System.Buffers.Binary;

namespace IotHub.Broker.Protocol;

/// <summary>
/// Reads the fields of one packet body in order. Nothing is copied and nothing is believed: a length that overruns the packet is
/// malformed before anything is made of it.
/// </summary>
public ref struct PacketReader(ReadOnlySpan<byte> body)
{
    private ReadOnlySpan<byte> _rest = body;

    public readonly ReadOnlySpan<byte> Rest => _rest;
    public readonly bool AtEnd => _rest.IsEmpty;

    public byte Byte()
    {
        Need(1);
        var value = _rest[0];
        _rest = _rest[1..];
        return value;
    }

    public ushort UInt16()
    {
        Need(2);
        var value = BinaryPrimitives.ReadUInt16BigEndian(_rest);
        _rest = _rest[2..];
        return value;
    }

    public uint UInt32()
    {
        Need(4);
        var value = BinaryPrimitives.ReadUInt32BigEndian(_rest);
        _rest = _rest[4..];
        return value;
    }

    public int VarInt()
    {
        var read = VariableByteInteger.Read(_rest, out var value);
        if (read <= 0)
        {
            MqttException.Malformed("a Variable Byte Integer is cut off or too long");
        }
        _rest = _rest[read..];
        return value;
    }

    public ReadOnlySpan<byte> Bytes(int count)
    {
        Need(count);
        var value = _rest[..count];
        _rest = _rest[count..];
        return value;
    }

    public ReadOnlySpan<byte> Binary() => Bytes(UInt16());

    public string String() => Utf8Text.Decode(Binary());

    /// <summary>A validated UTF-8 string, left as bytes.</summary>
    public ReadOnlySpan<byte> Utf8()
    {
        var text = Binary();
        if (!Utf8Text.IsValid(text))
        {
            MqttException.Malformed("a string is not valid UTF-8 or holds U+0000");
        }
        return text;
    }

    public readonly void End()
    {
        if (!_rest.IsEmpty)
        {
            MqttException.Malformed($"{_rest.Length} bytes after the last field");
        }
    }

    private readonly void Need(int count)
    {
        if (_rest.Length < count)
        {
            MqttException.Malformed($"a field of {count} bytes overruns the packet by {count - _rest.Length}");
        }
    }
}
