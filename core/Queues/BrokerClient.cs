using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using IotHub.Core.Messages;
using IotHub.Core.Storage;

namespace IotHub.Core.Queues;

/// <summary>What the broker's internal endpoint said to a message.</summary>
public enum BrokerAnswer
{
    /// <summary>Taken, or taken before under the same id.</summary>
    Accepted,
    TopicInvalid,
    UnknownHub,
    HubNotReady,
    TooLarge,

    /// <summary>
    /// No answer in time, or one that says "not now". Whether the message was taken is not known; its id makes a double harmless.
    /// </summary>
    None,
}

/// <summary>A message on its way into a hub from outside the broker.</summary>
/// <param name="SourceId">The network or route it comes from.</param>
/// <param name="ExceptRoute">The route that caused it, which must not get it again.</param>
public sealed record IncomingMessage(Guid HubId, Guid SourceId, DeviceMessage Message, Guid? ExceptRoute = null);

/// <summary>The broker's internal endpoint, as the functions see it.</summary>
public sealed class BrokerClient : IDisposable
{
    /// <summary>A poster waits for us: after this the message takes the way over the queue.</summary>
    public static readonly TimeSpan PublishTimeLimit = TimeSpan.FromSeconds(2);

    /// <summary>The change feed tells the broker anyway; a nudge is not worth a longer wait of the one who made the change.</summary>
    public static readonly TimeSpan NudgeTimeLimit = TimeSpan.FromMilliseconds(500);

    private readonly HttpClient _http;

    public BrokerClient(Uri address, string key)
    {
        _http = new HttpClient(new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            UseProxy = false,
            ConnectTimeout = TimeSpan.FromSeconds(1),
            PooledConnectionLifetime = TimeSpan.FromMinutes(2),
        })
        {
            BaseAddress = new Uri(address, "/"),
            Timeout = Timeout.InfiniteTimeSpan,
        };
        _http.DefaultRequestHeaders.Add("X-Broker-Key", key);
    }

    /// <summary>Offers a message; the broker answers when it is accepted. Never throws for a broker that is away.</summary>
    public async Task<BrokerAnswer> Publish(IncomingMessage incoming, CancellationToken cancel = default)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(PublishTimeLimit);
        try
        {
            using var request = PublishRequest(incoming);
            using var response = await _http
                .SendAsync(request, HttpCompletionOption.ResponseHeadersRead, limit.Token).ConfigureAwait(false);
            return response.StatusCode switch
            {
                HttpStatusCode.OK or HttpStatusCode.Accepted or HttpStatusCode.NoContent => BrokerAnswer.Accepted,
                HttpStatusCode.BadRequest => BrokerAnswer.TopicInvalid,
                HttpStatusCode.NotFound => BrokerAnswer.UnknownHub,
                HttpStatusCode.Conflict => BrokerAnswer.HubNotReady,
                HttpStatusCode.RequestEntityTooLarge => BrokerAnswer.TooLarge,
                _ => BrokerAnswer.None,
            };
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            return BrokerAnswer.None;
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return BrokerAnswer.None;
        }
    }

    /// <summary>
    /// Says that something of a hub has changed, so that the broker need not wait for its next look. Never throws; may be lost.
    /// </summary>
    public async Task Nudge(Guid hubId, ChangedKind kind, Guid id)
    {
        using var limit = new CancellationTokenSource(NudgeTimeLimit);
        try
        {
            var change = new JsonObject { ["hub_id"] = hubId, ["kind"] = kind.ToString().ToLowerInvariant(), ["id"] = id };
            using var request = new HttpRequestMessage(HttpMethod.Post, "internal/changes")
            {
                Content = new StringContent(change.ToJsonString(), Encoding.UTF8, "application/json"),
            };
            using var response = await _http
                .SendAsync(request, HttpCompletionOption.ResponseHeadersRead, limit.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException)
        {
            // The broker is away: it reads the feed when it is back.
        }
    }

    public void Dispose() => _http.Dispose();

    private static HttpRequestMessage PublishRequest(IncomingMessage incoming)
    {
        var message = incoming.Message;
        var request = new HttpRequestMessage(HttpMethod.Post, $"internal/hubs/{incoming.HubId}/messages")
        {
            Content = new ReadOnlyMemoryContent(message.Payload),
        };
        request.Headers.Add("X-Message-Id", message.Id.ToString());
        // Percent-encoded, since a header holds no UTF-8 that every hop would keep.
        request.Headers.Add("X-Topic", Uri.EscapeDataString(message.Topic));
        request.Headers.Add("X-Source", incoming.SourceId.ToString());
        request.Headers.Add("X-Received-At", message.ReceivedAt.ToString("O", CultureInfo.InvariantCulture));
        if (incoming.ExceptRoute is { } route)
        {
            request.Headers.Add("X-Except-Route", route.ToString());
        }
        return request;
    }
}
