using Azure.Data.Tables;

namespace IotHub.Core.Storage.Tables;

/// <summary>
/// Pointer rows: from the id of a thing, or the fingerprint of a certificate or authority, to the hub it belongs to. A pointer is
/// written before the thing and removed after it, so it may point at nothing: who follows it checks the thing.
/// </summary>
internal sealed class OwnerRows(TableClient owners, TimeProvider time)
{
    public const string OtherHubId = "OtherHubId";

    /// <summary>Of a device that is about to be deleted: which certificate to let go of when its row is gone.</summary>
    private const string LeavingCertificate = "LeavingCertificate";

    private const string Row = "owner";

    /// <summary>
    /// How long a certificate's pointer that points at nothing is respected: its writer may be about to write the device. Far longer
    /// than a write takes, far shorter than anyone waits to use a certificate again that a crashed writer left behind.
    /// </summary>
    private static readonly TimeSpan Respite = TimeSpan.FromMinutes(1);

    public static string Certificate(string fingerprint) => "cert:" + fingerprint;

    public static string Authority(string fingerprint) => "ca:" + fingerprint;

    public static Guid HubOf(TableEntity pointer) => pointer.GetGuid(Rows.HubId) ?? Guid.Empty;
    public static Guid? OtherHubOf(TableEntity pointer) => pointer.GetGuid(OtherHubId);
    public static string LeavingCertificateOf(TableEntity pointer) => pointer.GetString(LeavingCertificate) ?? "";
    public static Guid DeviceOf(TableEntity pointer) => pointer.GetGuid(Rows.DeviceId) ?? Guid.Empty;

    public Task<TableEntity?> Find(string key, CancellationToken cancel) => owners.Find(key, Row, cancel);

    public async Task<Guid?> FindHub(string key, CancellationToken cancel) =>
        await owners.Find(key, Row, cancel) is { } pointer ? HubOf(pointer) : null;

    /// <summary>
    /// Writes a new thing's pointer. What an earlier attempt left behind is overwritten; a thing that is there is an error.
    /// </summary>
    /// <exception cref="AlreadyExistsException">The thing is there.</exception>
    public async Task Point(string key, Guid hubId, string resource, Guid id, Func<Task<bool>> isThere, CancellationToken cancel)
    {
        var pointer = new TableEntity(key, Row) { [Rows.HubId] = hubId };
        if (await owners.Insert(pointer, cancel) == Written.Done)
        {
            return;
        }
        if (await isThere())
        {
            throw new AlreadyExistsException(resource, id, "id");
        }
        await owners.Put(pointer, cancel);
    }

    /// <summary>Writes the pointer of a new thing whose id nobody can have used before.</summary>
    public Task Put(string key, Guid hubId, CancellationToken cancel) =>
        owners.Put(new TableEntity(key, Row) { [Rows.HubId] = hubId }, cancel);

    /// <summary>Rewrites a pointer if it is still as it was read; the new one is returned for the next step.</summary>
    /// <exception cref="StaleVersionException">Somebody else moved it.</exception>
    public Task<TableEntity> Repoint(TableEntity read, Guid hubId, Guid? otherHubId, CancellationToken cancel) =>
        Rewrite(read, Pointer(read.PartitionKey, hubId, otherHubId), cancel);

    /// <summary>Notes on a device's pointer which certificate it leaves behind; the same rules as for <see cref="Repoint"/>.</summary>
    public Task<TableEntity> NoteLeaving(TableEntity read, string fingerprint, CancellationToken cancel)
    {
        if (fingerprint == LeavingCertificateOf(read))
        {
            return Task.FromResult(read);
        }
        var next = Pointer(read.PartitionKey, HubOf(read), OtherHubOf(read));
        next[LeavingCertificate] = fingerprint;
        return Rewrite(read, next, cancel);
    }

    private static TableEntity Pointer(string key, Guid hubId, Guid? otherHubId)
    {
        var pointer = new TableEntity(key, Row) { [Rows.HubId] = hubId };
        if (otherHubId is { } other)
        {
            pointer[OtherHubId] = other;
        }
        return pointer;
    }

    private async Task<TableEntity> Rewrite(TableEntity read, TableEntity next, CancellationToken cancel)
    {
        var (result, version) = await owners.Replace(next, read.ETag, cancel);
        if (result != Written.Done)
        {
            throw new StaleVersionException(read.PartitionKey);
        }
        next.ETag = version;
        return next;
    }

    public Task<bool> Drop(string key, CancellationToken cancel) => owners.Delete(key, Row, cancel);

    public async Task<bool> DropAsRead(TableEntity pointer, CancellationToken cancel) =>
        await owners.DeleteAsRead(pointer, cancel) != Written.Stale;

    /// <summary>Drops the pointer unless it points elsewhere by now.</summary>
    public async Task DropIf(string key, Func<TableEntity, bool> isOurs, CancellationToken cancel)
    {
        if (await owners.Find(key, Row, cancel) is { } pointer && isOurs(pointer))
        {
            await owners.DeleteAsRead(pointer, cancel);
        }
    }

    /// <summary>Takes a certificate for a device.</summary>
    /// <param name="isHeld">Does this device really have that certificate?</param>
    /// <exception cref="AlreadyExistsException">Another device holds it, or is about to.</exception>
    public Task TakeCertificate(
        string fingerprint, Guid hubId, Guid deviceId, Func<Guid, Task<bool>> isHeld, CancellationToken cancel)
    {
        var wanted = new TableEntity(Certificate(fingerprint), Row) { [Rows.HubId] = hubId, [Rows.DeviceId] = deviceId };
        return Take(wanted, DeviceOf, "device", "certificate", isHeld, cancel);
    }

    /// <summary>Takes a customer's certificate authority for a hub.</summary>
    /// <param name="isHeld">Does this hub really have that authority?</param>
    /// <exception cref="AlreadyExistsException">Another hub holds it, or is about to.</exception>
    public Task TakeAuthority(string fingerprint, Guid hubId, Func<Guid, Task<bool>> isHeld, CancellationToken cancel)
    {
        var wanted = new TableEntity(Authority(fingerprint), Row) { [Rows.HubId] = hubId };
        return Take(wanted, HubOf, "hub", "certificate authority", isHeld, cancel);
    }

    private async Task Take(
        TableEntity wanted, Func<TableEntity, Guid> holderOf, string resource, string what, Func<Guid, Task<bool>> isHeld,
        CancellationToken cancel)
    {
        var (taker, hubId) = (holderOf(wanted), HubOf(wanted));
        while (await owners.Insert(wanted, cancel) != Written.Done)
        {
            if (await owners.Find(wanted.PartitionKey, Row, cancel) is not { } held)
            {
                continue;
            }
            var holder = holderOf(held);
            if (holder == taker && HubOf(held) == hubId)
            {
                return;
            }
            var isFresh = time.GetUtcNow() - (held.Timestamp ?? DateTimeOffset.MinValue) < Respite;
            if (holder != taker && (isFresh || await isHeld(holder)))
            {
                throw new AlreadyExistsException(resource, holder, what);
            }
            if ((await owners.Replace(wanted, held.ETag, cancel)).Result == Written.Done)
            {
                return;
            }
        }
    }

    /// <summary>Lets go of a customer's authority, if there is one and it is still this hub's.</summary>
    public Task DropAuthority(string fingerprint, Guid hubId, CancellationToken cancel) => fingerprint.Length == 0
        ? Task.CompletedTask
        : DropIf(Authority(fingerprint), pointer => HubOf(pointer) == hubId, cancel);

    /// <summary>Lets go of a certificate, if there is one and it is still this device's.</summary>
    public Task DropCertificate(string fingerprint, Guid deviceId, CancellationToken cancel) => fingerprint.Length == 0
        ? Task.CompletedTask
        : DropIf(Certificate(fingerprint), pointer => DeviceOf(pointer) == deviceId, cancel);
}
