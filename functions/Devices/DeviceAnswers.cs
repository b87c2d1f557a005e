using System.Collections.Concurrent;
using IotHub.Core.Domain;
using IotHub.Core.Storage;

namespace IotHub.Functions.Devices;

/// <summary>Makes the API's view of a device.</summary>
internal sealed class DeviceAnswers(IRegistry registry, FunctionsSettings settings)
{
    /// <summary>
    /// What is known of a hub's devices is read at once, instead of one by one, when at most so many stand there for each that is shown:
    /// about where the one costs as much as the other. A call returns at most a thousand.
    /// </summary>
    private const int ActivitiesForOne = 25;

    private const int ActivitiesOfCall = 1_000;

    public async Task<DeviceAnswer> Of(Device device, CancellationToken cancel) =>
        Of(device, await registry.GetActivity(device.HubId, device.Id, cancel));

    /// <param name="hubs">Of all these devices.</param>
    public async Task<IReadOnlyList<DeviceAnswer>> Of(IReadOnlyList<Device> devices, IEnumerable<Hub> hubs, CancellationToken cancel)
    {
        var counts = hubs.ToDictionary(hub => hub.Id, hub => hub.DeviceCount);
        var activities = new ConcurrentDictionary<Guid, DeviceActivity>();
        await Task.WhenAll(devices.GroupBy(device => device.HubId).Select(async shown =>
        {
            var (hubId, all) = (shown.Key, counts.GetValueOrDefault(shown.Key, long.MaxValue));
            if (all <= ActivitiesOfCall && all <= ActivitiesForOne * (long)shown.Count())
            {
                await foreach (var activity in registry.ActivityOfHub(hubId, cancel))
                {
                    activities[activity.DeviceId] = activity;
                }
                return;
            }
            await Task.WhenAll(shown.Select(async device =>
                activities[device.Id] = await registry.GetActivity(hubId, device.Id, cancel)));
        }));
        return [.. devices.Select(device => Of(
            device, activities.GetValueOrDefault(device.Id) ?? DeviceActivity.Never(device.HubId, device.Id)))];
    }

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
