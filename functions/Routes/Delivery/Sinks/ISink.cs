using IotHub.Core.Messages;

namespace IotHub.Functions.Routes.Delivery.Sinks;

/// <summary>A destination of messages. Delivers one message, or says why not; safe to repeat.</summary>
public interface ISink
{
    /// <summary>Never throws for what a target does.</summary>
    Task<DeliveryOutcome> Deliver(Route route, DeviceMessage message, CancellationToken cancel);
}
