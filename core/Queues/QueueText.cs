using System.Buffers.Text;
using System.Text;

namespace IotHub.Core.Queues;

/// <summary>Bodies stand on the queues as base64, which is what the Functions host expects (host.json, messageEncoding).</summary>
internal static class QueueText
{
    public static string Encode(ReadOnlySpan<byte> body) => Convert.ToBase64String(body);

    /// <returns>Null when it is not base64.</returns>
    public static ReadOnlyMemory<byte>? Decode(string text)
    {
        var bytes = new byte[Base64.GetMaxDecodedFromUtf8Length(Encoding.UTF8.GetByteCount(text) + 3)];
        return Convert.TryFromBase64String(text, bytes, out var written) ? bytes.AsMemory(0, written) : (ReadOnlyMemory<byte>?)null;
    }
}
