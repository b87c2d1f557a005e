using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using IotHub.Broker.Bridge;
using IotHub.Core.Domain;
using IotHub.Core.Security;
using IotHub.Core.Storage;

namespace IotHub.Broker.Auth;

/// <summary>A hub as the broker needs it: without keys and certificates, with its routes.</summary>
/// <param name="AuthorityHash">Tells one certificate authority from the next.</param>
/// <param name="Authority">The customer's own authority; null where it is the generated one, whose certificates are known one by one.</param>
public sealed record HubEntry(
    Hub Hub, string AuthorityHash, IReadOnlyList<RouteSubscription> Routes, X509Certificate2? Authority = null);

/// <summary>
/// The broker's memory of the registry: hubs with their routes, and devices. What it remembers is at most as old as the change feed, and
/// a difference found by any reading is carried out on live connections (<see cref="LiveChanges"/>) before that reading is used.
/// </summary>
public sealed class HubDirectory
{
    private readonly IRegistry _registry;
    private readonly LiveChanges _live;
    private readonly TimeProvider _clock;
    private readonly BridgeLimits _limits;
    private readonly RecordCache<HubEntry> _hubs;
    private readonly RecordCache<Device> _devices;
    private long _currentAt;

    public HubDirectory(IRegistry registry, LiveChanges live, TimeProvider clock, BridgeLimits limits)
    {
        _registry = registry;
        _live = live;
        _clock = clock;
        _limits = limits;
        _hubs = new RecordCache<HubEntry>(
            limits.RememberedHubs, LoadHub, live.HubChanged, entry => !live.HasConnections(entry.Hub.Id), limits.RegistryTimeout);
        _devices = new RecordCache<Device>(limits.RememberedDevices, LoadDevice, DeviceChanged, _ => true, limits.RegistryTimeout);
    }

    /// <summary>May what is remembered be believed, that is, was the change feed read lately?</summary>
    public bool IsCurrent
    {
        get
        {
            var at = Interlocked.Read(ref _currentAt);
            return at != 0 && _clock.GetElapsedTime(at) <= _limits.FeedStaleAfter;
        }
    }

    /// <summary>The feed was read, up to the moment <paramref name="timestamp"/> of the clock.</summary>
    public void MarkCurrent(long timestamp) => Interlocked.Exchange(ref _currentAt, timestamp == 0 ? 1 : timestamp);

    /// <summary>The hub, configured at the broker by the time this returns; null when there is none or it is being deleted.</summary>
    public ValueTask<HubEntry?> Hub(Guid hubId, CancellationToken cancel) => _hubs.Get(hubId, cancel);

    public Task<HubEntry?> FreshHub(Guid hubId, CancellationToken cancel) => _hubs.Reload(hubId, cancel);

    public ValueTask<Device?> Device(Guid deviceId, CancellationToken cancel) => _devices.Get(deviceId, cancel);

    public Task<Device?> FreshDevice(Guid deviceId, CancellationToken cancel) => _devices.Reload(deviceId, cancel);

    public HubEntry? RecallHub(Guid hubId) => _hubs.Recall(hubId);

    public Device? RecallDevice(Guid deviceId) => _devices.Recall(deviceId);

    /// <summary>Whose certificate is it? Asked of the registry each time: a certificate is not a key of this memory.</summary>
    public Task<Device?> DeviceByCertificate(string fingerprint, CancellationToken cancel) =>
        Ask(token => _registry.FindDeviceByCertificate(fingerprint, token), cancel);

    /// <summary>Which hub has this authority of a customer? Asked of the registry each time.</summary>
    public async Task<Guid?> HubByAuthority(string fingerprint, CancellationToken cancel) =>
        (await Ask(token => _registry.FindHubByAuthority(fingerprint, token), cancel))?.Value.Id;

    /// <summary>Which device of the hub has this name? Asked of the registry each time.</summary>
    public async Task<Guid?> DeviceByName(Guid hubId, string name, CancellationToken cancel) =>
        (await Ask(token => _registry.FindDeviceByName(hubId, name, token), cancel))?.Id;

    /// <summary>Makes a device for a client whose certificate is under the hub's authority.</summary>
    /// <returns>False when another one of this name was faster; null when the hub takes no more.</returns>
    public Task<bool?> Provision(Device device, CancellationToken cancel) => Ask<bool?>(async token =>
    {
        if (await _registry.GetHub(device.HubId, token) is not { } hub
            || !hub.Value.EnableDeviceAutoProvisioning || hub.Value.DeviceCount >= Quotas.DevicesOfHub)
        {
            return null;
        }
        try
        {
            await _registry.CreateDevice(device, token);
            return true;
        }
        catch (AlreadyExistsException)
        {
            return false;
        }
        catch (Exception e) when (e is MissingException or HubFullException)
        {
            return null;
        }
    }, cancel);

    /// <summary>Asks the registry, which may take so long and no longer to answer.</summary>
    private async Task<T> Ask<T>(Func<CancellationToken, Task<T>> ask, CancellationToken cancel)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        patience.CancelAfter(_limits.RegistryTimeout);
        return await ask(patience.Token).WaitAsync(patience.Token);
    }

    /// <summary>Are these very readings still the newest? Takes no lock.</summary>
    public bool StillHolds(HubEntry hub, Device device) => _hubs.Holds(hub.Hub.Id, hub) && _devices.Holds(device.Id, device);

    /// <summary>A change was announced: looks at the registry now and carries out what is different.</summary>
    public async Task LookAgain(Guid hubId, ChangedKind kind, Guid id, CancellationToken cancel)
    {
        switch (kind)
        {
            case ChangedKind.Hub:
            case ChangedKind.Route:
                await LookAtHub(hubId, cancel);
                break;
            case ChangedKind.Device:
                await LookAtDevice(hubId, id, cancel);
                break;
            case ChangedKind.Network:
                // Networks are authenticated by the functions.
                break;
        }
    }

    private async Task LookAtHub(Guid hubId, CancellationToken cancel)
    {
        if (_hubs.Peek(hubId) is not null)
        {
            await _hubs.Reload(hubId, cancel);
            return;
        }
        // A hub that is not remembered has no connections, but it may have sessions.
        _hubs.Forget(hubId);
        var found = await Ask(token => _registry.GetHub(hubId, token), cancel);
        if (found is null || found.Value.Deleting)
        {
            _live.HubIsGone(hubId);
        }
    }

    private async Task LookAtDevice(Guid hubId, Guid deviceId, CancellationToken cancel)
    {
        if (_devices.Peek(deviceId) is not null)
        {
            await _devices.Reload(deviceId, cancel);
            return;
        }
        _devices.Forget(deviceId);
        var now = await LoadDevice(deviceId, cancel).WaitAsync(_limits.RegistryTimeout, _clock, cancel);
        if (_devices.Peek(deviceId) is not null)
        {
            // It connected while we were reading: what it was let in with was read after the change was announced, so only a
            // difference from that is news. Ending it here would cut off a device that has just been made.
            await _devices.Reload(deviceId, cancel);
            return;
        }
        var hub = now is not null && _hubs.Peek(now.HubId) is not null ? await Hub(now.HubId, cancel) : null;
        _live.ForgottenDeviceChanged(hubId, deviceId, now, hub);
    }

    private void DeviceChanged(Guid deviceId, Device? before, Device? now) =>
        _live.DeviceChanged(before, now, now is null ? null : _hubs.Peek(now.HubId));

    /// <summary>Devices remembered of one hub; walks all that is remembered.</summary>
    internal IEnumerable<Device> RememberedDevicesOf(Guid hubId) => _devices.All.Where(device => device.HubId == hubId);

    private async Task<Device?> LoadDevice(Guid deviceId, CancellationToken cancel)
    {
        var found = await _registry.GetDevice(deviceId, cancel);
        return found is null ? null : found.Value with { CertificatePem = "", Description = "" };
    }

    private async Task<HubEntry?> LoadHub(Guid hubId, CancellationToken cancel)
    {
        var found = await _registry.GetHub(hubId, cancel);
        if (found is null || found.Value.Deleting)
        {
            return null;
        }
        List<RouteSubscription> routes = [];
        await foreach (var route in _registry.RoutesOfHub(hubId, cancel))
        {
            routes.Add(new RouteSubscription(route.Id, route.Topic));
        }
        routes.Sort((a, b) => a.RouteId.CompareTo(b.RouteId));
        var hub = found.Value;
        var authority = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(hub.CaCertificatePem)));
        var own = hub.CustomCaFingerprint.Length > 0 ? Certificates.TryRead(hub.CaCertificatePem) : null;
        return new HubEntry(hub with { CaCertificatePem = "", SealedCaKey = null }, authority, routes, own);
    }
}
