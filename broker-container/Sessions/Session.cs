using IotHub.Broker.Auth;
using IotHub.Broker.Protocol.Packets;

namespace IotHub.Broker.Sessions;

/// <summary>Whose session: no device reaches another's, whatever client id it sends (decision D6).</summary>
public readonly record struct SessionKey(Guid DeviceId, string ClientId);

/// <summary>
/// The state of one client that may outlive its connection: subscriptions, open exchanges, waiting messages. Touched only under the lane
/// of its hub.
/// </summary>
/// <remarks>Online while <see cref="Connection"/> is set, else waiting until <see cref="ExpiresAt"/>; gone when the hub has dropped it.</remarks>
public sealed class Session(Hub hub, SessionKey key, Rights rights)
{
    private InFlight? _inFlight;
    private MessageQueue? _queue;
    private Queue<ushort>? _resend;

    public Hub Hub { get; } = hub;
    public SessionKey Key { get; } = key;
    public Rights Rights { get; set; } = rights;
    public Connection? Connection { get; set; }
    public SubscriptionSet Subscriptions { get; } = new();

    /// <summary>Made on first use, as the two below: most sessions of a fleet never have anything open or waiting.</summary>
    public InFlight InFlight => _inFlight ??= new InFlight();
    public bool HasInFlight => _inFlight is { Count: > 0 };
    public MessageQueue Queue => _queue ??= new MessageQueue();
    public bool HasQueued => _queue is { Count: > 0 };

    /// <summary>Packet ids of QoS 2 messages that came and are not released yet. [MQTT-4.3.3-10]</summary>
    public HashSet<ushort>? IncomingQos2 { get; set; }

    /// <summary>Open exchanges that a new connection has to send again, oldest first; sent as its window allows.</summary>
    public Queue<ushort> Resend => _resend ??= new Queue<ushort>();
    public bool HasResend => _resend is { Count: > 0 };

    public uint ExpirySeconds { get; set; }

    /// <summary>Milliseconds of the lane's clock; <see cref="long.MaxValue"/> while online or when it never expires.</summary>
    public long ExpiresAt { get; set; } = long.MaxValue;

    /// <summary>A will whose delay runs, and when it is published.</summary>
    public Will? DelayedWill { get; set; }
    public long WillAt { get; set; } = long.MaxValue;

    /// <summary>Messages were dropped since the queue was last empty; the event is raised once per episode.</summary>
    public bool IsDropping { get; set; }

    /// <summary>Can a message of this quality go to the client right away?</summary>
    public bool CanTakeNow(byte qos) => Connection is { } c && (qos == 0
        ? !c.IsOutboxFull
        : !HasQueued && !HasResend && c.Outstanding < c.SendWindow && !c.IsOutboxFull);

    /// <summary>Is there room in the queue for one more message?</summary>
    public bool HasRoom(BrokerLimits limits) =>
        !HasQueued || (Queue.Count < limits.QueuedMessagesPerSessionMaximum && Queue.Bytes < limits.QueuedBytesPerSessionMaximum);
}
