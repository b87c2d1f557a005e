using IotHub.Core.Queues;

namespace IotHub.Broker.Bridge;

/// <summary>Every bound on the broker's side towards registry, queues and functions, with its default and reason.</summary>
public sealed record BridgeLimits
{
    /// <summary>Devices remembered, about 600 bytes each; a forgotten one costs a read at its next connection.</summary>
    public int RememberedDevices { get; init; } = 100_000;

    /// <summary>Hubs remembered, with up to 100 routes each. A hub with connected devices is not forgotten.</summary>
    public int RememberedHubs { get; init; } = 10_000;

    /// <summary>A registry that takes longer has not answered.</summary>
    public TimeSpan RegistryTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Connections being authenticated at the same time; more are told that the server is busy.</summary>
    public int ConcurrentAuthentications { get; init; } = 2_000;

    /// <summary>The poll that makes a change effective within a second (design D8).</summary>
    public TimeSpan FeedInterval { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>A feed unread for longer says nothing about who may still come in: new connections are put off.</summary>
    public TimeSpan FeedStaleAfter { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How far the clocks of those who write to the feed may be behind or apart.</summary>
    public TimeSpan FeedClockSkew { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>When a changed thing is looked at again, for writers that were slow or died half way (see <c>IChangeFeed</c>).</summary>
    public IReadOnlyList<TimeSpan> LookAgainAfter { get; init; } =
        [TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(60)];

    /// <summary>Changed things waiting to be looked at; beyond it the feed is not read until some are done.</summary>
    public int PendingLooks { get; init; } = 50_000;

    /// <summary>Looks at the registry at the same time.</summary>
    public int ConcurrentLooks { get; init; } = 16;

    /// <summary>Deliveries waiting for their queue, counted once per route.</summary>
    public int BufferedDeliveries { get; init; } = 100_000;

    /// <summary>Payload and topic bytes waiting for the deliveries queue; routes that are owed the same message share its bytes.</summary>
    public long BufferedDeliveryBytes { get; init; } = 64L * 1024 * 1024;

    /// <summary>Batches on their way to the deliveries queue at the same time, never two of one route.</summary>
    public int ConcurrentDeliverySends { get; init; } = 8;

    /// <summary>A queue message holds 64 KiB of base64, so an envelope this much, which is about 36 KB of payload.</summary>
    public int EnvelopeBytes { get; init; } = IMessageQueue.MaximumBodyBytes;

    /// <summary>Messages in one envelope: what a delivery function should do in one go.</summary>
    public int EnvelopeMessages { get; init; } = 200;

    /// <summary>Events waiting to be recorded; beyond it the oldest are dropped and counted.</summary>
    public int BufferedEvents { get; init; } = 10_000;

    /// <summary>Devices whose newest activity waits to be recorded; beyond it the oldest are dropped and counted.</summary>
    public int BufferedActivity { get; init; } = 100_000;

    /// <summary>How long events and activity are gathered before they go out together.</summary>
    public TimeSpan EventsInterval { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>Twin requests that are carried out at the same time; those of one device never are.</summary>
    public int TwinWorkers { get; init; } = 16;

    /// <summary>Twin requests waiting for one worker; one more is answered with an error.</summary>
    public int WaitingTwinRequestsPerWorker { get; init; } = 64;

    /// <summary>Of those, requests of one device: it cannot take the places of the others.</summary>
    public int WaitingTwinRequestsPerDevice { get; init; } = 16;

    /// <summary>And of one hub.</summary>
    public int WaitingTwinRequestsPerHub { get; init; } = 256;

    /// <summary>Payload bytes of waiting twin requests.</summary>
    public long WaitingTwinBytes { get; init; } = 32L * 1024 * 1024;

    /// <summary>How often the broker says that it runs; after four times that without a word its devices count as gone.</summary>
    public TimeSpan HeartbeatInterval { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Devices in one envelope of metrics, about 65 bytes each.</summary>
    public int MetricsDevicesPerEnvelope { get; init; } = 600;

    /// <summary>First and longest wait between two tries while storage is down.</summary>
    public TimeSpan FirstBackOff { get; init; } = TimeSpan.FromMilliseconds(100);

    public TimeSpan LongestBackOff { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a stopping broker tries to hand over what it holds.</summary>
    public TimeSpan DrainTime { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Pauses of the ingress queue's reader while there is nothing.</summary>
    public TimeSpan ShortestIngressPause { get; init; } = TimeSpan.FromMilliseconds(100);

    public TimeSpan LongestIngressPause { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Time to publish the messages of one read (at most 32) before another reader may have them.</summary>
    public TimeSpan IngressHideTime { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Payload of a message from outside (Scaleway IoT reference, 4 MiB).</summary>
    public int PayloadBytes { get; init; } = 4 * 1024 * 1024;

    /// <summary>Bytes of posts to the internal endpoint that are being read or published; more are told to come back.</summary>
    public long PostedBytes { get; init; } = 64L * 1024 * 1024;

    /// <summary>Connections of the internal endpoint: function instances with a few each.</summary>
    public int InternalConnections { get; init; } = 2_000;

    /// <summary>A topic of 32 KB, percent-encoded, and the other headers.</summary>
    public int InternalHeaderBytes { get; init; } = 128 * 1024;

    /// <summary>A message of a hub that is switched off stays on the ingress queue, and is tried again so often.</summary>
    public TimeSpan IngressRetryWhenHubIsOff { get; init; } = TimeSpan.FromSeconds(60);
}
