using IotHub.Core.Domain;

namespace IotHub.Core.Storage;

/// <summary>A stored value with the version (ETag) it was read at.</summary>
public sealed record Versioned<T>(T Value, string Version);

/// <summary>
/// The registry of hubs and all that belongs to them. One hub is one partition, so what must change together (a device, its unique
/// name and the hub's count) changes in one transaction. Every write but a delete carries the version it was based on.
/// </summary>
/// <remarks>
/// Write operations append to the change feed before they touch the registry, and answer only when both are stored; a reader that
/// sees the change looks again (see <see cref="IChangeFeed"/>).
/// </remarks>
/// <exception cref="StaleVersionException">A write was based on a version that is no longer the stored one.</exception>
/// <exception cref="AlreadyExistsException">A unique name, certificate or id is taken.</exception>
/// <exception cref="MissingException">What a write refers to is gone, or its hub is being deleted.</exception>
/// <exception cref="HubFullException">A device wants to join a hub that has <see cref="Quotas.DevicesOfHub"/> of them.</exception>
/// <exception cref="RegistryUnavailableException">Storage did not answer; nothing is known about the operation's effect.</exception>
public interface IRegistry
{
    Task CreateHub(Hub hub, CancellationToken cancel = default);
    Task<Versioned<Hub>?> GetHub(Guid hubId, CancellationToken cancel = default);
    Task<Versioned<Hub>> ReplaceHub(Versioned<Hub> hub, CancellationToken cancel = default);

    /// <summary>
    /// Replaces a hub that gets a certificate authority of its customer: takes the authority for this hub, then lets the one before go.
    /// No other hub can have it from here on. A repeat finishes what was interrupted.
    /// </summary>
    /// <param name="hub">As it was read.</param>
    /// <param name="next">The same hub with another <see cref="Domain.Hub.CustomCaFingerprint"/>.</param>
    Task<Versioned<Hub>> ReplaceAuthority(Versioned<Hub> hub, Hub next, CancellationToken cancel = default);

    /// <summary>The hub that has this authority of a customer.</summary>
    Task<Versioned<Hub>?> FindHubByAuthority(string fingerprint, CancellationToken cancel = default);

    /// <summary>Deletes a hub with all its devices, networks and routes. Idempotent; a repeat finishes what was interrupted.</summary>
    Task DeleteHub(Guid hubId, CancellationToken cancel = default);

    IAsyncEnumerable<Hub> HubsOfProject(Guid projectId, CancellationToken cancel = default);
    IAsyncEnumerable<Hub> HubsOfOrganization(Guid organizationId, CancellationToken cancel = default);

    /// <summary>Stores a device, its unique name and certificate, and raises the hub's device count, at once.</summary>
    Task CreateDevice(Device device, CancellationToken cancel = default);

    /// <summary>As many devices as can be stored at once.</summary>
    const int DevicesAtOnce = 49;

    /// <summary>Stores several new devices of one hub, at most <see cref="DevicesAtOnce"/>: all at once, or none.</summary>
    /// <returns>False when a name or certificate is taken; one by one shows which.</returns>
    Task<bool> CreateDevices(Guid hubId, IReadOnlyList<Device> devices, CancellationToken cancel = default);
    Task<Versioned<Device>?> GetDevice(Guid deviceId, CancellationToken cancel = default);
    Task<Device?> FindDeviceByName(Guid hubId, string name, CancellationToken cancel = default);
    Task<Device?> FindDeviceByCertificate(string fingerprint, CancellationToken cancel = default);

    /// <summary>Replaces a device; a new <see cref="Device.HubId"/> moves it to that hub, a new certificate drops the old one.</summary>
    Task<Versioned<Device>> ReplaceDevice(Versioned<Device> device, CancellationToken cancel = default);

    /// <summary>True when it was there.</summary>
    Task<bool> DeleteDevice(Guid deviceId, CancellationToken cancel = default);

    /// <summary>
    /// A page of the devices of some hubs, with what changed before the call. What it costs does not grow with the devices that it does
    /// not return, but where <see cref="DeviceQuery.IsConnected"/> is asked: then with those that are connected.
    /// </summary>
    Task<DevicePage> ListDevices(DeviceQuery query, CancellationToken cancel = default);
    IAsyncEnumerable<Device> DevicesOfHub(Guid hubId, CancellationToken cancel = default);

    Task<DeviceActivity> GetActivity(Guid hubId, Guid deviceId, CancellationToken cancel = default);
    IAsyncEnumerable<DeviceActivity> ActivityOfHub(Guid hubId, CancellationToken cancel = default);

    /// <summary>How many devices of the hub were last reported as connected.</summary>
    Task<long> CountConnected(Guid hubId, CancellationToken cancel = default);

    /// <summary>
    /// A broker says that it runs. Its devices count as connected while it has said so within <see cref="BrokerSilence"/>; a new run under
    /// the same name ends the one before.
    /// </summary>
    Task RecordBroker(string name, Guid run, CancellationToken cancel = default);

    /// <summary>A broker that says nothing for longer is gone, with all its connections.</summary>
    static readonly TimeSpan BrokerSilence = TimeSpan.FromSeconds(60);

    /// <summary>Stores reports of the broker; a report older than what is stored changes nothing.</summary>
    Task RecordActivity(IReadOnlyList<DeviceActivity> reports, CancellationToken cancel = default);

    Task CreateNetwork(Network network, CancellationToken cancel = default);
    Task<Network?> GetNetwork(Guid networkId, CancellationToken cancel = default);
    Task<bool> DeleteNetwork(Guid networkId, CancellationToken cancel = default);
    IAsyncEnumerable<Network> NetworksOfHub(Guid hubId, CancellationToken cancel = default);

    Task CreateRoute(Route route, CancellationToken cancel = default);
    Task<Versioned<Route>?> GetRoute(Guid routeId, CancellationToken cancel = default);
    Task<Versioned<Route>> ReplaceRoute(Versioned<Route> route, CancellationToken cancel = default);
    Task<bool> DeleteRoute(Guid routeId, CancellationToken cancel = default);
    IAsyncEnumerable<Route> RoutesOfHub(Guid hubId, CancellationToken cancel = default);
}

/// <summary>API keys, found by the hash of their secret: one point read, and nothing to compare byte by byte.</summary>
public interface IApiKeys
{
    Task Create(ApiKey key, CancellationToken cancel = default);
    Task<ApiKey?> FindBySecretHash(string secretHash, CancellationToken cancel = default);
    IAsyncEnumerable<ApiKey> All(CancellationToken cancel = default);
    IAsyncEnumerable<ApiKey> OfOrganization(Guid organizationId, CancellationToken cancel = default);
    Task<bool> Delete(string accessKey, CancellationToken cancel = default);
}

/// <summary>What a change is about. Stored as text; may only grow.</summary>
public enum ChangedKind
{
    Hub,
    Device,
    Network,
    Route,

    /// <summary>
    /// A device that is made together with many others. No broker remembers what is not there, so none has to look; whoever sweeps up after
    /// dead writers has.
    /// </summary>
    NewDevice,
}

/// <summary>A hint that something of a hub is about to change or has changed. Readers look at the registry for what it is now.</summary>
/// <param name="Position">Where it stands in the feed; orders changes up to the clock skew between writers.</param>
public sealed record RegistryChange(string Position, DateTimeOffset At, Guid HubId, ChangedKind Kind, Guid Id);

/// <summary>
/// The feed that brokers follow. A change is appended before the registry is written, so that none can be lost; a reader looks at once
/// and again after 1, 5 and 60 seconds, which covers a writer that was slow or died half way.
/// </summary>
public interface IChangeFeed
{
    Task Append(Guid hubId, ChangedKind kind, Guid id, CancellationToken cancel = default);

    /// <summary>The same for several things of one hub, at most <see cref="IRegistry.DevicesAtOnce"/>.</summary>
    async Task AppendAll(Guid hubId, ChangedKind kind, IReadOnlyList<Guid> ids, CancellationToken cancel = default)
    {
        foreach (var id in ids)
        {
            await Append(hubId, kind, id, cancel);
        }
    }

    /// <summary>All changes appended at or after <paramref name="since"/>, oldest first.</summary>
    Task<IReadOnlyList<RegistryChange>> ReadSince(DateTimeOffset since, CancellationToken cancel = default);

    /// <summary>All changes appended from one full hour (UTC) up to another, which is left out; oldest first.</summary>
    Task<IReadOnlyList<RegistryChange>> ReadHours(DateTimeOffset from, DateTimeOffset until, CancellationToken cancel = default);

    /// <summary>Drops whole hours that ended before <paramref name="before"/>.</summary>
    Task Trim(DateTimeOffset before, CancellationToken cancel = default);
}
