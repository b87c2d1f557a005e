using IotHub.Core.Domain;

namespace IotHub.Contract.Storage;

/// <summary>Records with every member set to something of its own.</summary>
internal static class Samples
{
    private static readonly DateTimeOffset When = new(2026, 3, 12, 15, 54, 39, 855, TimeSpan.Zero);

    public static Hub Hub(Guid? projectId = null, Guid? organizationId = null) => new()
    {
        Id = Guid.NewGuid(),
        Name = "hub/with#odd?name\\",
        ProjectId = projectId ?? Guid.NewGuid(),
        OrganizationId = organizationId ?? Guid.NewGuid(),
        Region = "fr-par",
        Plan = ProductPlan.PlanDedicated,
        EnabledChangedAt = When,
        DisableEvents = true,
        EventsTopicPrefix = "my/events",
        EnableDeviceAutoProvisioning = true,
        SealedTwinsGraphitePushUri = "sealed too",
        CreatedAt = When,
        UpdatedAt = When.AddSeconds(1),
        CaCertificatePem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
        SealedCaKey = "sealed",
    };

    public static Device Device(Guid hubId, string? name = null, string fingerprint = "") => new()
    {
        Id = Guid.NewGuid(),
        HubId = hubId,
        Name = name ?? "device " + Guid.NewGuid(),
        Description = "a \"description\" with 'quotes' and é",
        Status = DeviceStatus.Disabled,
        AllowInsecure = true,
        AllowMultipleConnections = true,
        Filters = new MessageFilters(
            new MessageFilterRule(MessageFilterPolicy.Accept, ["a/+", "b/#"]), new MessageFilterRule(MessageFilterPolicy.Reject, ["c"])),
        CertificatePem = "-----BEGIN CERTIFICATE-----\nBB==\n-----END CERTIFICATE-----\n",
        CertificateFingerprint = fingerprint,
        HasCustomCertificate = true,
        CreatedAt = When,
        UpdatedAt = When,
    };

    public static Network Network(Guid hubId) => new()
    {
        Id = Guid.NewGuid(),
        HubId = hubId,
        Name = "network",
        Type = NetworkType.Sigfox,
        TopicPrefix = "a/prefix",
        KeyHash = "00ff",
        CreatedAt = When,
    };

    public static Route Route(Guid hubId) => new()
    {
        Id = Guid.NewGuid(),
        HubId = hubId,
        Name = "route",
        Topic = "a/+/#",
        Database = new DatabaseRouteConfig(DatabaseEngine.Mysql, "db.example.com", 3306, "db", "user", "sealed", "INSERT $PAYLOAD"),
        CreatedAt = When,
        UpdatedAt = When,
    };

    public static ApiKey ApiKey(Guid organizationId, string accessKey) => new(
        accessKey, "hash of " + accessKey, organizationId, Guid.NewGuid(), ApiRole.Operator, "a key", When);
}
