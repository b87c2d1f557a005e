namespace IotHub.Broker;

/// <summary>Which messages a full queue gives up.</summary>
public enum QueueOverflow
{
    /// <summary>The one that comes: what was accepted first is delivered first.</summary>
    DropNewest,

    /// <summary>Those that have waited longest: the client finds the latest.</summary>
    DropOldest,
}

/// <summary>
/// Every bound of the broker with its default and its reason. Hitting one has a defined outcome: a reason code, an event or a counter,
/// never silence. Relations between them are checked at start.
/// </summary>
public sealed record BrokerLimits
{
    /// <summary>Whole packet. The original's payload limit is 4 MiB; topic and properties come on top.</summary>
    public int MaximumPacketSize { get; init; } = (4 * 1024 * 1024) + (128 * 1024);

    /// <summary>The first packet is read before anyone is authenticated. Two strings and a will of full size fit.</summary>
    public int MaximumConnectSize { get; init; } = 256 * 1024;

    /// <summary>From accept to a whole CONNECT; a client that dribbles is closed then.</summary>
    public int ConnectTimeoutMs { get; init; } = 10_000;

    /// <summary>Open QoS 1 and 2 publishes of one client towards us (Receive Maximum in CONNACK).</summary>
    public ushort ReceiveMaximum { get; init; } = 1_024;

    /// <summary>Unacknowledged QoS 1 and 2 messages towards one client, where its own Receive Maximum is higher or unknown (3.1.1).</summary>
    public ushort InFlightMaximum { get; init; } = 4_096;

    /// <summary>Aliases that a client may set (Topic Alias Maximum in CONNACK); each costs a reference.</summary>
    public ushort TopicAliasMaximum { get; init; } = 64;

    /// <summary>Aliases that we set towards a client, where it allows more.</summary>
    public ushort OutgoingTopicAliasMaximum { get; init; } = 64;

    /// <summary>Longest client id in UTF-8 bytes; a session is kept per id.</summary>
    public int ClientIdBytesMaximum { get; init; } = 1_024;

    /// <summary>Levels of a topic name or filter. A deep filter costs a tree node per level: 65 KB of slashes must not cost megabytes.</summary>
    public int TopicLevelsMaximum { get; init; } = 256;

    /// <summary>Filters in one SUBSCRIBE or UNSUBSCRIBE.</summary>
    public int FiltersPerPacketMaximum { get; init; } = 1_024;

    public int SubscriptionsPerSessionMaximum { get; init; } = 10_000;

    /// <summary>Sessions of one device with several connections.</summary>
    public int SessionsPerDeviceMaximum { get; init; } = 1_000;

    /// <summary>A broker process lowers it to what its limit of open files leaves. (Transport/OpenFiles.cs)</summary>
    public int ConnectionsMaximum { get; init; } = 200_000;

    public int RetainedMessagesPerHubMaximum { get; init; } = 100_000;

    /// <summary>Topic and payload bytes of a hub's retained messages (the original reserves 140 MiB a hub for all it keeps).</summary>
    public long RetainedBytesPerHubMaximum { get; init; } = 64L * 1024 * 1024;

    /// <summary>Messages waiting for one session, in flight ones not counted.</summary>
    public int QueuedMessagesPerSessionMaximum { get; init; } = 100_000;

    /// <summary>Bytes waiting for one session.</summary>
    public long QueuedBytesPerSessionMaximum { get; init; } = 32L * 1024 * 1024;

    /// <summary>Bytes of all messages that a hub keeps for sessions, counted once for each session.</summary>
    public long StoredBytesPerHubMaximum { get; init; } = 140L * 1024 * 1024;

    /// <summary>What goes when a session's queue is full.</summary>
    public QueueOverflow QueueOverflow { get; init; } = QueueOverflow.DropNewest;

    /// <summary>
    /// Bytes of one shard that are recorded and not on disk yet; above it the disk does not keep up, and nothing new is accepted that has
    /// to be kept. Four messages of full size fit.
    /// </summary>
    public int UncommittedBytesPerShardMaximum { get; init; } = 32 * 1024 * 1024;

    /// <summary>
    /// Bytes waiting for one socket. Above it QoS 0 is dropped for this receiver and QoS 1 and 2 stay in the session's queue until
    /// the socket takes more.
    /// </summary>
    public int OutboxBytesMaximum { get; init; } = 1024 * 1024;

    /// <summary>A connection that is being closed may take this long to read what was sent last.</summary>
    public int CloseTimeoutMs { get; init; } = 5_000;

    /// <summary>Keep Alive that we ask for where the client wants none or a longer one; 0 leaves it to the client.</summary>
    public ushort KeepAliveSecondsMaximum { get; init; }

    /// <summary>Topics whose subscribers are remembered per hub; beyond it the table starts anew.</summary>
    public int CachedTopicsPerHubMaximum { get; init; } = 65_536;

    /// <summary>Ids of messages from networks that are remembered per hub, so that a repeat has no second effect.</summary>
    public int RememberedMessageIdsPerHub { get; init; } = 100_000;

    /// <summary>Refuse payloads that say they are UTF-8 text and are not. (MQTT 5.0 section 3.3.2.3.2)</summary>
    public bool CheckPayloadFormat { get; init; } = true;

    /// <summary>
    /// Response Information for 5.0 clients that ask for it, as a rule the beginning of topics that they may use for responses; none
    /// unless set.
    /// </summary>
    public string? ResponseInformation { get; init; }

    /// <summary>Checks that the limits fit together.</summary>
    /// <exception cref="ArgumentException">They do not; the text names both.</exception>
    public void Validate()
    {
        Check(MaximumConnectSize <= MaximumPacketSize, "MaximumConnectSize may not be above MaximumPacketSize");
        Check(ReceiveMaximum > 0 && InFlightMaximum > 0, "ReceiveMaximum and InFlightMaximum may not be 0");
        Check(OutboxBytesMaximum >= 64 * 1024, "OutboxBytesMaximum must hold at least 64 KiB");
        Check(QueuedBytesPerSessionMaximum <= StoredBytesPerHubMaximum, "QueuedBytesPerSessionMaximum may not be above StoredBytesPerHubMaximum");
        Check((ResponseInformation?.Length ?? 0) <= 1_024, "ResponseInformation may not be longer than 1,024 characters");
        Check(TopicLevelsMaximum > 0 && FiltersPerPacketMaximum > 0, "TopicLevelsMaximum and FiltersPerPacketMaximum may not be 0");
    }

    private static void Check(bool holds, string relation)
    {
        if (!holds)
        {
            throw new ArgumentException($"limits do not fit together: {relation}");
        }
    }
}
