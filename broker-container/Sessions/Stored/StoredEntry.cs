using System.Numerics;

namespace IotHub.Broker.Sessions.Stored;

/// <summary>
/// One stored message as one session waits for it, in 8 bytes: where its record lies in the log, roughly how large it is, and how it is
/// to be sent. Zero is no message.
/// </summary>
/// <remarks>
/// <code>
/// bit 63 .. 20   position of the record / 8
/// bit 19 .. 12   size: 5 bits of exponent, 3 of mantissa, in units of 16 bytes
/// bit  8         has an extra: subscription identifiers or a shared group, kept beside the queue
/// bit  4         retain flag as the client gets it
/// bit  3 ..  2   quality of the message as it was published
/// bit  1 ..  0   quality for this session
/// </code>
/// </remarks>
public readonly record struct StoredEntry(ulong Bits)
{
    private const int SizeUnit = 16;

    public StoredEntry(long position, int size, byte qos, byte publishedQos, bool retain, bool hasExtra)
        : this(((ulong)position >> 3 << 20) | ((ulong)SizeCode(size) << 12) | (hasExtra ? 1UL << 8 : 0) | (retain ? 1UL << 4 : 0)
            | ((ulong)publishedQos << 2) | qos)
    {
    }

    public bool IsEmpty => Bits == 0;
    public long Position => (long)(Bits >> 20 << 3);
    public byte Qos => (byte)(Bits & 3);
    public byte PublishedQos => (byte)((Bits >> 2) & 3);
    public bool Retain => (Bits & (1UL << 4)) != 0;
    public bool HasExtra => (Bits & (1UL << 8)) != 0;

    /// <summary>Bytes, at most an eighth above or below what was given; the same on the way in and out.</summary>
    public int Size => SizeOf((byte)(Bits >> 12));

    /// <summary>The same message at another place of the log.</summary>
    public StoredEntry At(long position) => new((Bits & 0xF_FFFF) | ((ulong)position >> 3 << 20));

    private static byte SizeCode(int size)
    {
        var units = (uint)Math.Max(1, (size + SizeUnit - 1) / SizeUnit);
        var exponent = BitOperations.Log2(units);
        var mantissa = exponent >= 3 ? (units >> (exponent - 3)) & 7 : (units << (3 - exponent)) & 7;
        return (byte)((exponent << 3) | (int)mantissa);
    }

    private static int SizeOf(byte code)
    {
        var exponent = code >> 3;
        var units = exponent >= 3 ? (8u | (code & 7u)) << (exponent - 3) : (8u | (code & 7u)) >> (3 - exponent);
        return (int)(units * SizeUnit);
    }
}

/// <summary>What few messages carry beside their <see cref="StoredEntry"/>.</summary>
/// <param name="ShareFilter">The <c>$share/…</c> subscription through which the session got it.</param>
public sealed record StoredExtra(int[]? SubscriptionIds, string? ShareFilter);
