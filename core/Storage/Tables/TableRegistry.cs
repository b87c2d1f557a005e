using System.Runtime.CompilerServices;
using Azure;
using Azure.Data.Tables;
using IotHub.Core.Domain;

namespace IotHub.Core.Storage.Tables;

/// <summary>
/// The registry in Azure Table Storage. Table <c>registry</c> holds one partition per hub (rows <c>hub</c>, <c>device:</c>,
/// <c>device-name:</c>, <c>hub-trail</c>, <c>network:</c>, <c>route:</c>), so that what must change together does; <c>owners</c>, <c>projects</c> and
/// <c>organizations</c> are indexes that are written first and checked when read; <c>activity</c> is the broker's reports.
/// </summary>
/// <remarks>
/// Whatever joins or leaves a hub writes the hub's row in the same transaction, under the version that was read. So a deletion that
/// marked the hub (<see cref="Hub.Deleting"/>) can be sure that nothing comes after.
/// </remarks>
public sealed partial class TableRegistry : IRegistry
{
    /// <summary>Others that change the same hub at the same time make a transaction start again; this many times at most.</summary>
    private const int MaximumAttempts = 50;

    private const int MaximumPauseMilliseconds = 200;

    private readonly TableClient _registry;
    private readonly TableClient _projects;
    private readonly TableClient _organizations;
    private readonly TableClient _activity;
    private readonly OwnerRows _owners;
    private readonly BrokerRows _brokers;
    private readonly IChangeFeed _changes;
    private readonly DeviceTrails _trails;
    private readonly DeviceIndexes _indexes;

    /// <param name="indexBytes">About how much memory the devices may take that are remembered for lists.</param>
    public TableRegistry(TableServiceClient tables, IChangeFeed changes, TimeProvider time, long indexBytes = DefaultIndexBytes)
    {
        _registry = tables.GetTableClient(TableNames.Registry);
        _trails = new DeviceTrails(_registry);
        _indexes = new DeviceIndexes(indexBytes);
        _projects = tables.GetTableClient(TableNames.Projects);
        _organizations = tables.GetTableClient(TableNames.Organizations);
        _activity = tables.GetTableClient(TableNames.Activity);
        _brokers = new BrokerRows(_activity, time);
        _owners = new OwnerRows(tables.GetTableClient(TableNames.Owners), time);
        _changes = changes;
    }

    public async Task CreateHub(Hub hub, CancellationToken cancel = default)
    {
        var key = Rows.Key(hub.Id);
        await _changes.Append(hub.Id, ChangedKind.Hub, hub.Id, cancel);
        await Task.WhenAll(
            _projects.Put(new TableEntity(Rows.Key(hub.ProjectId), key), cancel),
            _organizations.Put(new TableEntity(Rows.Key(hub.OrganizationId), key), cancel));
        if (await _registry.Insert(Rows.Of(key, Rows.HubRow, hub), cancel) != Written.Done)
        {
            throw new AlreadyExistsException("hub", hub.Id, "id");
        }
        _trails.Remember(hub.Id, DeviceTrail.None);
    }

    public async Task<Versioned<Hub>?> GetHub(Guid hubId, CancellationToken cancel = default) =>
        await _registry.Find(Rows.Key(hubId), Rows.HubRow, cancel) is { } row ? ReadVersioned<Hub>(row) : null;

    public async Task<Versioned<Hub>> ReplaceHub(Versioned<Hub> hub, CancellationToken cancel = default)
    {
        await _changes.Append(hub.Value.Id, ChangedKind.Hub, hub.Value.Id, cancel);
        var (result, version) = await _registry.Replace(HubEntity(hub.Value), new ETag(hub.Version), cancel);
        return Replaced(result, hub.Value, version, "hub", hub.Value.Id);
    }

    public async Task<Versioned<Hub>> ReplaceAuthority(Versioned<Hub> hub, Hub next, CancellationToken cancel = default)
    {
        await _owners.TakeAuthority(
            next.CustomCaFingerprint,
            next.Id,
            async holder => (await GetHub(holder, cancel))?.Value.CustomCaFingerprint == next.CustomCaFingerprint,
            cancel);
        var stored = await ReplaceHub(hub with { Value = next }, cancel);
        if (hub.Value.CustomCaFingerprint != next.CustomCaFingerprint)
        {
            await _owners.DropAuthority(hub.Value.CustomCaFingerprint, next.Id, cancel);
        }
        return stored;
    }

    public async Task<Versioned<Hub>?> FindHubByAuthority(string fingerprint, CancellationToken cancel = default)
    {
        if (fingerprint.Length == 0 || await _owners.FindHub(OwnerRows.Authority(fingerprint), cancel) is not { } hubId)
        {
            return null;
        }
        var hub = await GetHub(hubId, cancel);
        return hub?.Value.CustomCaFingerprint == fingerprint ? hub : null;
    }

    public async Task DeleteHub(Guid hubId, CancellationToken cancel = default)
    {
        await _changes.Append(hubId, ChangedKind.Hub, hubId, cancel);
        var key = Rows.Key(hubId);
        var hub = await MarkDeleting(hubId, cancel);
        await DeleteBelongings(hubId, cancel);
        await _activity.DeleteAll(Rows.OfPartition(key), cancel);
        if (hub is not null)
        {
            await Task.WhenAll(
                _owners.DropAuthority(hub.CustomCaFingerprint, hubId, cancel),
                _projects.Delete(Rows.Key(hub.ProjectId), key, cancel),
                _organizations.Delete(Rows.Key(hub.OrganizationId), key, cancel));
        }
        // Last, because it is what a repeat of an interrupted deletion starts from.
        await _registry.Delete(key, Rows.HubRow, cancel);
    }

    public IAsyncEnumerable<Hub> HubsOfProject(Guid projectId, CancellationToken cancel = default) => HubsIn(_projects, projectId, cancel);

    public IAsyncEnumerable<Hub> HubsOfOrganization(Guid organizationId, CancellationToken cancel = default) =>
        HubsIn(_organizations, organizationId, cancel);

    private static TableEntity HubEntity(Hub hub) => Rows.Of(Rows.Key(hub.Id), Rows.HubRow, hub);

    private static Versioned<T> ReadVersioned<T>(TableEntity row) => new(Rows.Read<T>(row), row.ETag.ToString());

    private static Versioned<T> Replaced<T>(Written result, T value, ETag version, string resource, Guid id) => result switch
    {
        Written.Done => new Versioned<T>(value, version.ToString()),
        Written.Missing => throw new MissingException(resource, id),
        _ => throw new StaleVersionException($"{resource} {id}"),
    };

    private async IAsyncEnumerable<Hub> HubsIn(TableClient index, Guid owner, [EnumeratorCancellation] CancellationToken cancel)
    {
        var reads = new Queue<Task<Versioned<Hub>?>>();
        await foreach (var row in index.Query(Rows.OfPartition(Rows.Key(owner)), ["RowKey"], cancel))
        {
            if (Guid.TryParse(row.RowKey, out var hubId))
            {
                reads.Enqueue(GetHub(hubId, cancel));
            }
            if (reads.Count > 16 && await reads.Dequeue() is { } early)
            {
                yield return early.Value;
            }
        }
        while (reads.TryDequeue(out var read))
        {
            if (await read is { } hub)
            {
                yield return hub.Value;
            }
        }
    }

    private async Task<Hub?> MarkDeleting(Guid hubId, CancellationToken cancel)
    {
        for (var attempt = 0; ; attempt++)
        {
            if (await GetHub(hubId, cancel) is not { } hub || hub.Value.Deleting)
            {
                return (await GetHub(hubId, cancel))?.Value;
            }
            var marked = hub.Value with { Deleting = true };
            if ((await _registry.Replace(HubEntity(marked), new ETag(hub.Version), cancel)).Result == Written.Done)
            {
                return marked;
            }
            await Pause(attempt, $"hub {hubId}", cancel);
        }
    }

    /// <summary>Pointers go first: while the rows are there, a repeat still finds what to point away from.</summary>
    private async Task DeleteBelongings(Guid hubId, CancellationToken cancel)
    {
        var key = Rows.Key(hubId);
        var devices = new List<Device>();
        await foreach (var device in DevicesOfHub(hubId, cancel))
        {
            devices.Add(device);
        }
        await TableCalls.Each(devices, async (device, stop) =>
        {
            await _owners.DropCertificate(device.CertificateFingerprint, device.Id, stop);
            await _owners.DropIf(Rows.Device(device.Id), pointer => OwnerRows.HubOf(pointer) == hubId, stop);
        }, cancel);
        var others = new List<string>();
        foreach (var prefix in new[] { Rows.NetworkPrefix, Rows.RoutePrefix })
        {
            await foreach (var row in _registry.Query(Rows.StartingWith(key, prefix), ["RowKey"], cancel))
            {
                others.Add(row.RowKey);
            }
        }
        await TableCalls.Each(others, (pointer, stop) => _owners.Drop(pointer, stop), cancel);
        await _registry.DeleteAll(TableClient.CreateQueryFilter($"PartitionKey eq {key} and RowKey ne {Rows.HubRow}"), cancel);
    }

    /// <summary>
    /// Changes the hub's row and other rows of its partition in one transaction, again and again while others change the hub.
    /// </summary>
    /// <param name="devices">Those among the rows, for the hub's trail.</param>
    /// <returns>The versions of the other rows, or what stopped it.</returns>
    /// <exception cref="MissingException">The hub is gone or going.</exception>
    private async Task<(Written Result, IReadOnlyList<ETag> Versions)> WithHub(
        Guid hubId, Func<Hub, Hub> change, IReadOnlyList<TableTransactionAction> rows, IReadOnlyCollection<Guid> devices,
        bool evenIfDeleting, CancellationToken cancel)
    {
        for (var attempt = 0; ; attempt++)
        {
            var trail = devices.Count == 0 ? null : await NextTrail(hubId, devices, attempt, AttemptsAtTrailOfHub, cancel);
            if (await GetHub(hubId, cancel) is not { } hub || (hub.Value.Deleting && !evenIfDeleting))
            {
                throw new MissingException("hub", hubId);
            }
            var hubRow = new TableTransactionAction(
                TableTransactionActionType.UpdateReplace, HubEntity(change(hub.Value)), new ETag(hub.Version));
            TableTransactionAction[] note = trail is null ? [] : [DeviceTrails.Write(hubId, trail)];
            var (result, versions) = await _registry.Transact([.. rows, hubRow, .. note], cancel);
            if (result == Written.Done && trail is not null)
            {
                _trails.Remember(hubId, trail with { Version = versions[^1] });
            }
            if (result is not Written.Stale)
            {
                return (result, versions);
            }
            await Pause(attempt, $"hub {hubId}", cancel);
        }
    }

    private static Task Pause(int attempt, string what, CancellationToken cancel) => attempt + 1 < MaximumAttempts
        ? Task.Delay(Random.Shared.Next(1, Math.Min(MaximumPauseMilliseconds, 5 << Math.Min(attempt, 6))), cancel)
        : throw new StaleVersionException(what);
}
