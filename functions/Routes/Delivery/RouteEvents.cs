using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Core.Queues;
using IotHub.Core.Storage;
using IotHub.Functions.Hosting;

namespace IotHub.Functions.Routes.Delivery;

/// <summary>
/// Tells a hub that one of its routes fails: one event per episode, published on the hub's event topic and kept in the event log. It never
/// reaches the route it is about. An event that cannot be told is logged: deliveries do not wait for it.
/// </summary>
public sealed partial class RouteEvents(
    IRegistry registry, IFailureEpisodes episodes, IEventLog events, MessageIntake intake, FunctionsSettings settings, TimeProvider clock,
    ILogger<RouteEvents> logger)
{
    /// <summary>Retries of one batch are at most five minutes apart; with twice that without a failure the episode is over.</summary>
    public static readonly TimeSpan QuietTime = 2 * DeliveryPolicy.LongestDelay;

    public async Task Failed(Route route, string text, CancellationToken cancel)
    {
        Log.Failing(logger, route.Id, route.HubId, text);
        try
        {
            if (await episodes.Failed(route.HubId, route.Id, clock.GetUtcNow(), QuietTime, cancel)
                && await registry.GetHub(route.HubId, cancel) is { Value: { DisableEvents: false } hub })
            {
                await Tell(hub, route, text, cancel);
            }
        }
        catch (RegistryUnavailableException e)
        {
            Log.NotTold(logger, route.Id, StorageFailure.Reason(e)!);
        }
    }

    public async Task Recovered(Route route, CancellationToken cancel)
    {
        Log.Recovered(logger, route.Id, route.HubId);
        try
        {
            await episodes.Ended(route.HubId, route.Id, cancel);
        }
        catch (RegistryUnavailableException e)
        {
            Log.NotTold(logger, route.Id, StorageFailure.Reason(e)!);
        }
    }

    private async Task Tell(Hub hub, Route route, string text, CancellationToken cancel)
    {
        var now = clock.GetUtcNow();
        var happened = new HubEvent
        {
            Time = now,
            Severity = EventTopics.Name(EventSeverity.Error),
            ObjectType = EventTopics.Name(EventSource.Route),
            ObjectId = route.Id.ToString(),
            Message = text,
        };
        var topic = EventTopics.Of(
            hub.EventsTopicPrefix, settings.EventsSeverityFirst, EventSource.Route, route.Id.ToString(), EventSeverity.Error);
        var id = Guid.NewGuid();
        var message = new DeviceMessage(id, topic, EventTopics.Payload(happened), Retain: false, now);
        var outcome = await intake.Accept(new IncomingMessage(hub.Id, route.Id, message, ExceptRoute: route.Id), cancel);
        if (outcome is not (IntakeOutcome.Published or IntakeOutcome.Queued))
        {
            Log.NotPublished(logger, route.Id, outcome);
        }
        await events.Append(hub.Id, [new LoggedEvent(id.ToString("N"), happened)], cancel);
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning, "route {RouteId} of hub {HubId} fails: {Text}")]
        public static partial void Failing(ILogger logger, Guid routeId, Guid hubId, string text);

        [LoggerMessage(2, LogLevel.Information, "route {RouteId} of hub {HubId} delivers again")]
        public static partial void Recovered(ILogger logger, Guid routeId, Guid hubId);

        [LoggerMessage(3, LogLevel.Warning, "route {RouteId}: its hub could not be told: {Reason}")]
        public static partial void NotTold(ILogger logger, Guid routeId, string reason);

        [LoggerMessage(4, LogLevel.Warning, "route {RouteId}: the event was not published: {Outcome}")]
        public static partial void NotPublished(ILogger logger, Guid routeId, IntakeOutcome outcome);
    }
}
