using System.Collections.Concurrent;
using Azure;
using Azure.Data.Tables;
using IotHub.Core.Domain;

namespace IotHub.Core.Storage.Tables;

/// <content>
/// Lists of devices, from indexes in memory that are good as long as the hub's <see cref="DeviceTrail"/> says so; see
/// docs/decisions/d18-device-lists.md.
/// </content>
public sealed partial class TableRegistry
{
    /// <summary>Some 200,000 devices with short texts.</summary>
    public const long DefaultIndexBytes = 128L * 1024 * 1024;

    /// <summary>After as many attempts in vain a trail is broken, which always succeeds and makes the next list read all devices.</summary>
    private const int AttemptsAtTrail = 2;

    /// <summary>The same where it is rather the hub's row that others change.</summary>
    private const int AttemptsAtTrailOfHub = 10;

    public async Task<DevicePage> ListDevices(DeviceQuery query, CancellationToken cancel = default)
    {
        var hubs = await Task.WhenAll(query.Hubs.Select(async hub =>
        {
            IReadOnlySet<Guid>? connected = query.IsConnected is null ? null : await ConnectedOf(hub.Id, cancel);
            return (await IndexOf(hub, cancel), connected);
        }));
        return DeviceIndex.Cut(hubs, query);
    }

    /// <summary>A deletion of a hub takes the rows without noting it: nobody may remember them.</summary>
    private async Task<DeviceIndex> IndexOf(Hub hub, CancellationToken cancel)
    {
        if (hub.Deleting)
        {
            return await ReadIndex(hub.Id, cancel);
        }
        // Before the devices: what is read after it is at least as new, and what changes then is noted after it.
        var trail = await _trails.Read(hub.Id, cancel);
        return await _indexes.Of(hub.Id, trail, known => Refresh(hub.Id, known, trail, cancel), cancel);
    }

    private async Task<DeviceIndex> Refresh(Guid hubId, KnownDevices? known, DeviceTrail trail, CancellationToken cancel)
    {
        // One by one costs more than all together when it is a twentieth of them.
        if (known is null || trail.Since(known.Trail) is not { } changed || changed.Count > 4 + (known.Index.Count / 20))
        {
            return await ReadIndex(hubId, cancel);
        }
        var changes = new ConcurrentBag<(Guid, Device?)>();
        await TableCalls.Each(
            changed, async (id, stop) => changes.Add((id, (await FindIn(hubId, id, stop))?.Value)), cancel);
        return known.Index.With(changes);
    }

    private async Task<DeviceIndex> ReadIndex(Guid hubId, CancellationToken cancel)
    {
        var devices = new List<Device>();
        await foreach (var device in DevicesOfHub(hubId, cancel))
        {
            devices.Add(DeviceIndex.Lean(device));
        }
        return DeviceIndex.Of(devices);
    }

    private async Task<HashSet<Guid>> ConnectedOf(Guid hubId, CancellationToken cancel)
    {
        var connected = new HashSet<Guid>();
        var filter = TableClient.CreateQueryFilter($"PartitionKey eq {Rows.Key(hubId)} and IsConnected eq {true}");
        await foreach (var row in _activity.Query(filter, ["PartitionKey", "RowKey", IsConnected, BrokerRun], cancel))
        {
            if ((await _brokers.AsOfNow(ReadActivity(row), cancel)).IsConnected)
            {
                connected.Add(Guid.Parse(row.RowKey));
            }
        }
        return connected;
    }

    /// <summary>
    /// Writes rows of one device of a hub and notes that in the hub's trail, at once. Others who write the trail at the same time never
    /// make this fail.
    /// </summary>
    private async Task<(Written Result, ETag Version)> WriteDevice(
        Guid hubId, Guid deviceId, TableTransactionAction row, CancellationToken cancel)
    {
        for (var attempt = 0; ; attempt++)
        {
            var trail = await NextTrail(hubId, [deviceId], attempt, AttemptsAtTrail, cancel);
            var (result, versions) = await _registry.Transact([row, DeviceTrails.Write(hubId, trail)], cancel);
            if (result == Written.Done)
            {
                _trails.Remember(hubId, trail with { Version = versions[1] });
                return (result, versions[0]);
            }
            if (trail.Version is null)
            {
                // It is the device that is in the way.
                return (result, default);
            }
        }
    }

    private async Task<DeviceTrail> NextTrail(
        Guid hubId, IReadOnlyCollection<Guid> devices, int attempt, int attempts, CancellationToken cancel)
    {
        if (attempt >= attempts)
        {
            return DeviceTrail.Broken();
        }
        return (attempt == 0 ? await _trails.Last(hubId, cancel) : await _trails.Read(hubId, cancel)).With(devices);
    }
}
