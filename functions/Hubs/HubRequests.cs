using IotHub.Core.Domain;

namespace IotHub.Functions.Hubs;

/// <summary>A hub as the API shows it.</summary>
internal sealed record HubAnswer
{
    public required Guid Id { get; init; }
    public required string Name { get; init; }
    public required HubStatus Status { get; init; }
    public required ProductPlan ProductPlan { get; init; }
    public required bool Enabled { get; init; }
    public required long DeviceCount { get; init; }
    public required long ConnectedDeviceCount { get; init; }
    public required string Endpoint { get; init; }
    public required bool DisableEvents { get; init; }
    public required string EventsTopicPrefix { get; init; }
    public required string Region { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public required DateTimeOffset UpdatedAt { get; init; }
    public required Guid ProjectId { get; init; }
    public required Guid OrganizationId { get; init; }
    public required bool EnableDeviceAutoProvisioning { get; init; }
    public required bool HasCustomCa { get; init; }
    public GraphiteConfig? TwinsGraphiteConfig { get; init; }
}

internal sealed record HubList(IReadOnlyList<HubAnswer> Hubs, int TotalCount);

internal sealed record HubCaAnswer(string CaCertPem);

internal sealed record GraphiteConfig
{
    public string? PushUri { get; init; }
}

internal sealed record CreateHubRequest
{
    public string? Name { get; init; }
    public string? ProjectId { get; init; }
    public ProductPlan? ProductPlan { get; init; }
    public bool? DisableEvents { get; init; }
    public string? EventsTopicPrefix { get; init; }
    public GraphiteConfig? TwinsGraphiteConfig { get; init; }
}

internal sealed record UpdateHubRequest
{
    public string? Name { get; init; }
    public ProductPlan? ProductPlan { get; init; }
    public bool? DisableEvents { get; init; }
    public string? EventsTopicPrefix { get; init; }
    public bool? EnableDeviceAutoProvisioning { get; init; }
    public GraphiteConfig? TwinsGraphiteConfig { get; init; }
}

internal sealed record SetCaRequest
{
    public string? CaCertPem { get; init; }
    public string? ChallengeCertPem { get; init; }
}
