namespace IotHub.Broker.Telemetry;

/// <summary>What a lane has done since the start. Written under the lane's lock; read by anyone as a snapshot that may be slightly old.</summary>
public sealed class Counters
{
    /// <summary>Control packets received.</summary>
    public long PacketsReceived { get; set; }

    /// <summary>PUBLISH packets received.</summary>
    public long Published { get; set; }

    /// <summary>PUBLISH packets sent.</summary>
    public long Sent { get; set; }

    /// <summary>QoS 0 messages not sent because the receiver did not read fast enough.</summary>
    public long DroppedSlowReceiver { get; set; }

    /// <summary>QoS 1 and 2 messages not kept because a session's or hub's quota was full.</summary>
    public long DroppedQueueFull { get; set; }
}
