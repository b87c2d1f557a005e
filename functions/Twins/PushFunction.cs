using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using IotHub.Core.Messages;
using IotHub.Core.Queues;
using IotHub.Core.Security;
using IotHub.Core.Storage;
using IotHub.Functions.Outgoing;

namespace IotHub.Functions.Twins;

/// <summary>
/// Pushes values of twins to the Graphite target of their hub, as the JSON array that Grafana Cloud takes. A repeat sends the same values
/// for the same second. A target that is away is tried again for about half an hour; one that says no is not.
/// </summary>
internal sealed partial class PushFunction(
    IRegistry registry, Sealer sealer, IMessageQueue pushes, GuardedConnector connector, TimeProvider clock, ILogger<PushFunction> logger)
    : IDisposable
{
    public const int MaximumAttempts = 12;

    /// <summary>Seconds between two values of a series, at least.</summary>
    private const int Interval = 1;

    private static readonly TimeSpan TimeLimit = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan LongestDelay = TimeSpan.FromMinutes(5);

    private readonly HttpClient _http = connector.NewHttpClient();

    public async Task Run(ReadOnlyMemory<byte> queueMessage, CancellationToken cancel)
    {
        var envelope = EnvelopeJson.Read<TwinPushEnvelope>(queueMessage.Span);
        if (await registry.GetHub(envelope.HubId, cancel) is not { Value.SealedTwinsGraphitePushUri: { } sealedUri })
        {
            Log.NoTarget(logger, envelope.HubId);
            return;
        }
        var target = new Uri(sealer.Open(sealedUri, SealPurposes.Graphite(envelope.HubId)));
        var (failure, isFinal) = await Push(target, envelope, cancel);
        if (failure is null)
        {
            return;
        }
        if (isFinal || envelope.Attempt + 1 >= MaximumAttempts)
        {
            Log.GivenUp(logger, envelope.Values.Count, envelope.TwinId, envelope.HubId, failure);
            return;
        }
        var delay = TimeSpan.FromSeconds(1 << Math.Min(envelope.Attempt, 9));
        await pushes.Send(
            EnvelopeJson.Write(envelope with { Attempt = envelope.Attempt + 1 }), delay < LongestDelay ? delay : LongestDelay, cancel);
    }

    public void Dispose() => _http.Dispose();

    private async Task<(string? Failure, bool IsFinal)> Push(Uri target, TwinPushEnvelope envelope, CancellationToken cancel)
    {
        using var time = new CancellationTokenSource(TimeLimit, clock);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel, time.Token);
        try
        {
            using var request = Request(target, envelope);
            using var response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, limit.Token);
            var status = (int)response.StatusCode;
            return response.IsSuccessStatusCode
                ? (null, false)
                : ($"it answered {status}", status is not (408 or 425 or 429 or >= 500));
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return ("no answer in time", false);
        }
        catch (Exception e) when (e is HttpRequestException { InnerException: AddressRefusedException })
        {
            return ("its address may not be reached", true);
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            return ("the connection was refused or broke", false);
        }
    }

    private static HttpRequestMessage Request(Uri target, TwinPushEnvelope envelope)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, new UriBuilder(target) { UserName = "", Password = "" }.Uri)
        {
            Content = new ByteArrayContent(Encoding.UTF8.GetBytes(Body(envelope).ToJsonString())),
        };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        if (target.UserInfo.Length > 0)
        {
            var credentials = Encoding.UTF8.GetBytes(Uri.UnescapeDataString(target.UserInfo));
            request.Headers.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(credentials));
        }
        return request;
    }

    private static JsonArray Body(TwinPushEnvelope envelope) => new([.. envelope.Values.Select(value =>
    {
        var name = value.Path[(value.Path.LastIndexOf('.') + 1)..];
        JsonArray tags =
        [
            .. value.Tags.Select(tag => $"{tag.Key}={tag.Value}"),
            $"json_path={value.Path}", $"twin_id={envelope.TwinId}", $"document={envelope.DocumentName}",
        ];
        return new JsonObject
        {
            ["name"] = name.Length > 0 ? name : "value",
            ["interval"] = Interval,
            ["value"] = value.Value,
            ["time"] = envelope.At.ToUnixTimeSeconds(),
            ["tags"] = tags,
        };
    })]);

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Information, "hub {HubId} has no Graphite target any more: values of its twins are dropped")]
        public static partial void NoTarget(ILogger logger, Guid hubId);

        [LoggerMessage(2, LogLevel.Warning,
            "{Count} values of twin {TwinId} did not reach the Graphite target of hub {HubId} and are dropped: {Reason}")]
        public static partial void GivenUp(ILogger logger, int count, Guid twinId, Guid hubId, string reason);
    }
}
