using System.Globalization;
using System.Runtime.CompilerServices;
using IotHub.Core.Domain;

namespace IotHub.Core.Storage.Memory;

/// <summary>The registry of one process: for tests and for trying things out. Same rules and exceptions as the Table driver.</summary>
public sealed class MemoryRegistry(IChangeFeed changes, TimeProvider? time = null) : IRegistry
{
    private readonly Lock _lock = new();
    private readonly Dictionary<Guid, Versioned<Hub>> _hubs = [];
    private readonly Dictionary<Guid, Versioned<Device>> _devices = [];
    private readonly Dictionary<(Guid HubId, string Name), Guid> _deviceNames = [];
    private readonly Dictionary<string, Guid> _certificates = new(StringComparer.Ordinal);
    private readonly Dictionary<Guid, DeviceIndex> _indexes = [];
    private readonly Dictionary<Guid, DeviceActivity> _activity = [];
    private readonly Dictionary<Guid, Network> _networks = [];
    private readonly Dictionary<Guid, Versioned<Route>> _routes = [];
    private readonly Dictionary<string, (Guid Run, DateTimeOffset SeenAt)> _brokers = new(StringComparer.Ordinal);
    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private long _lastVersion;

    public async Task CreateHub(Hub hub, CancellationToken cancel = default)
    {
        await changes.Append(hub.Id, ChangedKind.Hub, hub.Id, cancel);
        lock (_lock)
        {
            if (!_hubs.TryAdd(hub.Id, Stamp(hub)))
            {
                throw new AlreadyExistsException("hub", hub.Id, "id");
            }
        }
    }

    public Task<Versioned<Hub>?> GetHub(Guid hubId, CancellationToken cancel = default) => Read(_hubs, hubId, cancel);

    public async Task<Versioned<Hub>> ReplaceHub(Versioned<Hub> hub, CancellationToken cancel = default)
    {
        await changes.Append(hub.Value.Id, ChangedKind.Hub, hub.Value.Id, cancel);
        lock (_lock)
        {
            return Replace(_hubs, hub.Value.Id, hub, "hub");
        }
    }

    public async Task<Versioned<Hub>> ReplaceAuthority(Versioned<Hub> hub, Hub next, CancellationToken cancel = default)
    {
        await changes.Append(next.Id, ChangedKind.Hub, next.Id, cancel);
        lock (_lock)
        {
            var holder = _hubs.Values.FirstOrDefault(other =>
                other.Value.Id != next.Id && other.Value.CustomCaFingerprint == next.CustomCaFingerprint);
            return holder is null
                ? Replace(_hubs, next.Id, hub with { Value = next }, "hub")
                : throw new AlreadyExistsException("hub", holder.Value.Id, "certificate authority");
        }
    }

    public Task<Versioned<Hub>?> FindHubByAuthority(string fingerprint, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            return Task.FromResult(
                fingerprint.Length == 0 ? null : _hubs.Values.FirstOrDefault(hub => hub.Value.CustomCaFingerprint == fingerprint));
        }
    }

    public async Task DeleteHub(Guid hubId, CancellationToken cancel = default)
    {
        await changes.Append(hubId, ChangedKind.Hub, hubId, cancel);
        lock (_lock)
        {
            foreach (var device in _devices.Values.Where(device => device.Value.HubId == hubId).ToList())
            {
                Forget(device.Value);
            }
            foreach (var network in _networks.Values.Where(network => network.HubId == hubId).ToList())
            {
                _networks.Remove(network.Id);
            }
            foreach (var route in _routes.Values.Where(route => route.Value.HubId == hubId).ToList())
            {
                _routes.Remove(route.Value.Id);
            }
            _hubs.Remove(hubId);
            _indexes.Remove(hubId);
        }
    }

    public IAsyncEnumerable<Hub> HubsOfProject(Guid projectId, CancellationToken cancel = default) =>
        All(() => _hubs.Values.Select(hub => hub.Value).Where(hub => hub.ProjectId == projectId), cancel);

    public IAsyncEnumerable<Hub> HubsOfOrganization(Guid organizationId, CancellationToken cancel = default) =>
        All(() => _hubs.Values.Select(hub => hub.Value).Where(hub => hub.OrganizationId == organizationId), cancel);

    public async Task CreateDevice(Device device, CancellationToken cancel = default)
    {
        await changes.Append(device.HubId, ChangedKind.Device, device.Id, cancel);
        lock (_lock)
        {
            if (_devices.ContainsKey(device.Id))
            {
                throw new AlreadyExistsException("device", device.Id, "id");
            }
            EnsureFree(device);
            var hub = HubThatTakes(device.HubId);
            EnsureRoom(hub, 1);
            _devices.Add(device.Id, Stamp(device));
            Index(device, hub);
        }
    }

    public async Task<bool> CreateDevices(Guid hubId, IReadOnlyList<Device> devices, CancellationToken cancel = default)
    {
        await changes.AppendAll(hubId, ChangedKind.NewDevice, [.. devices.Select(device => device.Id)], cancel);
        lock (_lock)
        {
            EnsureRoom(HubThatTakes(hubId), devices.Count);
            var fingerprints = new HashSet<string>(StringComparer.Ordinal);
            if (devices.Any(device => _deviceNames.ContainsKey((hubId, device.Name))
                || (device.CertificateFingerprint.Length > 0
                    && (_certificates.ContainsKey(device.CertificateFingerprint) || !fingerprints.Add(device.CertificateFingerprint)))))
            {
                return false;
            }
            foreach (var device in devices)
            {
                _devices.Add(device.Id, Stamp(device));
                Index(device, HubThatTakes(hubId));
            }
            return true;
        }
    }

    public Task<Versioned<Device>?> GetDevice(Guid deviceId, CancellationToken cancel = default) => Read(_devices, deviceId, cancel);

    public Task<Device?> FindDeviceByName(Guid hubId, string name, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            return Task.FromResult(_deviceNames.TryGetValue((hubId, name), out var id) ? _devices[id].Value : null);
        }
    }

    public Task<Device?> FindDeviceByCertificate(string fingerprint, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            return Task.FromResult(_certificates.TryGetValue(fingerprint, out var id) ? _devices[id].Value : null);
        }
    }

    public async Task<Versioned<Device>> ReplaceDevice(Versioned<Device> device, CancellationToken cancel = default)
    {
        var known = await GetDevice(device.Value.Id, cancel);
        foreach (var hubId in new[] { known?.Value.HubId ?? device.Value.HubId, device.Value.HubId }.Distinct())
        {
            await changes.Append(hubId, ChangedKind.Device, device.Value.Id, cancel);
        }
        lock (_lock)
        {
            var before = _devices.GetValueOrDefault(device.Value.Id)?.Value ?? throw new MissingException("device", device.Value.Id);
            if (before.Name != device.Value.Name)
            {
                throw new ArgumentException("the name of a device cannot change", nameof(device));
            }
            EnsureFree(device.Value);
            var hub = before.HubId == device.Value.HubId ? null : HubThatTakes(device.Value.HubId);
            if (hub is not null)
            {
                EnsureRoom(hub, 1);
            }
            var stored = Replace(_devices, device.Value.Id, device, "device");
            NoteForLists(device.Value.HubId, device.Value.Id);
            if (hub is not null)
            {
                Unindex(before);
                Index(device.Value, hub);
                _activity.Remove(device.Value.Id);
            }
            else if (before.CertificateFingerprint != device.Value.CertificateFingerprint)
            {
                _certificates.Remove(before.CertificateFingerprint);
                IndexCertificate(device.Value);
            }
            return stored;
        }
    }

    public async Task<bool> DeleteDevice(Guid deviceId, CancellationToken cancel = default)
    {
        if (await GetDevice(deviceId, cancel) is not { } known)
        {
            return false;
        }
        await changes.Append(known.Value.HubId, ChangedKind.Device, deviceId, cancel);
        lock (_lock)
        {
            if (!_devices.TryGetValue(deviceId, out var device))
            {
                return false;
            }
            Forget(device.Value);
            return true;
        }
    }

    public Task<DevicePage> ListDevices(DeviceQuery query, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            return Task.FromResult(DeviceIndex.Cut(
                [.. query.Hubs.Select(hub => (IndexOf(hub.Id), query.IsConnected is null ? null : ConnectedOf(hub.Id)))], query));
        }
    }

    public IAsyncEnumerable<Device> DevicesOfHub(Guid hubId, CancellationToken cancel = default) =>
        All(() => _devices.Values.Select(device => device.Value).Where(device => device.HubId == hubId), cancel);

    public Task<DeviceActivity> GetActivity(Guid hubId, Guid deviceId, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            var found = _activity.GetValueOrDefault(deviceId);
            return Task.FromResult(found is not null && found.HubId == hubId ? AsOfNow(found) : DeviceActivity.Never(hubId, deviceId));
        }
    }

    public IAsyncEnumerable<DeviceActivity> ActivityOfHub(Guid hubId, CancellationToken cancel = default) =>
        All(() => _activity.Values.Where(activity => activity.HubId == hubId).Select(AsOfNow), cancel);

    public Task<long> CountConnected(Guid hubId, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            return Task.FromResult((long)ConnectedOf(hubId).Count);
        }
    }

    public Task RecordBroker(string name, Guid run, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            _brokers[name] = (run, _time.GetUtcNow());
        }
        return Task.CompletedTask;
    }

    public Task RecordActivity(IReadOnlyList<DeviceActivity> reports, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            foreach (var report in reports)
            {
                var isKnown = _devices.TryGetValue(report.DeviceId, out var device) && device.Value.HubId == report.HubId;
                var stored = _activity.GetValueOrDefault(report.DeviceId);
                if (isKnown && (stored is null || report.LastActivityAt >= stored.LastActivityAt))
                {
                    _activity[report.DeviceId] = report;
                }
            }
        }
        return Task.CompletedTask;
    }

    public async Task CreateNetwork(Network network, CancellationToken cancel = default)
    {
        await changes.Append(network.HubId, ChangedKind.Network, network.Id, cancel);
        lock (_lock)
        {
            HubThatTakes(network.HubId);
            if (!_networks.TryAdd(network.Id, network))
            {
                throw new AlreadyExistsException("network", network.Id, "id");
            }
        }
    }

    public Task<Network?> GetNetwork(Guid networkId, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            return Task.FromResult(_networks.GetValueOrDefault(networkId));
        }
    }

    public async Task<bool> DeleteNetwork(Guid networkId, CancellationToken cancel = default)
    {
        if (await GetNetwork(networkId, cancel) is not { } known)
        {
            return false;
        }
        await changes.Append(known.HubId, ChangedKind.Network, networkId, cancel);
        lock (_lock)
        {
            return _networks.Remove(networkId);
        }
    }

    public IAsyncEnumerable<Network> NetworksOfHub(Guid hubId, CancellationToken cancel = default) =>
        All(() => _networks.Values.Where(network => network.HubId == hubId), cancel);

    public async Task CreateRoute(Route route, CancellationToken cancel = default)
    {
        await changes.Append(route.HubId, ChangedKind.Route, route.Id, cancel);
        lock (_lock)
        {
            HubThatTakes(route.HubId);
            if (!_routes.TryAdd(route.Id, Stamp(route)))
            {
                throw new AlreadyExistsException("route", route.Id, "id");
            }
        }
    }

    public Task<Versioned<Route>?> GetRoute(Guid routeId, CancellationToken cancel = default) => Read(_routes, routeId, cancel);

    public async Task<Versioned<Route>> ReplaceRoute(Versioned<Route> route, CancellationToken cancel = default)
    {
        await changes.Append(route.Value.HubId, ChangedKind.Route, route.Value.Id, cancel);
        lock (_lock)
        {
            return Replace(_routes, route.Value.Id, route, "route");
        }
    }

    public async Task<bool> DeleteRoute(Guid routeId, CancellationToken cancel = default)
    {
        if (await GetRoute(routeId, cancel) is not { } known)
        {
            return false;
        }
        await changes.Append(known.Value.HubId, ChangedKind.Route, routeId, cancel);
        lock (_lock)
        {
            return _routes.Remove(routeId);
        }
    }

    public IAsyncEnumerable<Route> RoutesOfHub(Guid hubId, CancellationToken cancel = default) =>
        All(() => _routes.Values.Select(route => route.Value).Where(route => route.HubId == hubId), cancel);

    private HashSet<Guid> ConnectedOf(Guid hubId) =>
        [.. _activity.Values.Where(activity => activity.HubId == hubId && AsOfNow(activity).IsConnected).Select(activity => activity.DeviceId)];

    private DeviceIndex IndexOf(Guid hubId) => _indexes.TryGetValue(hubId, out var index)
        ? index
        : _indexes[hubId] = DeviceIndex.Of(_devices.Values.Select(device => device.Value).Where(device => device.HubId == hubId));

    /// <summary>Called after a device was written.</summary>
    private void NoteForLists(Guid hubId, Guid deviceId)
    {
        if (_indexes.TryGetValue(hubId, out var index))
        {
            var now = _devices.GetValueOrDefault(deviceId)?.Value;
            _indexes[hubId] = index.With(deviceId, now?.HubId == hubId ? now : null);
        }
    }

    private DeviceActivity AsOfNow(DeviceActivity activity) => activity is { IsConnected: true, BrokerRun: { } run }
        && !_brokers.Values.Any(broker => broker.Run == run && _time.GetUtcNow() - broker.SeenAt <= IRegistry.BrokerSilence)
            ? activity with { IsConnected = false }
            : activity;

    private void EnsureFree(Device device)
    {
        if (_deviceNames.TryGetValue((device.HubId, device.Name), out var holder) && holder != device.Id)
        {
            throw new AlreadyExistsException("device", holder, "name");
        }
        if (device.CertificateFingerprint.Length > 0
            && _certificates.TryGetValue(device.CertificateFingerprint, out holder) && holder != device.Id)
        {
            throw new AlreadyExistsException("device", holder, "certificate");
        }
    }

    private Versioned<Hub> HubThatTakes(Guid hubId) =>
        _hubs.TryGetValue(hubId, out var hub) && !hub.Value.Deleting ? hub : throw new MissingException("hub", hubId);

    private static void EnsureRoom(Versioned<Hub> hub, int devices)
    {
        if (hub.Value.DeviceCount + devices > Quotas.DevicesOfHub)
        {
            throw new HubFullException(hub.Value.Id, hub.Value.DeviceCount);
        }
    }

    private void Index(Device device, Versioned<Hub> hub)
    {
        NoteForLists(device.HubId, device.Id);
        _deviceNames[(device.HubId, device.Name)] = device.Id;
        IndexCertificate(device);
        _hubs[device.HubId] = Stamp(hub.Value with { DeviceCount = hub.Value.DeviceCount + 1 });
    }

    private void IndexCertificate(Device device)
    {
        if (device.CertificateFingerprint.Length > 0)
        {
            _certificates[device.CertificateFingerprint] = device.Id;
        }
    }

    private void Unindex(Device device)
    {
        NoteForLists(device.HubId, device.Id);
        _deviceNames.Remove((device.HubId, device.Name));
        _certificates.Remove(device.CertificateFingerprint);
        if (_hubs.TryGetValue(device.HubId, out var hub))
        {
            _hubs[device.HubId] = Stamp(hub.Value with { DeviceCount = hub.Value.DeviceCount - 1 });
        }
    }

    private void Forget(Device device)
    {
        _devices.Remove(device.Id);
        _activity.Remove(device.Id);
        Unindex(device);
    }

    private Versioned<T> Stamp<T>(T value) => new(value, (++_lastVersion).ToString(CultureInfo.InvariantCulture));

    private Versioned<T> Replace<T>(Dictionary<Guid, Versioned<T>> stored, Guid id, Versioned<T> next, string resource)
    {
        if (!stored.TryGetValue(id, out var current))
        {
            throw new MissingException(resource, id);
        }
        if (current.Version != next.Version)
        {
            throw new StaleVersionException($"{resource} {id}");
        }
        return stored[id] = Stamp(next.Value);
    }

    private Task<Versioned<T>?> Read<T>(Dictionary<Guid, Versioned<T>> stored, Guid id, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            return Task.FromResult(stored.GetValueOrDefault(id));
        }
    }

    private async IAsyncEnumerable<T> All<T>(Func<IEnumerable<T>> select, [EnumeratorCancellation] CancellationToken cancel)
    {
        await Task.CompletedTask;
        List<T> found;
        lock (_lock)
        {
            found = [.. select()];
        }
        foreach (var item in found)
        {
            cancel.ThrowIfCancellationRequested();
            yield return item;
        }
    }
}
