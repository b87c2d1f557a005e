using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Core.Queues;
using IotHub.Core.Security;
using IotHub.Core.Storage;
using IotHub.Functions.Hosting;

namespace IotHub.Functions.Networks;

/// <summary>
/// The steps of a token post, the same for REST and Sigfox: authenticate, topic, body, hub, publish. A post is answered 200 only when the
/// broker or the queue has the message; whatever is answered otherwise, nothing was published.
/// </summary>
public sealed partial class Ingest(IRegistry registry, MessageIntake intake, TimeProvider clock, ILogger<Ingest> logger)
{
    public const string SecretHeader = "X-Secret";
    public const string TopicHeader = "X-Topic";

    /// <summary>Headers with which a sender may fix the message id, so that its own repeats count once.</summary>
    private static readonly string[] IdHeaders = ["X-Message-Id", "Idempotency-Key"];

    /// <summary>Once the body is here the message is ours to place, whether the sender waits or not; but not for ever.</summary>
    private static readonly TimeSpan PlacingTimeLimit = TimeSpan.FromSeconds(30);

    /// <param name="entrance">The type of network that may post here.</param>
    public async Task Post(HttpContext context, NetworkType entrance)
    {
        try
        {
            await (await Receive(context, entrance)).Write(context);
        }
        catch (RegistryUnavailableException e)
        {
            Log.RegistryUnavailable(logger, StorageFailure.Reason(e)!);
            await IngestAnswer.Unavailable.Write(context);
        }
        catch (BadHttpRequestException e)
        {
            // The body ended early or its framing is broken.
            await IngestAnswer.InvalidArgument("body", "format", e.Message).Write(context);
        }
    }

    private async Task<IngestAnswer> Receive(HttpContext context, NetworkType entrance)
    {
        var request = context.Request;
        if (await Authenticate(request.Headers[SecretHeader].ToString(), entrance, context.RequestAborted) is not { } network)
        {
            return IngestAnswer.Denied;
        }
        if (Topic(request, network, out var refusal) is not { } topic || MessageId(request, out refusal) is not { } id)
        {
            return refusal!;
        }
        if (await BoundedBody.Read(request, EnvelopeQueue.MaximumPayloadBytes, context.RequestAborted) is not { } payload)
        {
            return IngestAnswer.TooLarge(EnvelopeQueue.MaximumPayloadBytes);
        }
        var hub = (await registry.GetHub(network.HubId, context.RequestAborted))?.Value;
        var now = clock.GetUtcNow();
        if (hub is null || hub.StatusAt(now) != HubStatus.Ready)
        {
            return IngestAnswer.HubNotReady(network.HubId, hub?.StatusAt(now));
        }
        return await Place(network, new DeviceMessage(id, topic, payload, Retain: false, now));
    }

    /// <summary>The network of the token. An unknown network, a wrong key and the other kind of network look alike.</summary>
    private async Task<Network?> Authenticate(string token, NetworkType entrance, CancellationToken cancel)
    {
        if (!NetworkSecret.TryParse(token.Trim(), out var secret))
        {
            return null;
        }
        var network = await registry.GetNetwork(secret.NetworkId, cancel);
        // An unknown network is compared as well, so that the answer takes as long.
        var matches = Secrets.AreEqual(secret.KeyHash, network?.KeyHash ?? new string('0', 64));
        return matches && network?.Type == entrance ? network : null;
    }

    private static string? Topic(HttpRequest request, Network network, out IngestAnswer? refusal)
    {
        refusal = null;
        var values = request.Headers[TopicHeader];
        if (values.Count != 1 || values[0] is not { Length: > 0 } raw)
        {
            refusal = IngestAnswer.InvalidArgument(
                TopicHeader,
                values.Count > 1 ? "constraint" : "required",
                $"the header {TopicHeader} must name the topic to publish on, once");
        }
        else if (Utf8Header.Decode(raw) is not { } topic)
        {
            refusal = IngestAnswer.InvalidArgument(TopicHeader, "format", "the topic is not valid UTF-8");
        }
        else if (!TopicFilter.IsValidName(topic))
        {
            refusal = IngestAnswer.InvalidArgument(TopicHeader, "format", "a topic to publish on has no wildcards (+ and #)");
        }
        else if (Join(network.TopicPrefix, topic) is { } full && TopicFilter.IsValidName(full))
        {
            return full;
        }
        else
        {
            refusal = IngestAnswer.InvalidArgument(
                TopicHeader, "constraint", $"the topic, the network's prefix included, is longer than {TopicFilter.MaximumBytes} bytes");
        }
        return null;
    }

    /// <summary>The prefix before the topic, with a slash between them where neither brings one.</summary>
    internal static string Join(string prefix, string topic) =>
        prefix.Length == 0 || prefix.EndsWith('/') || topic.StartsWith('/') ? prefix + topic : prefix + "/" + topic;

    private static Guid? MessageId(HttpRequest request, out IngestAnswer? refusal)
    {
        refusal = null;
        foreach (var header in IdHeaders)
        {
            if (request.Headers[header].ToString() is { Length: > 0 } text)
            {
                if (Guid.TryParseExact(text, "D", out var id))
                {
                    return id;
                }
                refusal = IngestAnswer.InvalidArgument(header, "format", "must be a UUID");
                return null;
            }
        }
        return Guid.NewGuid();
    }

    private async Task<IngestAnswer> Place(Network network, DeviceMessage message)
    {
        using var limit = new CancellationTokenSource(PlacingTimeLimit);
        IntakeOutcome outcome;
        try
        {
            outcome = await intake.Accept(new IncomingMessage(network.HubId, network.Id, message), limit.Token);
        }
        catch (OperationCanceledException)
        {
            outcome = IntakeOutcome.Unavailable;
        }
        switch (outcome)
        {
            case IntakeOutcome.Published:
                return IngestAnswer.Accepted;
            case IntakeOutcome.Queued:
                Log.Queued(logger, message.Id, network.HubId);
                return IngestAnswer.Accepted;
            case IntakeOutcome.TopicInvalid:
                return IngestAnswer.InvalidArgument(TopicHeader, "format", "the broker does not accept this topic");
            case IntakeOutcome.TooLarge:
                return IngestAnswer.TooLarge(EnvelopeQueue.MaximumPayloadBytes);
            case IntakeOutcome.UnknownHub:
            case IntakeOutcome.HubNotReady:
                return IngestAnswer.HubNotReady(network.HubId, null);
            case IntakeOutcome.Unavailable:
            default:
                Log.NotPlaced(logger, message.Id, network.HubId);
                return IngestAnswer.Unavailable;
        }
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning, "a post was answered 503, the registry is not readable: {Reason}")]
        public static partial void RegistryUnavailable(ILogger logger, string reason);

        [LoggerMessage(2, LogLevel.Warning, "the broker does not answer: message {MessageId} of hub {HubId} waits on the ingress queue")]
        public static partial void Queued(ILogger logger, Guid messageId, Guid hubId);

        [LoggerMessage(3, LogLevel.Error,
            "neither the broker nor the ingress queue took message {MessageId} of hub {HubId}: check IOTHUB_BROKER_URL and the account")]
        public static partial void NotPlaced(ILogger logger, Guid messageId, Guid hubId);
    }
}
