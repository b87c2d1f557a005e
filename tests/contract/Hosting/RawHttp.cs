using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace IotHub.Contract.Hosting;

internal sealed record RawAnswer(int Status, IReadOnlyDictionary<string, string> Headers, byte[] Body)
{
    public string Text => Encoding.UTF8.GetString(Body);
}

/// <summary>One HTTP/1.1 exchange, byte for byte as written down in the test; a client library would tidy it up.</summary>
internal static class RawHttp
{
    /// <param name="head">Request line and headers, lines ended by <c>\n</c>, without the empty one.</param>
    public static async Task<RawAnswer> Send(int port, string head, byte[] body)
    {
        using var client = new TcpClient();
        await client.ConnectAsync("127.0.0.1", port);
        await using var stream = client.GetStream();
        await stream.WriteAsync(Encoding.Latin1.GetBytes(head.Trim().ReplaceLineEndings("\r\n") + "\r\nConnection: close\r\n\r\n"));
        await stream.WriteAsync(body);
        var answer = new byte[64 * 1024];
        for (var length = 0; ;)
        {
            if (Parse(answer.AsSpan(0, length)) is { } whole)
            {
                return whole;
            }
            var read = await stream.ReadAsync(answer.AsMemory(length));
            length += read > 0 ? read : throw new IOException($"the connection ended after {length} bytes: {Encoding.Latin1.GetString(answer, 0, length)}");
        }
    }

    /// <summary>As the host sends invocations in Azure: chunked, without a length.</summary>
    public static byte[] Chunked(string text, int size = 100)
    {
        var chunks = new MemoryStream();
        foreach (var chunk in Encoding.UTF8.GetBytes(text).Chunk(size))
        {
            chunks.Write(Encoding.ASCII.GetBytes(chunk.Length.ToString("x", CultureInfo.InvariantCulture) + "\r\n"));
            chunks.Write(chunk);
            chunks.Write("\r\n"u8);
        }
        chunks.Write("0\r\n\r\n"u8);
        return chunks.ToArray();
    }

    /// <summary>The answer, or null when it is not complete; every answer here must carry its length.</summary>
    private static RawAnswer? Parse(ReadOnlySpan<byte> answer)
    {
        var end = answer.IndexOf("\r\n\r\n"u8);
        if (end < 0)
        {
            return null;
        }
        var lines = Encoding.Latin1.GetString(answer[..end]).Split("\r\n");
        var headers = lines.Skip(1).Select(line => line.Split(": ", 2)).ToDictionary(part => part[0], part => part[1], StringComparer.OrdinalIgnoreCase);
        var body = answer[(end + 4)..];
        return body.Length < int.Parse(headers["Content-Length"], CultureInfo.InvariantCulture)
            ? null
            : new RawAnswer(int.Parse(lines[0].Split(' ')[1], CultureInfo.InvariantCulture), headers, body.ToArray());
    }
}
