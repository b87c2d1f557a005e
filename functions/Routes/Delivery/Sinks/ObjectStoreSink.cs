using System.Globalization;
using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Core.Storage;

namespace IotHub.Functions.Routes.Delivery.Sinks;

/// <summary>
/// Writes messages as objects: <c>per_topic</c> one object per topic that holds the newest message, <c>per_message</c> one object each.
/// Each object carries the message's id and time, so that a repeat writes nothing twice and an old message never replaces a newer one.
/// </summary>
public sealed class ObjectStoreSink(IObjectStore store) : ISink
{
    private const string MessageId = "messageid";
    private const string ReceivedAt = "receivedat";

    /// <summary>Writers that meet on one object: each round one of them gets through.</summary>
    private const int Rounds = 20;

    /// <summary>Messages of one topic in one tick of the clock, told apart by the last two digits of the name.</summary>
    private const int NamesPerTick = 100;

    public async Task<DeliveryOutcome> Deliver(Route route, DeviceMessage message, CancellationToken cancel)
    {
        var config = route.S3!;
        if (IsOurs(config.BucketName))
        {
            return DeliveryOutcome.Impossible(Text(config.BucketName, 403, "AccessDenied", ""));
        }
        try
        {
            return config.Strategy == S3Strategy.PerMessage
                ? await PutNew(config, message, cancel)
                : await PutNewest(config, message, cancel);
        }
        catch (ObjectStoreException e)
        {
            var text = Text(config.BucketName, e.Status, e.Code, e.RequestId);
            return e.Status is 0 or 408 or 409 or 429 or >= 500 ? DeliveryOutcome.NotNow(text) : DeliveryOutcome.Refused(text);
        }
    }

    private async Task<DeliveryOutcome> PutNew(S3RouteConfig config, DeviceMessage message, CancellationToken cancel)
    {
        for (var extra = 0; extra < NamesPerTick; extra++)
        {
            var key = ObjectKey.PerMessage(config.ObjectPrefix, message.Topic, message.ReceivedAt, extra);
            if (await store.TryPut(config.BucketName, key, message.Payload, Metadata(message), expected: null, cancel))
            {
                return DeliveryOutcome.Delivered;
            }
            var there = await store.Find(config.BucketName, key, cancel);
            if (there is not null && Value(there, MessageId) == message.Id.ToString())
            {
                return DeliveryOutcome.Delivered;
            }
        }
        return DeliveryOutcome.NotNow(Text(config.BucketName, 409, "NameTaken", ""));
    }

    private async Task<DeliveryOutcome> PutNewest(S3RouteConfig config, DeviceMessage message, CancellationToken cancel)
    {
        var key = ObjectKey.PerTopic(config.ObjectPrefix, message.Topic);
        for (var round = 0; round < Rounds; round++)
        {
            var there = await store.Find(config.BucketName, key, cancel);
            if (there is not null && IsNewer(there, message))
            {
                return DeliveryOutcome.Delivered;
            }
            if (await store.TryPut(config.BucketName, key, message.Payload, Metadata(message), there?.Version, cancel))
            {
                return DeliveryOutcome.Delivered;
            }
        }
        return DeliveryOutcome.NotNow(Text(config.BucketName, 409, "ConcurrentWrites", ""));
    }

    private static bool IsNewer(StoredObject there, DeviceMessage message) =>
        DateTimeOffset.TryParse(Value(there, ReceivedAt), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var at)
        && (at > message.ReceivedAt || (at == message.ReceivedAt && Value(there, MessageId) == message.Id.ToString()));

    private static string? Value(StoredObject there, string name) => there.Metadata.GetValueOrDefault(name);

    private static Dictionary<string, string> Metadata(DeviceMessage message) => new()
    {
        [MessageId] = message.Id.ToString(),
        [ReceivedAt] = message.ReceivedAt.UtcDateTime.ToString("O", CultureInfo.InvariantCulture),
    };

    /// <summary>Containers of the service itself in the same account: never a route's bucket.</summary>
    private static bool IsOurs(string bucket) =>
        bucket is StorageNames.PayloadsContainer or StorageNames.DeadLettersContainer
        || bucket.StartsWith("azure-webjobs-", StringComparison.Ordinal)
        || bucket.StartsWith('$');

    private static string Text(string bucket, int status, string code, string requestId) =>
        $"'{bucket}' s3 bucket write failed. Error {status}: {code} (request-id: {requestId})";
}
