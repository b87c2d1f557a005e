using System.Buffers.Binary;
using IotHub.Broker.Protocol;

namespace IotHub.Broker.Topics;

/// <summary>Rules of topic names over their bytes (MQTT 5.0 section 4.7), and their hash.</summary>
public static class TopicBytes
{
    private const ulong Prime = 0x9E3779B97F4A7C15;

    /// <summary>Valid UTF-8, not empty, no wildcard. [MQTT-4.7.1-1] [MQTT-4.7.3-1] [MQTT-4.7.3-2]</summary>
    public static bool IsValidName(ReadOnlySpan<byte> topic) =>
        !topic.IsEmpty && topic.IndexOfAny((byte)'+', (byte)'#') < 0 && Utf8Text.IsValid(topic);

    /// <summary>A 64-bit hash of the bytes, seeded per process so that nobody can aim at the table.</summary>
    public static ulong Hash(ReadOnlySpan<byte> bytes, ulong seed)
    {
        var hash = seed ^ ((ulong)bytes.Length * Prime);
        while (bytes.Length >= 8)
        {
            hash = Mix(hash ^ BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            bytes = bytes[8..];
        }
        ulong tail = 0;
        for (var i = 0; i < bytes.Length; i++)
        {
            tail |= (ulong)bytes[i] << (8 * i);
        }
        return Mix(hash ^ tail);
    }

    private static ulong Mix(ulong value)
    {
        var high = Math.BigMul(value, Prime, out var low);
        return high ^ low;
    }
}
