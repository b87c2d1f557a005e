using IotHub.Core.Domain;
using IotHub.Core.Security;

namespace IotHub.Functions.Hubs;

/// <summary>Makes the API's view of a hub.</summary>
internal static class HubAnswers
{
    public static HubAnswer Of(Hub hub, long connected, DateTimeOffset now, string endpoint, Sealer sealer) => new()
    {
        Id = hub.Id,
        Name = hub.Name,
        Status = hub.StatusAt(now),
        ProductPlan = hub.Plan,
        Enabled = hub.Enabled,
        DeviceCount = hub.DeviceCount,
        ConnectedDeviceCount = connected,
        Endpoint = endpoint,
        DisableEvents = hub.DisableEvents,
        EventsTopicPrefix = hub.EventsTopicPrefix,
        Region = hub.Region,
        CreatedAt = hub.CreatedAt,
        UpdatedAt = hub.UpdatedAt,
        ProjectId = hub.ProjectId,
        OrganizationId = hub.OrganizationId,
        EnableDeviceAutoProvisioning = hub.EnableDeviceAutoProvisioning,
        HasCustomCa = hub.HasCustomCa,
        TwinsGraphiteConfig = hub.SealedTwinsGraphitePushUri is { } uri
            ? new GraphiteConfig { PushUri = sealer.Open(uri, SealPurposes.Graphite(hub.Id)) }
            : null,
    };
}
