using Azure.Data.Tables;
using IotHub.Core.Domain;

namespace IotHub.Core.Storage.Tables;

/// <content>Many devices at once.</content>
public sealed partial class TableRegistry
{
    /// <summary>Pointers go first, as for one device; the changes tell whoever sweeps up which pointers a dead writer may have left.</summary>
    public async Task<bool> CreateDevices(Guid hubId, IReadOnlyList<Device> devices, CancellationToken cancel = default)
    {
        await _changes.AppendAll(hubId, ChangedKind.NewDevice, [.. devices.Select(device => device.Id)], cancel);
        await TableCalls.Each(devices, (device, stop) => _owners.Put(Rows.Device(device.Id), hubId, stop), cancel);
        try
        {
            await TableCalls.Each(
                devices.Where(device => device.CertificateFingerprint.Length > 0), (device, stop) => TakeCertificate(device, stop), cancel);
            if (await JoinAll(hubId, devices, cancel) == Written.Done)
            {
                return true;
            }
        }
        catch (AlreadyExistsException)
        {
            // A certificate is taken: none of them was stored.
        }
        catch (Exception e) when (e is MissingException or HubFullException)
        {
            await LetGo(devices, cancel);
            throw;
        }
        await LetGo(devices, cancel);
        return false;
    }

    private async Task<Written> JoinAll(Guid hubId, IReadOnlyList<Device> devices, CancellationToken cancel)
    {
        var partition = Rows.Key(hubId);
        var rows = devices.SelectMany(device => new TableTransactionAction[]
        {
            new(TableTransactionActionType.Add, Rows.Of(partition, Rows.Device(device.Id), device)),
            new(
                TableTransactionActionType.Add,
                new TableEntity(partition, Rows.DeviceName(device.Name)) { [Rows.DeviceId] = device.Id }),
        }).ToList();
        var (result, _) = await WithHub(
            hubId, hub => WithMore(hub, devices.Count), rows, [.. devices.Select(device => device.Id)], evenIfDeleting: false, cancel);
        // The storage client repeats a transaction whose answer was lost, and finds its own rows then.
        return result == Written.Exists && await FindIn(hubId, devices[0].Id, cancel) is not null ? Written.Done : result;
    }

    private Task LetGo(IReadOnlyList<Device> devices, CancellationToken cancel) => TableCalls.Each(devices, async (device, stop) =>
    {
        await _owners.DropCertificate(device.CertificateFingerprint, device.Id, stop);
        await _owners.Drop(Rows.Device(device.Id), stop);
    }, cancel);
}
