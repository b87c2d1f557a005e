using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using IotHub.Functions.Networks;
using Microsoft.AspNetCore.Http.Features;

namespace IotHub.Functions.Hosting;

/// <summary>
/// HTTP requests in the JSON form of an invocation, which a host sends that knows neither of the two ways of passing through (host.json
/// asks for both). The request is unpacked, runs through the same pipeline as any other, and its answer is packed as the output
/// <c>res</c>. What the form cannot carry is lost: chunked bodies, and bytes that are not text unless the content type says so.
/// </summary>
public sealed partial class HttpInvocations(RequestDelegate next, ILogger<HttpInvocations> logger)
{
    private readonly HashSet<string> _paths = [.. FunctionList.All.OfType<HttpFunction>().Select(function => "/" + function.Name)];

    public async Task InvokeAsync(HttpContext context)
    {
        var path = context.Request.Path.ToString();
        if (!HttpMethods.IsPost(context.Request.Method) || !_paths.Contains(path) || Invocations.CameFromOutside(context))
        {
            await next(context);
            return;
        }
        try
        {
            using var body = await Invocations.ReadBody(context.Request, context.RequestAborted);
            Unpack(InvocationBody.Data(body.RootElement, "req"), context.Request);
        }
        catch (Exception e) when (e is FormatException or InvalidOperationException or KeyNotFoundException)
        {
            Log.NotARequest(logger, path, e.Message);
            await Invocations.Answer(context, StatusCodes.Status500InternalServerError, """{"error":"not an HTTP invocation"}""");
            return;
        }
        var client = context.Features.GetRequiredFeature<IHttpResponseBodyFeature>();
        using var answer = new MemoryStream();
        context.Features.Set<IHttpResponseBodyFeature>(new StreamResponseBodyFeature(answer));
        await next(context);
        await context.Response.CompleteAsync();
        context.Features.Set(client);
        var packed = Pack(context.Response, answer.ToArray()).ToJsonString();
        context.Response.Headers.Clear();
        await Invocations.Answer(context, StatusCodes.Status200OK, packed);
    }

    private static void Unpack(JsonElement packed, HttpRequest request)
    {
        var url = new Uri(packed.GetProperty("Url").GetString()!);
        request.Method = packed.GetProperty("Method").GetString()!;
        request.Path = PathString.FromUriComponent(url);
        request.QueryString = QueryString.FromUriComponent(url);
        request.Headers.Clear();
        foreach (var header in packed.GetProperty("Headers").EnumerateObject())
        {
            var values = header.Value.EnumerateArray().Select(value => value.GetString()!);
            // The one header that is read as bytes: see Utf8Header.
            request.Headers[header.Name] = header.Name.Equals(Ingest.TopicHeader, StringComparison.OrdinalIgnoreCase)
                ? values.Select(value => Encoding.Latin1.GetString(Encoding.UTF8.GetBytes(value))).ToArray()
                : values.ToArray();
        }
        var body = packed.TryGetProperty("Body", out var text) && text.ValueKind == JsonValueKind.String ? text.GetString()! : "";
        var bytes = IsSentAsBase64(request.ContentType) ? Convert.FromBase64String(body) : Encoding.UTF8.GetBytes(body);
        request.Headers.TransferEncoding = default;
        request.ContentLength = bytes.Length;
        request.Body = new MemoryStream(bytes);
    }

    private static bool IsSentAsBase64(string? contentType) => contentType is not null
        && (contentType.StartsWith("application/octet-stream", StringComparison.OrdinalIgnoreCase)
            || contentType.StartsWith("multipart/", StringComparison.OrdinalIgnoreCase));

    // statusCode, since "status" alone is ignored; header values as single strings, since an array breaks the host.
    private static JsonObject Pack(HttpResponse response, byte[] body)
    {
        var headers = new JsonObject();
        foreach (var (name, value) in response.Headers.Where(header => header.Key is not ("Content-Length" or "Transfer-Encoding")))
        {
            headers[name] = value.ToString();
        }
        return new JsonObject
        {
            ["Outputs"] = new JsonObject
            {
                ["res"] = new JsonObject
                {
                    ["statusCode"] = response.StatusCode.ToString(CultureInfo.InvariantCulture),
                    ["headers"] = headers,
                    ["body"] = Encoding.UTF8.GetString(body),
                },
            },
        };
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Error, "{Path}: what the host sent is not an HTTP invocation: {Reason}")]
        public static partial void NotARequest(ILogger logger, string path, string reason);
    }
}
