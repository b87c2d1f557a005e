using IotHub.Core.Domain;
using IotHub.Core.Storage;

namespace IotHub.Functions.Devices;

/// <summary>Makes the API's view of a device.</summary>
internal sealed class DeviceAnswers(IRegistry registry, FunctionsSettings settings)
{
    public async Task<DeviceAnswer> Of(Device device, CancellationToken cancel) =>
        Of(device, await registry.GetActivity(device.HubId, device.Id, cancel));

    public DeviceAnswer Of(Device device, DeviceActivity activity) => new()
    {
        Id = device.Id,
        Name = device.Name,
        Description = device.Description,
        Status = device.Status,
        HubId = device.HubId,
        LastActivityAt = activity.LastActivityAt,
        IsConnected = activity.IsConnected,
        AllowInsecure = device.AllowInsecure,
        AllowMultipleConnections = device.AllowMultipleConnections,
        MessageFilters = device.Filters,
        HasCustomCertificate = device.HasCustomCertificate,
        CreatedAt = device.CreatedAt,
        UpdatedAt = device.UpdatedAt,
        Region = settings.Region,
        Tags = device.Tags,
    };
}
