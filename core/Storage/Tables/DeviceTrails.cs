using System.Collections.Concurrent;
using Azure;
using Azure.Data.Tables;

namespace IotHub.Core.Storage.Tables;

/// <summary>
/// Which devices of a hub changed last. Each write of a device's row is noted here in the same transaction, so two readings tell exactly
/// what changed between them, or that it cannot be told.
/// </summary>
/// <param name="Epoch">Readings of different epochs have nothing to do with each other.</param>
/// <param name="Sequence">How many changes were noted in this epoch.</param>
/// <param name="Recent">The devices of the last of them, oldest first.</param>
/// <param name="Version">Of the row; null when there is none, or when it is not known.</param>
internal sealed record DeviceTrail(Guid Epoch, long Sequence, IReadOnlyList<Guid> Recent, ETag? Version)
{
    /// <summary>Of a hub none of whose devices was ever written.</summary>
    public static readonly DeviceTrail None = new(Guid.Empty, 0, [], null);

    /// <summary>Enough for the largest import at once and many single changes; 2 KiB in every write of a device.</summary>
    private const int Kept = 128;

    /// <summary>Whoever writes this overwrites what others noted meanwhile: the only safe thing to say is that anything may have changed.</summary>
    public static DeviceTrail Broken() => new(Guid.NewGuid(), 0, [], null);

    public DeviceTrail With(IReadOnlyCollection<Guid> devices) => Version is null
        ? Broken()
        : this with { Sequence = Sequence + devices.Count, Recent = [.. Recent.Concat(devices).TakeLast(Kept)] };

    /// <summary>Does a reading that knows this one know all of the other?</summary>
    public bool Covers(DeviceTrail other) => Epoch == other.Epoch && Sequence >= other.Sequence;

    /// <summary>The devices that changed since an earlier reading; null when that cannot be told.</summary>
    public IReadOnlyList<Guid>? Since(DeviceTrail earlier)
    {
        var changes = Sequence - earlier.Sequence;
        return Epoch == earlier.Epoch && changes >= 0 && changes <= Recent.Count
            ? [.. Recent.TakeLast((int)changes).Distinct()]
            : null;
    }
}

/// <summary>The row <c>hub-trail</c> of a hub's partition. It comes after all devices, so a deletion of all rows in order takes it last.</summary>
internal sealed class DeviceTrails(TableClient registry)
{
    /// <summary>How many hubs' last readings are remembered, 2 KiB each. Who is forgotten costs one read more.</summary>
    private const int Remembered = 1_000;

    private const string Row = "hub-trail";
    private const string Epoch = "Epoch";
    private const string Sequence = "Sequence";
    private const string Recent = "Recent";
    private const int BytesOfId = 16;

    private readonly ConcurrentDictionary<Guid, DeviceTrail> _last = [];

    public async Task<DeviceTrail> Read(Guid hubId, CancellationToken cancel)
    {
        var row = await registry.Find(Rows.Key(hubId), Row, cancel);
        var trail = row is null
            ? DeviceTrail.None
            : new DeviceTrail(
                row.GetGuid(Epoch) ?? Guid.Empty, row.GetInt64(Sequence) ?? 0, Ids(row.GetBinary(Recent) ?? []), row.ETag);
        Remember(hubId, trail);
        return trail;
    }

    /// <summary>As this process last saw it, which may be out of date: a write based on it then fails.</summary>
    public ValueTask<DeviceTrail> Last(Guid hubId, CancellationToken cancel) =>
        _last.TryGetValue(hubId, out var trail) ? new(trail) : new(Read(hubId, cancel));

    public void Remember(Guid hubId, DeviceTrail trail)
    {
        if (_last.Count >= Remembered && !_last.ContainsKey(hubId))
        {
            _last.Clear();
        }
        _last[hubId] = trail;
    }

    /// <summary>Writes the trail, if it is still the one it was made from; one without a version whatever there is.</summary>
    public static TableTransactionAction Write(Guid hubId, DeviceTrail trail)
    {
        var row = new TableEntity(Rows.Key(hubId), Row)
        {
            [Epoch] = trail.Epoch,
            [Sequence] = trail.Sequence,
            [Recent] = Bytes(trail.Recent),
        };
        return trail.Version is { } version
            ? new TableTransactionAction(TableTransactionActionType.UpdateReplace, row, version)
            : new TableTransactionAction(TableTransactionActionType.UpsertReplace, row);
    }

    private static byte[] Bytes(IReadOnlyList<Guid> ids)
    {
        var bytes = new byte[ids.Count * BytesOfId];
        for (var i = 0; i < ids.Count; i++)
        {
            ids[i].TryWriteBytes(bytes.AsSpan(i * BytesOfId));
        }
        return bytes;
    }

    private static Guid[] Ids(byte[] bytes)
    {
        var ids = new Guid[bytes.Length / BytesOfId];
        for (var i = 0; i < ids.Length; i++)
        {
            ids[i] = new Guid(bytes.AsSpan(i * BytesOfId, BytesOfId));
        }
        return ids;
    }
}
