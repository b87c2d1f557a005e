namespace IotHub.Broker.Protocol;

/// <summary>One whole control packet inside a receive buffer.</summary>
public readonly ref struct Frame(byte firstByte, ReadOnlySpan<byte> body, ReadOnlySpan<byte> whole)
{
    /// <summary>Type and flags.</summary>
    public byte FirstByte { get; } = firstByte;

    /// <summary>Variable header and payload: what Remaining Length counts.</summary>
    public ReadOnlySpan<byte> Body { get; } = body;

    /// <summary>The packet with its fixed header, as it came.</summary>
    public ReadOnlySpan<byte> Whole { get; } = whole;
    public PacketType Type => (PacketType)(FirstByte >> 4);
}

public enum FrameResult { Complete, NeedMore, Malformed, TooLarge }

/// <summary>
/// Cuts packets out of a byte stream: the whole frame, or nothing touched. A length meets its limit on the fixed header alone, before
/// a byte of the body is waited for.
/// </summary>
public static class FrameReader
{
    // first byte | remaining length (1..4) | body
    public static FrameResult TryRead(ReadOnlySpan<byte> buffer, int maximumPacketSize, out Frame frame, out int consumed)
    {
        frame = default;
        consumed = 0;
        if (buffer.Length < 2)
        {
            return FrameResult.NeedMore;
        }
        var lengthBytes = VariableByteInteger.Read(buffer[1..], out var remaining);
        if (lengthBytes <= 0)
        {
            return lengthBytes < 0 ? FrameResult.Malformed : FrameResult.NeedMore;
        }
        var total = 1 + lengthBytes + remaining;
        if (total > maximumPacketSize)
        {
            return FrameResult.TooLarge;
        }
        if (buffer.Length < total)
        {
            return FrameResult.NeedMore;
        }
        frame = new Frame(buffer[0], buffer.Slice(1 + lengthBytes, remaining), buffer[..total]);
        consumed = total;
        return FrameResult.Complete;
    }

    /// <summary>Size of the packet that <paramref name="buffer"/> begins, or 0 while its length is not known yet.</summary>
    public static int PeekSize(ReadOnlySpan<byte> buffer)
    {
        if (buffer.Length < 2)
        {
            return 0;
        }
        var lengthBytes = VariableByteInteger.Read(buffer[1..], out var remaining);
        return lengthBytes > 0 ? 1 + lengthBytes + remaining : 0;
    }
}
