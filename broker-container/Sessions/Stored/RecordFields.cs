using System.Buffers.Binary;
using System.Text;
using IotHub.Broker.Durability;

namespace IotHub.Broker.Sessions.Stored;

/// <summary>Numbers and texts at the end of the log's open record; little-endian, texts with a 16-bit length before them.</summary>
internal static class RecordWriting
{
    public static void Byte(this ShardLog log, byte value) => log.Take(1)[0] = value;

    public static void UInt16(this ShardLog log, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(log.Take(2), value);

    public static void UInt32(this ShardLog log, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(log.Take(4), value);

    public static void Int64(this ShardLog log, long value) => BinaryPrimitives.WriteInt64LittleEndian(log.Take(8), value);

    public static void Id(this ShardLog log, Guid value) => value.TryWriteBytes(log.Take(16), bigEndian: true, out _);

    public static void Bytes(this ShardLog log, ReadOnlySpan<byte> value) => value.CopyTo(log.Take(value.Length));

    public static void Block(this ShardLog log, ReadOnlySpan<byte> value)
    {
        log.UInt32((uint)value.Length);
        log.Bytes(value);
    }

    /// <summary>At most 65,535 bytes, as every text of MQTT.</summary>
    public static void Text(this ShardLog log, string value)
    {
        var size = Encoding.UTF8.GetByteCount(value);
        log.UInt16(checked((ushort)size));
        Encoding.UTF8.GetBytes(value, log.Take(size));
    }
}

/// <summary>Reads what <see cref="RecordWriting"/> wrote. A record that ends too early is an <see cref="InvalidDataException"/>.</summary>
internal ref struct RecordSpan(ReadOnlySpan<byte> bytes)
{
    private ReadOnlySpan<byte> _rest = bytes;

    public readonly bool AtEnd => _rest.IsEmpty;

    public byte Byte() => Bytes(1)[0];

    public ushort UInt16() => BinaryPrimitives.ReadUInt16LittleEndian(Bytes(2));

    public uint UInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Bytes(4));

    public long Int64() => BinaryPrimitives.ReadInt64LittleEndian(Bytes(8));

    public Guid Id() => new(Bytes(16), bigEndian: true);

    public string Text() => Encoding.UTF8.GetString(Bytes(UInt16()));

    public ReadOnlySpan<byte> Block() => Bytes((int)UInt32());

    public ReadOnlySpan<byte> Bytes(int count)
    {
        if ((uint)count > (uint)_rest.Length)
        {
            throw new InvalidDataException("a record ends before its last field");
        }
        var taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }
}
