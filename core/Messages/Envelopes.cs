using System.Text.Json.Serialization;

namespace IotHub.Core.Messages;

/// <summary>Names of the queues and containers through which the two halves meet.</summary>
public static class StorageNames
{
    /// <summary>Broker to functions: <see cref="DeliveryEnvelope"/>, a batch of messages owed to one route.</summary>
    public const string DeliveriesQueue = "deliveries";

    /// <summary>Broker to functions: <see cref="EventsEnvelope"/>, what happened on a hub.</summary>
    public const string EventsQueue = "events";

    /// <summary>Functions to broker: <see cref="IngressEnvelope"/>, messages accepted while the broker did not answer.</summary>
    public const string IngressQueue = "ingress";

    /// <summary>Broker and functions to functions: <see cref="TwinPushEnvelope"/>, values of twins for a hub's Graphite target.</summary>
    public const string TwinPushesQueue = "twin-pushes";

    /// <summary>Broker to functions: <see cref="MetricsEnvelope"/>, what devices did in a minute.</summary>
    public const string MetricsQueue = "metrics";

    public static readonly IReadOnlyList<string> Queues = [DeliveriesQueue, EventsQueue, IngressQueue, TwinPushesQueue, MetricsQueue];

    /// <summary>Payloads too large for a queue message; named by hub and message id.</summary>
    public const string PayloadsContainer = "payloads";

    /// <summary>Deliveries given up after the last attempt.</summary>
    public const string DeadLettersContainer = "dead-letters";
}

/// <summary>A batch of messages for one route, in the order the hub accepted them. Format: docs/formats/queues.md.</summary>
public sealed record DeliveryEnvelope
{
    public const int CurrentVersion = 1;
    public int Version { get; init; } = CurrentVersion;
    public required Guid HubId { get; init; }
    public required Guid RouteId { get; init; }

    /// <summary>How many times the first message of the batch was tried before.</summary>
    public int Attempt { get; init; }

    /// <summary>How many of the last of those tries in a row were refused by a target that was there.</summary>
    public int Refusals { get; init; }

    /// <summary>When the batch was first put on the queue.</summary>
    public required DateTimeOffset CreatedAt { get; init; }

    public required IReadOnlyList<EnvelopeMessage> Messages { get; init; }
}

/// <summary>A message inside an envelope. Exactly one of <see cref="Payload"/> and <see cref="PayloadBlob"/> is set.</summary>
public sealed record EnvelopeMessage
{
    public required Guid Id { get; init; }
    public required string Topic { get; init; }

    /// <summary>Base64 in JSON.</summary>
    public byte[]? Payload { get; init; }

    /// <summary>Name of the blob in <see cref="StorageNames.PayloadsContainer"/> that holds the payload.</summary>
    public string? PayloadBlob { get; init; }

    public bool Retain { get; init; }
    public required DateTimeOffset ReceivedAt { get; init; }
}

/// <summary>What the broker saw on one hub: connections and hub events.</summary>
public sealed record EventsEnvelope
{
    public const int CurrentVersion = 1;
    public int Version { get; init; } = CurrentVersion;
    public required Guid HubId { get; init; }

    /// <summary>The run of the broker that reports; its devices are connected only as long as it lasts.</summary>
    public Guid? BrokerRun { get; init; }

    public IReadOnlyList<ActivityReport> Activity { get; init; } = [];
    public IReadOnlyList<HubEvent> Events { get; init; } = [];
}

public sealed record ActivityReport(Guid DeviceId, bool IsConnected, DateTimeOffset LastActivityAt);

/// <summary>
/// A hub event as it is published on the hub's event topics: same keys, same texts (Scaleway IoT reference, hub events).
/// </summary>
public sealed record HubEvent
{
    [JsonPropertyName("time"), JsonConverter(typeof(Rfc3339Seconds))] public required DateTimeOffset Time { get; init; }
    [JsonPropertyName("severity")] public required string Severity { get; init; }
    [JsonPropertyName("object-type")] public required string ObjectType { get; init; }

    /// <summary>Id, or <c>unknown</c> when it could not be determined.</summary>
    [JsonPropertyName("object-id")] public required string ObjectId { get; init; }

    [JsonPropertyName("msg")] public required string Message { get; init; }
    [JsonPropertyName("packet"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public string? Packet { get; init; }
    [JsonPropertyName("object-name"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public string? ObjectName { get; init; }
    [JsonPropertyName("source-address"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public string? SourceAddress { get; init; }
    [JsonPropertyName("payload"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public string? Payload { get; init; }
}

/// <summary>A message that a network accepted while the broker did not answer; published when the broker is back, once per id.</summary>
public sealed record IngressEnvelope
{
    public const int CurrentVersion = 1;
    public int Version { get; init; } = CurrentVersion;
    public required Guid HubId { get; init; }

    /// <summary>The network or route that the message comes from.</summary>
    public required Guid SourceId { get; init; }

    public required EnvelopeMessage Message { get; init; }
}

/// <summary>Values of one twin document on their way to the hub's Graphite target.</summary>
public sealed record TwinPushEnvelope
{
    public const int CurrentVersion = 1;
    public int Version { get; init; } = CurrentVersion;
    public required Guid HubId { get; init; }
    public required Guid TwinId { get; init; }
    public required string DocumentName { get; init; }

    /// <summary>When the document was written.</summary>
    public required DateTimeOffset At { get; init; }

    /// <summary>How many times it was tried before.</summary>
    public int Attempt { get; init; }

    public required IReadOnlyList<TwinValue> Values { get; init; }
}

/// <param name="Path">Keys from the document's root to the value, joined by dots.</param>
public sealed record TwinValue(string Path, double Value, IReadOnlyDictionary<string, string> Tags);

/// <summary>What one broker counted on one hub in one minute, or a part of it: devices are spread over as many envelopes as it takes.</summary>
public sealed record MetricsEnvelope
{
    public const int CurrentVersion = 1;
    public int Version { get; init; } = CurrentVersion;
    public required Guid HubId { get; init; }

    /// <summary>The run of the broker, 8 characters of 0-9 and a-f: it counts a minute once, another run beside or after it counts its own.</summary>
    public required string Source { get; init; }

    /// <summary>When the minute began.</summary>
    public required DateTimeOffset Minute { get; init; }

    /// <summary>Of the whole hub; in one envelope of the minute only.</summary>
    public HubCounts? Hub { get; init; }

    public IReadOnlyList<DeviceCounts> Devices { get; init; } = [];
}

/// <param name="Messages">MQTT packets sent or received.</param>
/// <param name="Active">Devices connected at least for a part of the minute.</param>
/// <param name="ActiveInHour">Different devices since the hour began, this minute included.</param>
public sealed record HubCounts(long Messages, long Active, long ActiveInHour);

/// <summary>A device that was connected at least for a part of the minute.</summary>
public sealed record DeviceCounts(Guid Id, long Messages);
