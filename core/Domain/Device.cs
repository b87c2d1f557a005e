namespace IotHub.Core.Domain;

/// <summary>A client identity of one hub. Its id is also its MQTT client id or user name.</summary>
public sealed record Device
{
    public required Guid Id { get; init; }
    public required Guid HubId { get; init; }
    public required string Name { get; init; }
    public string Description { get; init; } = "";
    public DeviceStatus Status { get; init; } = DeviceStatus.Enabled;

    /// <summary>May connect without mutual TLS.</summary>
    public bool AllowInsecure { get; init; }

    public bool AllowMultipleConnections { get; init; }
    public MessageFilters Filters { get; init; } = MessageFilters.AllowAll;

    /// <summary>PEM of the device's certificate; empty where the hub's customer issues them.</summary>
    public string CertificatePem { get; init; } = "";

    /// <summary>SHA-256 of the certificate's DER bytes, lower-case hex; empty when there is none.</summary>
    public string CertificateFingerprint { get; init; } = "";

    public bool HasCustomCertificate { get; init; }

    /// <summary>Words that its owner finds it by; null when there are none.</summary>
    public IReadOnlyList<string>? Tags { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }
    public required DateTimeOffset UpdatedAt { get; init; }
}

/// <summary>What a device may say (<see cref="Publish"/>) and hear (<see cref="Subscribe"/>).</summary>
public sealed record MessageFilters(MessageFilterRule Publish, MessageFilterRule Subscribe)
{
    public static readonly MessageFilters AllowAll = new(MessageFilterRule.RejectNothing, MessageFilterRule.RejectNothing);
}

/// <summary>One rule: a policy over MQTT topic filters (Scaleway IoT reference, message filters).</summary>
public sealed record MessageFilterRule(MessageFilterPolicy Policy, IReadOnlyList<string> Topics)
{
    public static readonly MessageFilterRule RejectNothing = new(MessageFilterPolicy.Reject, []);

    public bool AllowsEverything => Policy != MessageFilterPolicy.Accept && Topics.Count == 0;
}

/// <summary>What is known of a device's connections; written by what the broker reports, newest report wins.</summary>
/// <param name="LastActivityAt">The Unix epoch until the first connection.</param>
/// <param name="BrokerRun">
/// The run of the broker that reported it. When that is over, so are its connections, whether it could still say so or not.
/// </param>
public sealed record DeviceActivity(
    Guid HubId, Guid DeviceId, bool IsConnected, DateTimeOffset LastActivityAt, Guid? BrokerRun = null)
{
    public static DeviceActivity Never(Guid hubId, Guid deviceId) => new(hubId, deviceId, false, DateTimeOffset.UnixEpoch);
}
