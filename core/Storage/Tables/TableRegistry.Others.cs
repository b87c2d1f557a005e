using System.Runtime.CompilerServices;
using Azure;
using Azure.Data.Tables;
using IotHub.Core.Domain;

namespace IotHub.Core.Storage.Tables;

public sealed partial class TableRegistry
{
    private const string IsConnected = "IsConnected";
    private const string LastActivityAt = "LastActivityAt";
    private const string BrokerRun = "BrokerRun";

    public async Task<DeviceActivity> GetActivity(Guid hubId, Guid deviceId, CancellationToken cancel = default) =>
        await _activity.Find(Rows.Key(hubId), Rows.Key(deviceId), cancel) is { } row
            ? await _brokers.AsOfNow(ReadActivity(row), cancel)
            : DeviceActivity.Never(hubId, deviceId);

    public async IAsyncEnumerable<DeviceActivity> ActivityOfHub(Guid hubId, [EnumeratorCancellation] CancellationToken cancel = default)
    {
        await foreach (var row in _activity.Query(Rows.OfPartition(Rows.Key(hubId)), cancel: cancel))
        {
            yield return await _brokers.AsOfNow(ReadActivity(row), cancel);
        }
    }

    public async Task<long> CountConnected(Guid hubId, CancellationToken cancel = default) => (await ConnectedOf(hubId, cancel)).Count;

    public Task RecordBroker(string name, Guid run, CancellationToken cancel = default) => _brokers.Record(name, run, cancel);

    public Task RecordActivity(IReadOnlyList<DeviceActivity> reports, CancellationToken cancel = default)
    {
        var newest = reports.GroupBy(report => (report.HubId, report.DeviceId)).Select(same => same.Aggregate((a, b) =>
            b.LastActivityAt >= a.LastActivityAt ? b : a));
        return TableCalls.Each(newest, RecordActivity, cancel);
    }

    public async Task CreateNetwork(Network network, CancellationToken cancel = default)
    {
        await _changes.Append(network.HubId, ChangedKind.Network, network.Id, cancel);
        await Attach("network", network.HubId, network.Id, Rows.Of(Rows.Key(network.HubId), Rows.Network(network.Id), network), cancel);
    }

    public async Task<Network?> GetNetwork(Guid networkId, CancellationToken cancel = default) =>
        await FindOwned(Rows.Network(networkId), cancel) is { } row ? Rows.Read<Network>(row) : null;

    public Task<bool> DeleteNetwork(Guid networkId, CancellationToken cancel = default) =>
        Detach(ChangedKind.Network, networkId, Rows.Network(networkId), cancel);

    public async IAsyncEnumerable<Network> NetworksOfHub(Guid hubId, [EnumeratorCancellation] CancellationToken cancel = default)
    {
        await foreach (var row in _registry.Query(Rows.StartingWith(Rows.Key(hubId), Rows.NetworkPrefix), cancel: cancel))
        {
            yield return Rows.Read<Network>(row);
        }
    }

    public async Task CreateRoute(Route route, CancellationToken cancel = default)
    {
        await _changes.Append(route.HubId, ChangedKind.Route, route.Id, cancel);
        await Attach("route", route.HubId, route.Id, Rows.Of(Rows.Key(route.HubId), Rows.Route(route.Id), route), cancel);
    }

    public async Task<Versioned<Route>?> GetRoute(Guid routeId, CancellationToken cancel = default) =>
        await FindOwned(Rows.Route(routeId), cancel) is { } row ? ReadVersioned<Route>(row) : null;

    public async Task<Versioned<Route>> ReplaceRoute(Versioned<Route> route, CancellationToken cancel = default)
    {
        await _changes.Append(route.Value.HubId, ChangedKind.Route, route.Value.Id, cancel);
        var row = Rows.Of(Rows.Key(route.Value.HubId), Rows.Route(route.Value.Id), route.Value);
        var (result, version) = await _registry.Replace(row, new ETag(route.Version), cancel);
        return Replaced(result, route.Value, version, "route", route.Value.Id);
    }

    public Task<bool> DeleteRoute(Guid routeId, CancellationToken cancel = default) =>
        Detach(ChangedKind.Route, routeId, Rows.Route(routeId), cancel);

    public async IAsyncEnumerable<Route> RoutesOfHub(Guid hubId, [EnumeratorCancellation] CancellationToken cancel = default)
    {
        await foreach (var row in _registry.Query(Rows.StartingWith(Rows.Key(hubId), Rows.RoutePrefix), cancel: cancel))
        {
            yield return Rows.Read<Route>(row);
        }
    }

    private static DeviceActivity ReadActivity(TableEntity row) => new(
        Guid.Parse(row.PartitionKey),
        Guid.Parse(row.RowKey),
        row.GetBoolean(IsConnected) ?? false,
        row.GetDateTimeOffset(LastActivityAt) ?? DateTimeOffset.UnixEpoch,
        row.GetGuid(BrokerRun));

    private async ValueTask<TableEntity?> FindOwned(string rowKey, CancellationToken cancel) =>
        await _owners.FindHub(rowKey, cancel) is { } hubId ? await _registry.Find(Rows.Key(hubId), rowKey, cancel) : null;

    /// <summary>Adds a row to a hub that is there and stays there.</summary>
    private async Task Attach(string resource, Guid hubId, Guid id, TableEntity row, CancellationToken cancel)
    {
        await _owners.Point(row.RowKey, hubId, resource, id, async () => await FindOwned(row.RowKey, cancel) is not null, cancel);
        try
        {
            // Written.Exists can only be our own row of a repeated transaction whose answer was lost: ids are random.
            var add = new TableTransactionAction(TableTransactionActionType.Add, row);
            await WithHub(hubId, hub => hub, [add], [], evenIfDeleting: false, cancel);
        }
        catch (MissingException)
        {
            await _owners.DropIf(row.RowKey, pointer => OwnerRows.HubOf(pointer) == hubId, cancel);
            throw;
        }
    }

    private async Task<bool> Detach(ChangedKind kind, Guid id, string rowKey, CancellationToken cancel)
    {
        if (await _owners.FindHub(rowKey, cancel) is not { } hubId)
        {
            return false;
        }
        await _changes.Append(hubId, kind, id, cancel);
        var wasThere = await _registry.Delete(Rows.Key(hubId), rowKey, cancel);
        await _owners.Drop(rowKey, cancel);
        return wasThere;
    }

    private async Task RecordActivity(DeviceActivity report, CancellationToken cancel)
    {
        var (partition, key) = (Rows.Key(report.HubId), Rows.Key(report.DeviceId));
        var row = new TableEntity(partition, key)
        {
            [IsConnected] = report.IsConnected,
            [LastActivityAt] = report.LastActivityAt.ToUniversalTime(),
        };
        if (report.BrokerRun is { } run)
        {
            row[BrokerRun] = run;
        }
        for (var attempt = 0; ; attempt++)
        {
            var stored = await _activity.Find(partition, key, cancel);
            if (stored is null && await _registry.Find(partition, Rows.Device(report.DeviceId), cancel, "RowKey") is null)
            {
                return;
            }
            if (stored is not null && ReadActivity(stored).LastActivityAt > report.LastActivityAt)
            {
                return;
            }
            var result = stored is null
                ? await _activity.Insert(row, cancel)
                : (await _activity.Replace(row, stored.ETag, cancel)).Result;
            if (result == Written.Done)
            {
                return;
            }
            await Pause(attempt, $"activity of device {report.DeviceId}", cancel);
        }
    }
}
