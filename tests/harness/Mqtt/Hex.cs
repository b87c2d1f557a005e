namespace IotHub.Harness.Mqtt;

/// <summary>Bytes as the tests write them: <c>30 06 0003 612F62</c>; spaces mean nothing.</summary>
public static class Hex
{
    public static byte[] Read(string hex) => Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal));

    public static string Write(ReadOnlySpan<byte> bytes) => string.Join(' ', bytes.ToArray().Select(b => b.ToString("X2", null)));

    /// <summary>Do the bytes fit a pattern in which <c>..</c> stands for any byte?</summary>
    public static bool Fits(string pattern, ReadOnlySpan<byte> bytes)
    {
        var digits = pattern.Replace(" ", "", StringComparison.Ordinal);
        if (digits.Length != bytes.Length * 2)
        {
            return false;
        }
        for (var i = 0; i < bytes.Length; i++)
        {
            var expected = digits.Substring(i * 2, 2);
            if (expected != ".." && Convert.ToByte(expected, 16) != bytes[i])
            {
                return false;
            }
        }
        return true;
    }
}
