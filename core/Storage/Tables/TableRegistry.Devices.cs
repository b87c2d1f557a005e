using System.Runtime.CompilerServices;
using Azure;
using Azure.Data.Tables;
using IotHub.Core.Domain;

namespace IotHub.Core.Storage.Tables;

public sealed partial class TableRegistry
{
    public async Task CreateDevice(Device device, CancellationToken cancel = default)
    {
        await _changes.Append(device.HubId, ChangedKind.Device, device.Id, cancel);
        var pointer = Rows.Device(device.Id);
        await _owners.Point(pointer, device.HubId, "device", device.Id, async () => await GetDevice(device.Id, cancel) is not null, cancel);
        try
        {
            if (device.CertificateFingerprint.Length > 0)
            {
                await TakeCertificate(device, cancel);
            }
            await Join(device, cancel);
        }
        catch (Exception e) when (e is AlreadyExistsException or MissingException or HubFullException)
        {
            await _owners.Drop(pointer, cancel);
            await _owners.DropCertificate(device.CertificateFingerprint, device.Id, cancel);
            throw;
        }
    }

    public async Task<Versioned<Device>?> GetDevice(Guid deviceId, CancellationToken cancel = default) =>
        await _owners.FindHub(Rows.Device(deviceId), cancel) is { } hubId ? await FindIn(hubId, deviceId, cancel) : null;

    public async Task<Device?> FindDeviceByName(Guid hubId, string name, CancellationToken cancel = default)
    {
        if (await _registry.Find(Rows.Key(hubId), Rows.DeviceName(name), cancel) is not { } row)
        {
            return null;
        }
        // By its id, so that what an interrupted move left behind is not taken for the device.
        var device = await GetDevice(OwnerRows.DeviceOf(row), cancel);
        return device?.Value.HubId == hubId ? device.Value : null;
    }

    public async Task<Device?> FindDeviceByCertificate(string fingerprint, CancellationToken cancel = default)
    {
        if (fingerprint.Length == 0 || await _owners.Find(OwnerRows.Certificate(fingerprint), cancel) is not { } pointer)
        {
            return null;
        }
        var device = await GetDevice(OwnerRows.DeviceOf(pointer), cancel);
        return device?.Value.CertificateFingerprint == fingerprint ? device.Value : null;
    }

    public async Task<Versioned<Device>> ReplaceDevice(Versioned<Device> device, CancellationToken cancel = default)
    {
        var next = device.Value;
        var pointer = await _owners.Find(Rows.Device(next.Id), cancel) ?? throw new MissingException("device", next.Id);
        var before = await FindIn(OwnerRows.HubOf(pointer), next.Id, cancel) ?? throw new MissingException("device", next.Id);
        if (before.Value.Name != next.Name)
        {
            throw new ArgumentException("the name of a device cannot change", nameof(device));
        }
        if (before.Version != device.Version)
        {
            throw new StaleVersionException($"device {next.Id}");
        }
        foreach (var hubId in new[] { before.Value.HubId, next.HubId }.Distinct())
        {
            await _changes.Append(hubId, ChangedKind.Device, next.Id, cancel);
        }
        if (before.Value.HubId == next.HubId && OwnerRows.OtherHubOf(pointer) is { } left)
        {
            // A move that was interrupted after it had turned the pointer: nobody else would ever leave the other hub.
            await Leave(left, next.Id, cancel);
            pointer = await _owners.Repoint(pointer, next.HubId, null, cancel);
        }
        var renewed = next.CertificateFingerprint != before.Value.CertificateFingerprint;
        if (renewed && next.CertificateFingerprint.Length > 0)
        {
            await TakeCertificate(next, cancel);
        }
        var stored = before.Value.HubId == next.HubId
            ? await Overwrite(device, cancel)
            : await Move(before, next, pointer, cancel);
        if (renewed)
        {
            await _owners.DropCertificate(before.Value.CertificateFingerprint, next.Id, cancel);
        }
        return stored;
    }

    public async Task<bool> DeleteDevice(Guid deviceId, CancellationToken cancel = default)
    {
        var wasThere = false;
        while (await _owners.Find(Rows.Device(deviceId), cancel) is { } pointer)
        {
            var hubId = OwnerRows.HubOf(pointer);
            if (OwnerRows.OtherHubOf(pointer) is { } other)
            {
                await Leave(other, deviceId, cancel);
            }
            var device = await FindIn(hubId, deviceId, cancel);
            if (device is not null)
            {
                await _changes.Append(hubId, ChangedKind.Device, deviceId, cancel);
                try
                {
                    pointer = await _owners.NoteLeaving(pointer, device.Value.CertificateFingerprint, cancel);
                }
                catch (StaleVersionException)
                {
                    continue;
                }
            }
            // One transaction: until it is done the device is there with all it has, and after it it is gone. What is cut off behind it
            // nobody can see, and a repeat or the sweep goes on from the pointer.
            wasThere |= await Leave(hubId, deviceId, cancel);
            await _owners.DropCertificate(OwnerRows.LeavingCertificateOf(pointer), deviceId, cancel);
            if (await _owners.DropAsRead(pointer, cancel))
            {
                break;
            }
            // Moved meanwhile: follow it.
        }
        return wasThere;
    }

    public async IAsyncEnumerable<Device> DevicesOfHub(Guid hubId, [EnumeratorCancellation] CancellationToken cancel = default)
    {
        await foreach (var row in _registry.Query(Rows.StartingWith(Rows.Key(hubId), Rows.DevicePrefix), cancel: cancel))
        {
            yield return Rows.Read<Device>(row);
        }
    }

    private async Task<Versioned<Device>?> FindIn(Guid hubId, Guid deviceId, CancellationToken cancel) =>
        await _registry.Find(Rows.Key(hubId), Rows.Device(deviceId), cancel) is { } row ? ReadVersioned<Device>(row) : null;

    private Task TakeCertificate(Device device, CancellationToken cancel) => _owners.TakeCertificate(
        device.CertificateFingerprint,
        device.HubId,
        device.Id,
        async holder => (await GetDevice(holder, cancel))?.Value.CertificateFingerprint == device.CertificateFingerprint,
        cancel);

    private async Task<Versioned<Device>> Overwrite(Versioned<Device> device, CancellationToken cancel)
    {
        var row = Rows.Of(Rows.Key(device.Value.HubId), Rows.Device(device.Value.Id), device.Value);
        var replace = new TableTransactionAction(TableTransactionActionType.UpdateReplace, row, new ETag(device.Version));
        var (result, version) = await WriteDevice(device.Value.HubId, device.Value.Id, replace, cancel);
        return Replaced(result, device.Value, version, "device", device.Value.Id);
    }

    /// <summary>Adds a device, its name and one to the hub's count; a repeat of the very same call is no error.</summary>
    private async Task<ETag> Join(Device device, CancellationToken cancel)
    {
        var partition = Rows.Key(device.HubId);
        var row = Rows.Of(partition, Rows.Device(device.Id), device);
        var nameRow = new TableEntity(partition, Rows.DeviceName(device.Name)) { [Rows.DeviceId] = device.Id };
        TableTransactionAction[] rows =
            [new(TableTransactionActionType.Add, row), new(TableTransactionActionType.Add, nameRow)];
        while (true)
        {
            HubFullException? full = null;
            try
            {
                var (result, versions) =
                    await WithHub(device.HubId, hub => WithMore(hub, 1), rows, [device.Id], evenIfDeleting: false, cancel);
                if (result == Written.Done)
                {
                    return versions[0];
                }
            }
            catch (HubFullException e)
            {
                full = e;
            }
            if (await _registry.Find(partition, nameRow.RowKey, cancel) is not { } held)
            {
                if (full is not null)
                {
                    throw full;
                }
                continue;
            }
            if (OwnerRows.DeviceOf(held) != device.Id)
            {
                throw new AlreadyExistsException("device", OwnerRows.DeviceOf(held), "name");
            }
            // Ours already: the storage client repeated a transaction whose answer was lost, or a move was interrupted and is repeated.
            var replace = new TableTransactionAction(TableTransactionActionType.UpdateReplace, row, ETag.All);
            var (replaced, version) = await WriteDevice(device.HubId, device.Id, replace, cancel);
            if (replaced == Written.Done)
            {
                return version;
            }
        }
    }

    private static Hub WithMore(Hub hub, int devices) => hub.DeviceCount + devices <= Quotas.DevicesOfHub
        ? hub with { DeviceCount = hub.DeviceCount + devices }
        : throw new HubFullException(hub.Id, hub.DeviceCount);

    /// <summary>Removes a device's rows from a hub and one from its count, if they are there.</summary>
    private async Task<bool> Leave(Guid hubId, Guid deviceId, CancellationToken cancel)
    {
        var wasThere = false;
        while (!wasThere && await FindIn(hubId, deviceId, cancel) is { } device)
        {
            var partition = Rows.Key(hubId);
            TableTransactionAction[] rows =
            [
                new(TableTransactionActionType.Delete, new TableEntity(partition, Rows.Device(deviceId)), ETag.All),
                new(TableTransactionActionType.Delete, new TableEntity(partition, Rows.DeviceName(device.Value.Name)), ETag.All),
            ];
            var (result, _) = await WithHub(
                hubId, hub => hub with { DeviceCount = hub.DeviceCount - 1 }, rows, [deviceId], evenIfDeleting: true, cancel);
            wasThere = result == Written.Done;
        }
        await _activity.Delete(Rows.Key(hubId), Rows.Key(deviceId), cancel);
        return wasThere;
    }

    /// <summary>
    /// Joins the new hub, turns the pointer, leaves the old hub. The pointer names the other hub while that goes on; so whoever comes
    /// after an interruption (a repeat, another move, a deletion) knows where rows may have been left.
    /// </summary>
    private async Task<Versioned<Device>> Move(Versioned<Device> before, Device next, TableEntity pointer, CancellationToken cancel)
    {
        var (from, to) = (before.Value.HubId, next.HubId);
        if (OwnerRows.OtherHubOf(pointer) is { } left && left != to)
        {
            pointer = await _owners.Repoint(pointer, from, left, cancel);
            await Leave(left, next.Id, cancel);
        }
        pointer = await _owners.Repoint(pointer, from, to, cancel);
        var joined = await Join(next, cancel);
        try
        {
            pointer = await _owners.Repoint(pointer, to, from, cancel);
        }
        catch (StaleVersionException)
        {
            // Deleted or moved by someone else, who cannot know of the rows just written.
            var now = await _owners.Find(pointer.PartitionKey, cancel);
            if (now is null || (OwnerRows.HubOf(now) != to && OwnerRows.OtherHubOf(now) != to))
            {
                await Leave(to, next.Id, cancel);
            }
            throw;
        }
        await Leave(from, next.Id, cancel);
        await _owners.Repoint(pointer, to, null, cancel);
        return new Versioned<Device>(next, joined.ToString());
    }
}
