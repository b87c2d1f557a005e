using IotHub.Core.Messages;

namespace IotHub.Broker.Sessions;

/// <summary>Makers of hub events (Scaleway IoT reference, hub events); the texts are the original's where it has one.</summary>
public static class HubEvents
{
    public static HubEvent Error(TimeProvider time, Guid deviceId, string message, string? packet) =>
        Make(time, "error", "device", deviceId.ToString(), message) with { Packet = packet };

    public static HubEvent Warning(TimeProvider time, string objectType, string objectId, string message) =>
        Make(time, "warning", objectType, objectId, message);

    private static HubEvent Make(TimeProvider time, string severity, string objectType, string objectId, string message)
    {
        var now = time.GetUtcNow();
        return new HubEvent
        {
            // Whole seconds, as the original has them.
            Time = now.AddTicks(-(now.Ticks % TimeSpan.TicksPerSecond)),
            Severity = severity,
            ObjectType = objectType,
            ObjectId = objectId,
            Message = message,
        };
    }
}
