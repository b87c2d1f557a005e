using System.Text;
using System.Text.Json.Nodes;
using IotHub.Broker.Auth;
using IotHub.Broker.Protocol;
using IotHub.Core.Messages;

namespace IotHub.Broker.Bridge;

/// <summary>A route as the broker sees it: an id and a filter. What it does with a message is the functions' business.</summary>
public sealed record RouteSubscription(Guid RouteId, string Filter);

/// <summary>What the broker tells the rest of the system. The stand-alone mode has one that keeps nothing.</summary>
public interface IOutboundBridge
{
    /// <summary>
    /// A message is owed to routes. Called under the hub's lane, must not block. <paramref name="stored"/> (null for QoS 0) is called
    /// exactly once, from any thread, when the message is where a crash of the broker cannot lose it; the publisher's
    /// acknowledgement waits for that. The payload is kept as it is until then: its bytes must not change any more.
    /// </summary>
    /// <returns>False when the bounded buffer is full: the message was not taken and <paramref name="stored"/> will not be called.</returns>
    bool Offer(Guid hubId, IReadOnlyList<Guid> routeIds, DeviceMessage message, Action? stored);

    /// <summary>
    /// Would <see cref="Offer"/> take it now? For a message that is offered once it is on disk, and has to be refused before. Under the
    /// hub's lane, must not block.
    /// </summary>
    bool HasRoom(IReadOnlyList<Guid> routeIds, DeviceMessage message);

    /// <summary>A device connected, disconnected or was active.</summary>
    void Activity(Guid hubId, ActivityReport report);

    /// <summary>A hub event, already published on the hub; recorded for the console.</summary>
    void Event(Guid hubId, HubEvent happened);
}

/// <summary>What the rest of the system may ask of the broker. Every call is safe from any thread.</summary>
public interface IBrokerControl
{
    /// <summary>
    /// Publishes a message that came in over a network, a route's reply or a queue: QoS 0 to the hub's subscribers, owed to its routes.
    /// A message id seen lately on this hub is answered <see cref="IngestOutcome.Duplicate"/> and has no effect.
    /// </summary>
    /// <param name="exceptRoute">The route that caused it, which must not get it again.</param>
    Task<IngestOutcome> Publish(Guid hubId, DeviceMessage message, Guid? exceptRoute, CancellationToken cancel);

    /// <summary>Swaps the rights of a device's live sessions; subscriptions that lost theirs stop, queued messages are filtered.</summary>
    void RightsChanged(Guid hubId, Guid deviceId, Rights rights);

    /// <summary>Ends a device's connections; with <paramref name="dropSessions"/> also its sessions and what is queued in them.</summary>
    /// <param name="because">Raised only when a connection was ended: the call may be repeated for a device that is long gone.</param>
    /// <param name="exceptCertified">Leaves connections alone that were made with a client certificate.</param>
    void DisconnectDevice(Guid hubId, Guid deviceId, ReasonCode reason, HubEvent? because, bool dropSessions, bool exceptCertified = false);

    /// <summary>Ends all connections of a hub; with <paramref name="dropEverything"/> also sessions, retained messages and queues.</summary>
    /// <param name="because">Raised only when a connection was ended.</param>
    void DisconnectHub(Guid hubId, ReasonCode reason, HubEvent? because, bool dropEverything);

    /// <summary>Tells the hub's settings and routes; called before the first client or message of a hub, and after each change.</summary>
    void Configure(Guid hubId, HubSettings settings);

    /// <summary>Publishes a hub event and hands it on to be recorded.</summary>
    void Raise(Guid hubId, HubEvent happened);

    /// <summary>Devices of a hub that are connected now.</summary>
    IReadOnlyCollection<Guid> ConnectedDevices(Guid hubId);
}

/// <param name="EventsTopicPrefix">Null when the hub's events are switched off.</param>
public sealed record HubSettings(string? EventsTopicPrefix, bool SeverityFirst, IReadOnlyList<RouteSubscription> Routes);

public enum IngestOutcome { Accepted, Duplicate, BufferFull, TopicInvalid }

/// <summary>A device's request to its own twin.</summary>
public sealed record TwinRequest(Guid HubId, Guid DeviceId, string Document, TwinMethod Method, byte[] Payload);

/// <param name="Payload">JSON, as published.</param>
public readonly record struct TwinAnswer(bool IsSuccess, byte[] Payload)
{
    public static TwinAnswer Error(string text) => Error(new JsonObject { ["error"] = text });

    public static TwinAnswer Error(JsonObject payload) => new(false, Encoding.UTF8.GetBytes(payload.ToJsonString()));
}

/// <summary>Carries out requests to twins. The stand-alone mode has none.</summary>
public interface ITwinRequests
{
    int MaximumPayloadBytes { get; }

    /// <summary>
    /// Called under the hub's lane, does not block. Requests of one device are carried out in their order.
    /// <paramref name="answered"/> is called exactly once, from another thread.
    /// </summary>
    /// <returns>False when too much waits: <paramref name="answered"/> will not be called.</returns>
    bool Offer(TwinRequest request, Action<TwinAnswer> answered);
}

/// <summary>What the devices of one hub did: packets sent and received by each that was connected.</summary>
public sealed record HubActivity(Guid HubId, IReadOnlyDictionary<Guid, long> Packets);

/// <summary>Counts what devices do.</summary>
public interface IActivityCounts
{
    /// <summary>Since the last call; hubs without a connected device are left out. From any thread.</summary>
    IReadOnlyList<HubActivity> TakeCounts();
}
