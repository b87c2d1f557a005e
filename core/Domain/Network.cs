namespace IotHub.Core.Domain;

/// <summary>An extra, token-authenticated HTTP entrance of a hub.</summary>
public sealed record Network
{
    public required Guid Id { get; init; }
    public required Guid HubId { get; init; }
    public required string Name { get; init; }
    public required NetworkType Type { get; init; }

    /// <summary>Put before every topic posted to this network; may be empty.</summary>
    public string TopicPrefix { get; init; } = "";

    /// <summary>SHA-256 of the network's key, lower-case hex. The key itself is shown once and never stored.</summary>
    public required string KeyHash { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }
}
