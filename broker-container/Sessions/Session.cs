using IotHub.Broker.Auth;
using IotHub.Broker.Protocol.Packets;
using IotHub.Broker.Sessions.Stored;

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
    private StoredQueue? _stored;

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

    /// <summary>Its number in the log of its shard; 0 for a session that dies with the process.</summary>
    public long Number { get; set; }

    /// <summary>It comes from the log, and whether its device still has a right to it was not looked up yet: wills and expiry wait.</summary>
    public bool IsUnchecked { get; set; }

    /// <summary>The session survives the process: what it is owed at QoS 1 and 2 waits in <see cref="Stored"/>, not in <see cref="Queue"/>.</summary>
    public bool IsStored => Number != 0;

    /// <summary>Position of its latest image in the log.</summary>
    public long Home { get; set; }

    /// <summary>Only of a stored session.</summary>
    public StoredQueue Stored => _stored ??= new StoredQueue();
    public bool HasStored => _stored is { Count: > 0 };

    /// <summary>Is there a stored message that was not sent yet?</summary>
    public bool HasUnsent => _stored is { Count: > 0 } stored && stored.FindLive(stored.Unsent) < stored.Next;

    /// <summary>Messages read back from the log, in the order in which they are sent; null when none are.</summary>
    public LoadedMessages? Loaded { get; set; }

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
        : !HasQueued && !HasResend && !HasUnsent && c.Outstanding < c.SendWindow && !c.IsOutboxFull);

    /// <summary>Is there room in the queue for one more message?</summary>
    public bool HasRoom(BrokerLimits limits) => IsStored
        ? !HasStored || (Stored.Count < limits.QueuedMessagesPerSessionMaximum && Stored.Bytes < limits.QueuedBytesPerSessionMaximum)
        : !HasQueued || (Queue.Count < limits.QueuedMessagesPerSessionMaximum && Queue.Bytes < limits.QueuedBytesPerSessionMaximum);

    /// <summary>Takes over what the log told of it.</summary>
    internal void Restore(long number, RecoveredSession recovered)
    {
        (Number, Home, _stored) = (number, recovered.Home, recovered.Queue);
        foreach (var (sequence, (packetId, owed)) in recovered.InFlight)
        {
            InFlight.Restore(packetId, sequence, owed);
        }
        IncomingQos2 = recovered.Incoming.Count > 0 ? recovered.Incoming : null;
    }
}
