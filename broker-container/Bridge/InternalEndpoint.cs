using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using IotHub.Broker.Transport;
using IotHub.Core.Messages;
using IotHub.Core.Storage;
using Microsoft.AspNetCore.Http.Features;

namespace IotHub.Broker.Bridge;

/// <summary>
/// The broker's HTTP side for the functions: messages of networks and routes, nudges after changes, health. Plain HTTP inside the network;
/// everything but health needs the shared key.
/// </summary>
public sealed class InternalEndpoint(
    InboundBridge? inbound, ChangeFeed? feed, Func<string?> whyNotServing, string? key, BridgeLimits limits)
{
    private const int NudgeBytes = 1_024;
    private const string KeyHeader = "X-Broker-Key";

    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    private readonly byte[]? _keyHash = key is null ? null : SHA256.HashData(Encoding.UTF8.GetBytes(key));
    private long _postedBytes;

    /// <summary>Opens it.</summary>
    /// <param name="inbound">Null, as <paramref name="feed"/> and <paramref name="key"/>, in the stand-alone mode: health only.</param>
    /// <param name="whyNotServing">Null when clients are served, else the reason.</param>
    /// <exception cref="IOException">The port is in use.</exception>
    public static Task<HttpListenerHost> Start(
        IPEndPoint endPoint, InboundBridge? inbound, ChangeFeed? feed, Func<string?> whyNotServing, string? key, BridgeLimits limits,
        ILoggerFactory logging)
    {
        var endpoint = new InternalEndpoint(inbound, feed, whyNotServing, key, limits);
        return HttpListenerHost.Start(
            [new HttpListening(endPoint)],
            kestrel =>
            {
                kestrel.Limits.MaxConcurrentConnections = limits.InternalConnections;
                // Above our own limit: a body that is somewhat too large is read off and thrown away, so that its sender sees the answer.
                kestrel.Limits.MaxRequestBodySize = 4L * limits.PayloadBytes;
                kestrel.Limits.MaxRequestHeadersTotalSize = limits.InternalHeaderBytes;
            },
            endpoint.Handle,
            logging);
    }

    private async Task Handle(HttpContext context)
    {
        var path = context.Request.Path.Value ?? "";
        if (path == "/health" && HttpMethods.IsGet(context.Request.Method))
        {
            await Health(context);
        }
        else if (inbound is null || feed is null || _keyHash is null || !path.StartsWith("/internal/", StringComparison.Ordinal))
        {
            await Answer(context, StatusCodes.Status404NotFound, "not found");
        }
        else if (!KnowsKey(context.Request.Headers[KeyHeader].ToString()))
        {
            await Answer(context, StatusCodes.Status401Unauthorized, "the broker key is missing or wrong");
        }
        else if (!HttpMethods.IsPost(context.Request.Method))
        {
            await Answer(context, StatusCodes.Status405MethodNotAllowed, "POST is expected");
        }
        else if (path == "/internal/changes")
        {
            await Nudge(context, feed);
        }
        else if (path.Split('/') is ["", "internal", "hubs", var hub, "messages"] && Guid.TryParseExact(hub, "D", out var hubId))
        {
            await Post(context, inbound, hubId);
        }
        else
        {
            await Answer(context, StatusCodes.Status404NotFound, "not found");
        }
    }

    private async Task Health(HttpContext context)
    {
        var why = whyNotServing();
        context.Response.StatusCode = why is null ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
        context.Response.ContentType = "application/json";
        Dictionary<string, string> body = new() { ["status"] = why is null ? "ok" : "unavailable" };
        if (why is not null)
        {
            body["reason"] = why;
        }
        await context.Response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(body), context.RequestAborted);
    }

    private bool KnowsKey(string given) =>
        CryptographicOperations.FixedTimeEquals(SHA256.HashData(Encoding.UTF8.GetBytes(given)), _keyHash);

    private async Task Post(HttpContext context, InboundBridge to, Guid hubId)
    {
        if (!TryReadHeaders(context.Request.Headers, out var head, out var wrong))
        {
            await Answer(context, StatusCodes.Status400BadRequest, wrong);
            return;
        }
        if (context.Request.ContentLength is not { } length)
        {
            await Answer(context, StatusCodes.Status411LengthRequired, "Content-Length is missing");
            return;
        }
        if (length > limits.PayloadBytes)
        {
            await Answer(context, StatusCodes.Status413PayloadTooLarge, $"the payload is larger than {limits.PayloadBytes} bytes");
            return;
        }
        if (Interlocked.Add(ref _postedBytes, length) > limits.PostedBytes)
        {
            Interlocked.Add(ref _postedBytes, -length);
            await Answer(context, StatusCodes.Status503ServiceUnavailable, "too much at once");
            return;
        }
        try
        {
            var payload = new byte[(int)length];
            await context.Request.Body.ReadExactlyAsync(payload, context.RequestAborted);
            var message = new DeviceMessage(head.Id, head.Topic, payload, Retain: false, head.ReceivedAt);
            var (status, text) = Status(await to.Accept(hubId, message, head.ExceptRoute, context.RequestAborted));
            await Answer(context, status, text);
        }
        finally
        {
            Interlocked.Add(ref _postedBytes, -length);
        }
    }

    private static (int Status, string Text) Status(InboundOutcome outcome) => outcome switch
    {
        InboundOutcome.Accepted => (StatusCodes.Status202Accepted, ""),
        InboundOutcome.TopicInvalid => (StatusCodes.Status400BadRequest, "the topic is not valid"),
        InboundOutcome.UnknownHub => (StatusCodes.Status404NotFound, "there is no such hub"),
        InboundOutcome.HubNotReady => (StatusCodes.Status409Conflict, "the hub is not ready"),
        _ => (StatusCodes.Status503ServiceUnavailable, "not now, the same message may come again"),
    };

    private static bool TryReadHeaders(IHeaderDictionary headers, out MessageHead head, out string wrong)
    {
        head = default;
        wrong = "";
        if (!Guid.TryParseExact(headers["X-Message-Id"].ToString(), "D", out var id))
        {
            wrong = "X-Message-Id is not a UUID";
        }
        else if (PercentEncoded(headers["X-Topic"].ToString()) is not { Length: > 0 } topic)
        {
            wrong = "X-Topic is not percent-encoded UTF-8";
        }
        else if (!Guid.TryParseExact(headers["X-Source"].ToString(), "D", out _))
        {
            wrong = "X-Source is not a UUID";
        }
        else if (!TryReadOptional(headers["X-Except-Route"].ToString(), out var exceptRoute))
        {
            wrong = "X-Except-Route is not a UUID";
        }
        else if (!DateTimeOffset.TryParse(
            headers["X-Received-At"].ToString(), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var receivedAt))
        {
            wrong = "X-Received-At is not a time";
        }
        else
        {
            head = new MessageHead(id, topic, exceptRoute, receivedAt);
        }
        return wrong.Length == 0;
    }

    private static bool TryReadOptional(string text, out Guid? id)
    {
        id = null;
        if (text.Length == 0)
        {
            return true;
        }
        var read = Guid.TryParseExact(text, "D", out var value);
        id = value;
        return read;
    }

    /// <returns>Null when an escape is broken or the bytes are not UTF-8.</returns>
    internal static string? PercentEncoded(string text)
    {
        var bytes = new byte[text.Length];
        var count = 0;
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] > 0x7F)
            {
                return null;
            }
            if (text[i] != '%')
            {
                bytes[count++] = (byte)text[i];
                continue;
            }
            if (i + 2 >= text.Length || !Hex(text.AsSpan(i + 1, 2), out bytes[count]))
            {
                return null;
            }
            count++;
            i += 2;
        }
        try
        {
            return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(bytes, 0, count);
        }
        catch (DecoderFallbackException)
        {
            return null;
        }
    }

    private static bool Hex(ReadOnlySpan<char> digits, out byte value) =>
        byte.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);

    private static async Task Nudge(HttpContext context, ChangeFeed to)
    {
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
        {
            size.MaxRequestBodySize = NudgeBytes;
        }
        Change? change;
        try
        {
            change = await JsonSerializer.DeserializeAsync<Change>(context.Request.Body, Json, context.RequestAborted);
        }
        catch (JsonException)
        {
            change = null;
        }
        if (change is null || !Enum.TryParse<ChangedKind>(change.Kind, ignoreCase: true, out var kind) || !Enum.IsDefined(kind))
        {
            await Answer(context, StatusCodes.Status400BadRequest, "expected {\"hub_id\",\"kind\",\"id\"}");
            return;
        }
        to.Nudge(change.HubId, kind, change.Id);
        await Answer(context, StatusCodes.Status202Accepted, "");
    }

    private static async Task Answer(HttpContext context, int status, string text)
    {
        context.Response.StatusCode = status;
        if (text.Length > 0)
        {
            context.Response.ContentType = "application/json";
            var body = JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, string> { ["message"] = text });
            await context.Response.Body.WriteAsync(body, context.RequestAborted);
        }
    }

    private readonly record struct MessageHead(Guid Id, string Topic, Guid? ExceptRoute, DateTimeOffset ReceivedAt);

    private sealed record Change
    {
        public required Guid HubId { get; init; }
        public required string Kind { get; init; }
        public required Guid Id { get; init; }
    }
}
