namespace IotHub.Broker.Protocol;

/// <summary>Variable Byte Integer (MQTT 5.0 section 1.5.5): seven bits a byte, low group first, one to four bytes.</summary>
public static class VariableByteInteger
{
    public const int Maximum = 268_435_455;

    /// <summary>Bytes that <paramref name="value"/> takes, in its shortest form. [MQTT-1.5.5-1]</summary>
    public static int Size(int value) => value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : 4;

    /// <summary>Writes <paramref name="value"/> and returns the bytes it took.</summary>
    public static int Write(Span<byte> target, int value)
    {
        var i = 0;
        while (value >= 128)
        {
            target[i++] = (byte)(value | 0x80);
            value >>= 7;
        }
        target[i++] = (byte)value;
        return i;
    }

    /// <returns>Bytes read; 0 when more are needed; -1 when malformed: a fifth byte, or longer than it had to be. [MQTT-1.5.5-1]</returns>
    public static int Read(ReadOnlySpan<byte> source, out int value)
    {
        value = 0;
        for (var i = 0; i < 4; i++)
        {
            if (i >= source.Length)
            {
                return 0;
            }
            var b = source[i];
            value |= (b & 0x7F) << (7 * i);
            if ((b & 0x80) == 0)
            {
                return i > 0 && b == 0 ? -1 : i + 1;
            }
        }
        return -1;
    }
}
