using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Core.Queues;
using IotHub.Core.Storage;
using IotHub.Functions.Routes.Delivery.Sinks;

namespace IotHub.Functions.Routes.Delivery;

/// <summary>
/// Delivers a batch for one route, in order. The first message that does not get through ends the batch: the rest goes back on the queue
/// with a delay (<see cref="DeliveryPolicy"/>), so nothing overtakes it, and the invocation itself succeeds. A throw means that our own
/// storage failed; then the host repeats the whole batch, which each sink bears.
/// </summary>
public sealed partial class DeliverFunction(
    IRegistry registry, RestSink rest, ObjectStoreSink objects, DeliveryPolicy policy, EnvelopeQueue deliveries, DeadLetters deadLetters,
    RouteEvents events, TimeProvider clock, Random random, ILogger<DeliverFunction> logger)
{
    /// <summary>What is left then goes to the end of the queue: a slow target must not hold the few places that all routes share.</summary>
    private static readonly TimeSpan WorkingTime = TimeSpan.FromSeconds(20);

    public async Task Run(ReadOnlyMemory<byte> queueMessage, CancellationToken cancel)
    {
        var batch = EnvelopeJson.Read<DeliveryEnvelope>(queueMessage.Span);
        var route = (await registry.GetRoute(batch.RouteId, cancel))?.Value;
        if (route is null || route.HubId != batch.HubId)
        {
            Log.RouteGone(logger, batch.RouteId, batch.HubId, batch.Messages.Count);
            return;
        }
        var until = clock.GetUtcNow() + WorkingTime;
        while (batch.Messages.Count > 0)
        {
            if (clock.GetUtcNow() >= until)
            {
                await deliveries.Send(batch, TimeSpan.Zero, cancel);
                return;
            }
            if (await DeliverFirst(route, batch, cancel) is not { } rest)
            {
                return;
            }
            batch = rest;
        }
    }

    /// <returns>What is left to do now; null when the batch is on the queue again.</returns>
    private async Task<DeliveryEnvelope?> DeliverFirst(Route route, DeliveryEnvelope batch, CancellationToken cancel)
    {
        var first = batch.Messages[0];
        if (await deliveries.PayloadOf(first, cancel) is not { } payload)
        {
            Log.PayloadGone(logger, first.Id, route.Id);
            return Without(batch);
        }
        var message = new DeviceMessage(first.Id, first.Topic, payload, first.Retain, first.ReceivedAt);
        var outcome = await Try(route, message, cancel);
        var decision = policy.Decide(outcome, batch.Attempt, batch.Refusals, clock.GetUtcNow() - first.ReceivedAt);
        switch (decision.Step)
        {
            case DeliveryStep.Done:
                if (batch.Attempt > 0)
                {
                    await events.Recovered(route, cancel);
                }
                return Without(batch);
            case DeliveryStep.Retry:
                await events.Failed(route, outcome.Reason, cancel);
                var again = batch with
                {
                    Attempt = batch.Attempt + 1,
                    Refusals = outcome.Result == DeliveryResult.Refused ? batch.Refusals + 1 : 0,
                };
                await deliveries.Send(again, DeliveryPolicy.Jitter(decision.Delay, random), cancel);
                return null;
            case DeliveryStep.DeadLetter:
                await GiveUp(route, batch, payload, outcome, cancel);
                // A target that is away is away for the next message too: that one need not begin to wait anew.
                return Without(batch) with { Attempt = outcome.Result == DeliveryResult.NotNow ? batch.Attempt : 0 };
            default:
                throw new InvalidOperationException($"no such step: {decision.Step}");
        }
    }

    private Task<DeliveryOutcome> Try(Route route, DeviceMessage message, CancellationToken cancel) => route.Type switch
    {
        RouteType.Rest => rest.Deliver(route, message, cancel),
        RouteType.S3 => objects.Deliver(route, message, cancel),
        _ => Task.FromResult(DeliveryOutcome.Impossible(
            "failed to connect to database. Error 0A000: database routes are not supported yet")),
    };

    private async Task GiveUp(
        Route route, DeliveryEnvelope batch, ReadOnlyMemory<byte> payload, DeliveryOutcome outcome, CancellationToken cancel)
    {
        var first = batch.Messages[0];
        await deadLetters.Put(
            new DeadLetter
            {
                HubId = batch.HubId,
                RouteId = batch.RouteId,
                Reason = outcome.Reason,
                Attempts = batch.Attempt + 1,
                GivenUpAt = clock.GetUtcNow(),
                Message = first with { Payload = payload.ToArray(), PayloadBlob = null },
            },
            cancel);
        Log.GivenUp(logger, first.Id, route.Id, batch.Attempt + 1, outcome.Reason);
        await events.Failed(route, outcome.Reason, cancel);
    }

    private static DeliveryEnvelope Without(DeliveryEnvelope batch) =>
        batch with { Messages = [.. batch.Messages.Skip(1)], Attempt = 0, Refusals = 0 };

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning, "route {RouteId} of hub {HubId} is gone: {Count} messages owed to it are dropped")]
        public static partial void RouteGone(ILogger logger, Guid routeId, Guid hubId, int count);

        [LoggerMessage(2, LogLevel.Error, "the payload of message {MessageId} for route {RouteId} is gone from the payloads container")]
        public static partial void PayloadGone(ILogger logger, Guid messageId, Guid routeId);

        [LoggerMessage(3, LogLevel.Error,
            "message {MessageId} for route {RouteId} is given up after {Tries} tries and stands in the dead-letters container: {Reason}")]
        public static partial void GivenUp(ILogger logger, Guid messageId, Guid routeId, int tries, string reason);
    }
}
