using System.Text;
using IotHub.Broker.Bridge;
using IotHub.Core.Messages;

namespace IotHub.Harness.Simulation;

/// <summary>
/// The queue to the routes, outside of the broker: refuses some of what it is offered, stores the rest in the background, and says so
/// later still. It outlives every crash.
/// </summary>
public sealed class SimulatedRoutes(Random random, Action<Action> background) : IOutboundBridge
{
    public const string Filter = "b/#";

    public static readonly Guid Route = new(9, 8, 7, [6, 5, 4, 3, 2, 1, 0, 9]);

    private readonly Dictionary<int, HashSet<Guid>> _stored = [];

    /// <summary>Under how many ids a message was stored.</summary>
    public int Stored(SimulatedMessage message) => _stored.GetValueOrDefault(message.Number)?.Count ?? 0;

    public bool Offer(Guid hubId, IReadOnlyList<Guid> routeIds, DeviceMessage message, Action? stored)
    {
        if (random.Next(8) == 0)
        {
            return false;
        }
        background(() =>
        {
            var payload = Encoding.UTF8.GetString(message.Payload.Span);
            if (payload.Length > 0)
            {
                var number = SimulationModel.NumberOf(payload);
                (_stored.TryGetValue(number, out var ids) ? ids : _stored[number] = []).Add(message.Id);
            }
            if (stored is not null)
            {
                background(stored);
            }
        });
        return true;
    }

    public bool HasRoom(IReadOnlyList<Guid> routeIds, DeviceMessage message) => true;

    public void Activity(Guid hubId, ActivityReport report)
    {
        // Whether a device is connected is no message.
    }

    public void Event(Guid hubId, HubEvent happened)
    {
        // The hub has its events switched off.
    }
}

/// <summary>A message from outside the broker, which may be sent again under its id.</summary>
public sealed class IngestedMessage(SimulatedMessage message, Guid id, string payload)
{
    public SimulatedMessage Message { get; } = message;
    public string Payload { get; } = payload;

    /// <summary>Its sender was told that it is safe.</summary>
    public bool IsAccepted { get; set; }

    public DeviceMessage ForBroker() => new(id, Message.Topic, Encoding.UTF8.GetBytes(Payload), false, DateTimeOffset.UnixEpoch);
}
