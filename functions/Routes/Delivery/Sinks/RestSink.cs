using System.Buffers;
using System.Globalization;
using System.Security.Cryptography;
using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Core.Queues;
using IotHub.Functions.Outgoing;

namespace IotHub.Functions.Routes.Delivery.Sinks;

/// <summary>
/// Calls a URL once per message: the payload is the body, the topic a header. An answer 2xx that carries a topic is published on the hub
/// in turn, but never to the route that caused it.
/// </summary>
public sealed partial class RestSink(
    GuardedConnector connector, MessageIntake intake, TimeProvider clock, ILogger<RestSink> logger) : ISink, IDisposable
{
    public const string TopicHeader = "X-Mqtt-Topic";
    public const string RetainHeader = "X-Mqtt-Retain";

    /// <summary>For the whole call, connecting and reading the answer included.</summary>
    public static readonly TimeSpan CallTimeLimit = TimeSpan.FromSeconds(10);

    /// <summary>Set by us, or by the connection: a route's own value would break one or the other.</summary>
    private static readonly HashSet<string> NotForRoutes = new(StringComparer.OrdinalIgnoreCase)
    {
        TopicHeader, RetainHeader, "Idempotency-Key",
        "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Expect", "TE", "Trailer",
    };

    private readonly HttpClient _http = connector.NewHttpClient();

    public async Task<DeliveryOutcome> Deliver(Route route, DeviceMessage message, CancellationToken cancel)
    {
        if (message.Topic.Any(char.IsControl))
        {
            return DeliveryOutcome.Impossible(Text("the topic has characters that no header can hold"));
        }
        using var time = new CancellationTokenSource(CallTimeLimit, clock);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel, time.Token);
        try
        {
            using var request = Request(route, message);
            using var response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, limit.Token);
            return response.IsSuccessStatusCode
                ? await PublishReply(route, message, response, limit.Token)
                : Refusal(response);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return DeliveryOutcome.NotNow(Text("no answer in time"));
        }
        catch (Exception e) when (e is HttpRequestException { InnerException: AddressRefusedException } or AddressRefusedException)
        {
            return DeliveryOutcome.Refused(Text("routes may not reach this address"));
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            return DeliveryOutcome.NotNow(Text(Reason(e)));
        }
        catch (Exception e) when (e is FormatException or UriFormatException or NotSupportedException or InvalidOperationException)
        {
            return DeliveryOutcome.Impossible(Text("the request cannot be built from the route's settings"));
        }
    }

    public void Dispose() => _http.Dispose();

    private static HttpRequestMessage Request(Route route, DeviceMessage message)
    {
        var config = route.Rest!;
        var request = new HttpRequestMessage(Method(config.Verb), new Uri(config.Uri))
        {
            // Without a content type: what the payload is, only the route's owner knows.
            Content = new ReadOnlyMemoryContent(message.Payload),
        };
        foreach (var (name, value) in config.Headers.Where(header => !NotForRoutes.Contains(header.Key)))
        {
            if (!request.Headers.TryAddWithoutValidation(name, value))
            {
                request.Content.Headers.TryAddWithoutValidation(name, value);
            }
        }
        request.Headers.TryAddWithoutValidation(TopicHeader, message.Topic);
        request.Headers.Add(RetainHeader, message.Retain ? "true" : "false");
        request.Headers.Add("Idempotency-Key", $"{message.Id}-{route.Id}");
        return request;
    }

    private static HttpMethod Method(RestVerb verb) => verb switch
    {
        RestVerb.Get => HttpMethod.Get,
        RestVerb.Put => HttpMethod.Put,
        RestVerb.Patch => HttpMethod.Patch,
        RestVerb.Delete => HttpMethod.Delete,
        _ => HttpMethod.Post,
    };

    private DeliveryOutcome Refusal(HttpResponseMessage response)
    {
        var status = (int)response.StatusCode;
        var text = $"rest call failed. Error {status}";
        return status is 408 or 425 or 429 or >= 500
            ? DeliveryOutcome.NotNow(text, RetryAfter(response))
            : DeliveryOutcome.Refused(text);
    }

    private TimeSpan? RetryAfter(HttpResponseMessage response) => response.Headers.RetryAfter switch
    {
        { Delta: { } delta } => delta,
        { Date: { } date } => date - clock.GetUtcNow(),
        _ => null,
    };

    private async Task<DeliveryOutcome> PublishReply(
        Route route, DeviceMessage message, HttpResponseMessage response, CancellationToken cancel)
    {
        if (!response.Headers.TryGetValues(TopicHeader, out var topics))
        {
            return DeliveryOutcome.Delivered;
        }
        var topic = string.Join(',', topics);
        if (!TopicFilter.IsValidName(topic))
        {
            Log.ReplyTopicInvalid(logger, route.Id);
            return DeliveryOutcome.Delivered;
        }
        if (await Body(response, cancel) is not { } payload)
        {
            Log.ReplyTooLarge(logger, route.Id, EnvelopeQueue.MaximumPayloadBytes);
            return DeliveryOutcome.Delivered;
        }
        var reply = new DeviceMessage(ReplyId(message.Id, route.Id), topic, payload, Retain: false, clock.GetUtcNow());
        var outcome = await intake.Accept(new IncomingMessage(route.HubId, route.Id, reply, ExceptRoute: route.Id), cancel);
        if (outcome == IntakeOutcome.Unavailable)
        {
            // The target may see this message twice, under the same key; its reply would be lost otherwise.
            return DeliveryOutcome.NotNow(Text("the reply could not be published"));
        }
        if (outcome is not (IntakeOutcome.Published or IntakeOutcome.Queued))
        {
            Log.ReplyNotPublished(logger, route.Id, outcome);
        }
        return DeliveryOutcome.Delivered;
    }

    private static async Task<byte[]?> Body(HttpResponseMessage response, CancellationToken cancel)
    {
        if (response.Content.Headers.ContentLength > EnvelopeQueue.MaximumPayloadBytes)
        {
            return null;
        }
        await using var stream = await response.Content.ReadAsStreamAsync(cancel);
        var body = new ArrayBufferWriter<byte>();
        while (true)
        {
            var read = await stream.ReadAsync(body.GetMemory(16 * 1024), cancel);
            if (read == 0)
            {
                return body.WrittenMemory.ToArray();
            }
            body.Advance(read);
            if (body.WrittenCount > EnvelopeQueue.MaximumPayloadBytes)
            {
                return null;
            }
        }
    }

    /// <summary>The same for every repeat of the same delivery, so that a reply is published once.</summary>
    internal static Guid ReplyId(Guid messageId, Guid routeId)
    {
        Span<byte> both = stackalloc byte[32];
        messageId.TryWriteBytes(both);
        routeId.TryWriteBytes(both[16..]);
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(both, hash);
        // Version 8 (custom) and the RFC 9562 variant.
        hash[6] = (byte)((hash[6] & 0x0F) | 0x80);
        hash[8] = (byte)((hash[8] & 0x3F) | 0x80);
        return new Guid(hash[..16], bigEndian: true);
    }

    // Short and without addresses: it is published on the hub.
    private static string Reason(Exception e) => e switch
    {
        HttpRequestException { HttpRequestError: HttpRequestError.NameResolutionError } => "the host name does not resolve",
        HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError } => "the connection was refused or broke",
        HttpRequestException { HttpRequestError: HttpRequestError.SecureConnectionError } => "the TLS handshake failed",
        _ => "the answer ended early or is not HTTP",
    };

    private static string Text(string what) => string.Create(CultureInfo.InvariantCulture, $"rest call failed. Error: {what}");

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning, "route {RouteId}: the reply's topic is not one to publish on; the reply is dropped")]
        public static partial void ReplyTopicInvalid(ILogger logger, Guid routeId);

        [LoggerMessage(2, LogLevel.Warning, "route {RouteId}: the reply is longer than {MaximumBytes} bytes and is dropped")]
        public static partial void ReplyTooLarge(ILogger logger, Guid routeId, int maximumBytes);

        [LoggerMessage(3, LogLevel.Warning, "route {RouteId}: the reply was not published: {Outcome}")]
        public static partial void ReplyNotPublished(ILogger logger, Guid routeId, IntakeOutcome outcome);
    }
}
