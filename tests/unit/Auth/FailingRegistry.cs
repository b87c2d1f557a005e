using IotHub.Core.Domain;
using IotHub.Core.Storage;

namespace IotHub.Unit.Auth;

/// <summary>A registry that can be made to fail or to wait, and counts what is read of it.</summary>
internal sealed class FailingRegistry(IRegistry inner) : IRegistry
{
    private TaskCompletionSource? _hold;
    private int _reads;

    public bool Fails { get; set; }

    /// <summary>Hubs and devices read, by id or by certificate.</summary>
    public int Reads => _reads;

    /// <summary>Later readings do not wait, though earlier ones still do.</summary>
    public bool Pass { get; set; }

    /// <summary>Readings wait, with what they have read already in hand, until the returned action is called.</summary>
    public Action Hold()
    {
        var hold = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _hold = hold;
        return () =>
        {
            _hold = null;
            hold.SetResult();
        };
    }

    public Task CreateHub(Hub hub, CancellationToken cancel = default) =>
        inner.CreateHub(hub, cancel);

    public Task<Versioned<Hub>?> GetHub(Guid hubId, CancellationToken cancel = default) => Read(() => inner.GetHub(hubId, cancel));

    public Task<Versioned<Hub>> ReplaceHub(Versioned<Hub> hub, CancellationToken cancel = default) =>
        inner.ReplaceHub(hub, cancel);

    public Task<Versioned<Hub>> ReplaceAuthority(Versioned<Hub> hub, Hub next, CancellationToken cancel = default) =>
        inner.ReplaceAuthority(hub, next, cancel);

    public Task<Versioned<Hub>?> FindHubByAuthority(string fingerprint, CancellationToken cancel = default) =>
        Read(() => inner.FindHubByAuthority(fingerprint, cancel));

    public Task DeleteHub(Guid hubId, CancellationToken cancel = default) =>
        inner.DeleteHub(hubId, cancel);

    public IAsyncEnumerable<Hub> HubsOfProject(Guid projectId, CancellationToken cancel = default) =>
        inner.HubsOfProject(projectId, cancel);

    public IAsyncEnumerable<Hub> HubsOfOrganization(Guid organizationId, CancellationToken cancel = default) =>
        inner.HubsOfOrganization(organizationId, cancel);

    public Task<bool> CreateDevices(Guid hubId, IReadOnlyList<Device> devices, CancellationToken cancel = default) =>
        inner.CreateDevices(hubId, devices, cancel);

    public Task CreateDevice(Device device, CancellationToken cancel = default) =>
        inner.CreateDevice(device, cancel);

    public Task<Versioned<Device>?> GetDevice(Guid deviceId, CancellationToken cancel = default) => Read(() => inner.GetDevice(deviceId, cancel));

    public Task<Device?> FindDeviceByName(Guid hubId, string name, CancellationToken cancel = default) =>
        inner.FindDeviceByName(hubId, name, cancel);

    public Task<Device?> FindDeviceByCertificate(string fingerprint, CancellationToken cancel = default) => Read(() => inner.FindDeviceByCertificate(fingerprint, cancel));

    public Task<Versioned<Device>> ReplaceDevice(Versioned<Device> device, CancellationToken cancel = default) =>
        inner.ReplaceDevice(device, cancel);

    public Task<bool> DeleteDevice(Guid deviceId, CancellationToken cancel = default) =>
        inner.DeleteDevice(deviceId, cancel);

    public Task<DevicePage> ListDevices(DeviceQuery query, CancellationToken cancel = default) => inner.ListDevices(query, cancel);

    public IAsyncEnumerable<Device> DevicesOfHub(Guid hubId, CancellationToken cancel = default) =>
        inner.DevicesOfHub(hubId, cancel);

    public Task<DeviceActivity> GetActivity(Guid hubId, Guid deviceId, CancellationToken cancel = default) =>
        inner.GetActivity(hubId, deviceId, cancel);

    public IAsyncEnumerable<DeviceActivity> ActivityOfHub(Guid hubId, CancellationToken cancel = default) =>
        inner.ActivityOfHub(hubId, cancel);

    public Task<long> CountConnected(Guid hubId, CancellationToken cancel = default) =>
        inner.CountConnected(hubId, cancel);

    public Task RecordBroker(string name, Guid run, CancellationToken cancel = default) => inner.RecordBroker(name, run, cancel);

    public Task RecordActivity(IReadOnlyList<DeviceActivity> reports, CancellationToken cancel = default) =>
        inner.RecordActivity(reports, cancel);

    public Task CreateNetwork(Network network, CancellationToken cancel = default) =>
        inner.CreateNetwork(network, cancel);

    public Task<Network?> GetNetwork(Guid networkId, CancellationToken cancel = default) =>
        inner.GetNetwork(networkId, cancel);

    public Task<bool> DeleteNetwork(Guid networkId, CancellationToken cancel = default) =>
        inner.DeleteNetwork(networkId, cancel);

    public IAsyncEnumerable<Network> NetworksOfHub(Guid hubId, CancellationToken cancel = default) =>
        inner.NetworksOfHub(hubId, cancel);

    public Task CreateRoute(Route route, CancellationToken cancel = default) =>
        inner.CreateRoute(route, cancel);

    public Task<Versioned<Route>?> GetRoute(Guid routeId, CancellationToken cancel = default) =>
        inner.GetRoute(routeId, cancel);

    public Task<Versioned<Route>> ReplaceRoute(Versioned<Route> route, CancellationToken cancel = default) =>
        inner.ReplaceRoute(route, cancel);

    public Task<bool> DeleteRoute(Guid routeId, CancellationToken cancel = default) =>
        inner.DeleteRoute(routeId, cancel);

    public IAsyncEnumerable<Route> RoutesOfHub(Guid hubId, CancellationToken cancel = default) =>
        inner.RoutesOfHub(hubId, cancel);

    private async Task<T> Read<T>(Func<Task<T>> read)
    {
        Interlocked.Increment(ref _reads);
        if (Fails)
        {
            throw new RegistryUnavailableException("no answer", new IOException());
        }
        var value = await read();
        if (!Pass && _hold is { } hold)
        {
            await hold.Task;
        }
        return value;
    }
}
