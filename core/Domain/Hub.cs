namespace IotHub.Core.Domain;

/// <summary>A virtual MQTT broker with its own topic space. Belongs to one project.</summary>
public sealed record Hub
{
    public const string DefaultEventsTopicPrefix = "$SCW/events";

    /// <summary>
    /// How long a hub stays <see cref="HubStatus.Enabling"/> or <see cref="HubStatus.Disabling"/> before it settles by itself.
    /// </summary>
    public static readonly TimeSpan TransitionTime = TimeSpan.FromMilliseconds(250);

    public required Guid Id { get; init; }
    public required string Name { get; init; }
    public required Guid ProjectId { get; init; }
    public required Guid OrganizationId { get; init; }
    public required string Region { get; init; }
    public ProductPlan Plan { get; init; } = ProductPlan.PlanShared;

    /// <summary>The wanted state: true from creation on, false as soon as a disable is accepted.</summary>
    public bool Enabled { get; init; } = true;

    /// <summary>When <see cref="Enabled"/> last changed; the status follows from it and the clock.</summary>
    public required DateTimeOffset EnabledChangedAt { get; init; }

    public bool DisableEvents { get; init; }
    public string EventsTopicPrefix { get; init; } = DefaultEventsTopicPrefix;
    public bool EnableDeviceAutoProvisioning { get; init; }

    /// <summary>Where twins are pushed to, sealed since the address may hold a password; null when unset.</summary>
    public string? SealedTwinsGraphitePushUri { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }
    public required DateTimeOffset UpdatedAt { get; init; }

    /// <summary>Registered devices; kept in the same transaction as the devices themselves.</summary>
    public long DeviceCount { get; init; }

    /// <summary>PEM of the authority that signs, or a customer's that signed, the devices' certificates.</summary>
    public required string CaCertificatePem { get; init; }

    /// <summary>The generated authority's private key, sealed (see <c>Security/Sealer</c>); null for a customer's own authority.</summary>
    public string? SealedCaKey { get; init; }

    public bool HasCustomCa { get; init; }

    /// <summary>SHA-256 of a customer's own authority's DER bytes, lower-case hex; empty for a generated one.</summary>
    public string CustomCaFingerprint { get; init; } = "";

    /// <summary>A deletion has begun: nothing new may join, and only the deletion may go on, also after an interruption.</summary>
    public bool Deleting { get; init; }

    /// <summary>The status at <paramref name="now"/>: transitions settle by the clock, so no job has to finish them.</summary>
    public HubStatus StatusAt(DateTimeOffset now)
    {
        if (Deleting)
        {
            return HubStatus.Disabling;
        }
        var settled = now - EnabledChangedAt >= TransitionTime;
        return Enabled
            ? settled ? HubStatus.Ready : HubStatus.Enabling
            : settled ? HubStatus.Disabled : HubStatus.Disabling;
    }
}
