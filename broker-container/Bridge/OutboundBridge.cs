using IotHub.Core.Messages;
using IotHub.Core.Queues;

namespace IotHub.Broker.Bridge;

/// <summary>
/// From the broker to the functions: what is owed to routes goes to the deliveries queue, what happened to the events queue. Nothing here
/// blocks the broker; storage that is slow or away shows as a full buffer.
/// </summary>
public sealed partial class OutboundBridge : IOutboundBridge, IDisposable
{
    private readonly DeliverySender _deliveries;
    private readonly EventSender _events;
    private readonly TimeProvider _clock;
    private readonly BridgeLimits _limits;
    private readonly ILogger<OutboundBridge> _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly CancellationTokenSource _giveUp = new();
    private Task _sendingDeliveries = Task.CompletedTask;
    private Task _sendingEvents = Task.CompletedTask;

    public OutboundBridge(
        IMessageQueue deliveries, IMessageQueue events, IPayloads payloads, TimeProvider clock, BridgeLimits limits,
        ILogger<OutboundBridge> logger, Guid? brokerRun = null)
    {
        _deliveries = new DeliverySender(new EnvelopeQueue(deliveries, payloads), clock, limits, logger);
        _events = new EventSender(events, clock, limits, logger, brokerRun);
        _clock = clock;
        _limits = limits;
        _logger = logger;
    }

    /// <summary>Deliveries that are not on their queue yet.</summary>
    public int WaitingDeliveries => _deliveries.Count;

    /// <summary>Events and activity reports given up since the start, because the buffer was full.</summary>
    public long DroppedEvents => _events.Dropped;

    public void Start()
    {
        _sendingDeliveries = _deliveries.Run(_giveUp.Token);
        _sendingEvents = _events.Run(_stop.Token, _giveUp.Token);
    }

    /// <summary>Takes no more deliveries and hands over what is held, for as long as the limits allow. After the broker stopped.</summary>
    public async Task Stop()
    {
        var drained = Task.WhenAll(_deliveries.Drain(), _sendingEvents);
        await _stop.CancelAsync();
        using var patience = new CancellationTokenSource();
        if (await Task.WhenAny(drained, Task.Delay(_limits.DrainTime, _clock, patience.Token)) != drained)
        {
            Log.GaveUp(_logger, _deliveries.Count);
        }
        await patience.CancelAsync();
        await _giveUp.CancelAsync();
        await Task.WhenAll(_sendingDeliveries, _sendingEvents);
    }

    public void Dispose()
    {
        _stop.Dispose();
        _giveUp.Dispose();
    }

    public bool Offer(Guid hubId, IReadOnlyList<Guid> routeIds, DeviceMessage message, Action? stored) =>
        _deliveries.Offer(hubId, routeIds, message, stored);

    public bool HasRoom(IReadOnlyList<Guid> routeIds, DeviceMessage message) => _deliveries.HasRoom(routeIds, message);

    public void Activity(Guid hubId, ActivityReport report) => _events.Activity(hubId, report);

    public void Event(Guid hubId, HubEvent happened) => _events.Event(hubId, happened);

    private static partial class Log
    {
        [LoggerMessage(11, LogLevel.Error,
            "Storage did not take everything before the stop: {Count} deliveries are lost, or sent again by their publishers")]
        public static partial void GaveUp(ILogger logger, int count);
    }
}

/// <summary>The stand-alone mode's bridge: there are no routes, and nobody records.</summary>
public sealed class NullBridge : IOutboundBridge
{
    public bool Offer(Guid hubId, IReadOnlyList<Guid> routeIds, DeviceMessage message, Action? stored)
    {
        stored?.Invoke();
        return true;
    }

    public bool HasRoom(IReadOnlyList<Guid> routeIds, DeviceMessage message) => true;

    public void Activity(Guid hubId, ActivityReport report)
    {
        // Nobody asks for it.
    }

    public void Event(Guid hubId, HubEvent happened)
    {
        // It was published on the hub, which is all there is.
    }
}
