using System.Buffers;

namespace IotHub.Functions.Hosting;

/// <summary>Reads a request body that may be chunked, up to a limit. Nothing is allocated from a length the caller only claims.</summary>
public static class BoundedBody
{
    /// <summary>The body, or null when it is longer than <paramref name="maximumBytes"/>; then at most that much was read.</summary>
    public static async Task<ReadOnlyMemory<byte>?> Read(HttpRequest request, int maximumBytes, CancellationToken cancel)
    {
        if (request.ContentLength > maximumBytes)
        {
            return null;
        }
        var body = new ArrayBufferWriter<byte>();
        while (true)
        {
            var read = await request.BodyReader.ReadAsync(cancel);
            foreach (var segment in read.Buffer)
            {
                if (body.WrittenCount + segment.Length > maximumBytes)
                {
                    request.BodyReader.AdvanceTo(read.Buffer.Start, read.Buffer.End);
                    return null;
                }
                body.Write(segment.Span);
            }
            request.BodyReader.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted)
            {
                return body.WrittenMemory;
            }
        }
    }
}
