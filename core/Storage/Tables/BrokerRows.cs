using Azure.Data.Tables;
using IotHub.Core.Domain;

namespace IotHub.Core.Storage.Tables;

/// <summary>Which runs of brokers are alive: a row per broker, in partition <c>broker</c> of the activity table.</summary>
internal sealed class BrokerRows(TableClient activity, TimeProvider time)
{
    private const string Partition = "broker";
    private const string Run = "BrokerRun";
    private const string SeenAt = "SeenAt";

    /// <summary>How old the remembered answer may be: it is asked for every device that is shown.</summary>
    private static readonly TimeSpan Memory = TimeSpan.FromSeconds(5);

    private Known _known = new(DateTimeOffset.MinValue, new Dictionary<Guid, DateTimeOffset>());

    public Task Record(string name, Guid run, CancellationToken cancel) =>
        activity.Put(new TableEntity(Partition, name) { [Run] = run, [SeenAt] = time.GetUtcNow() }, cancel);

    /// <summary>Not connected when the broker that said so is gone.</summary>
    public async ValueTask<DeviceActivity> AsOfNow(DeviceActivity reported, CancellationToken cancel)
    {
        if (reported is not { IsConnected: true, BrokerRun: { } run })
        {
            return reported;
        }
        var now = time.GetUtcNow();
        var known = _known;
        if (now - known.At > Memory || now < known.At)
        {
            _known = known = new Known(now, await Read(cancel));
        }
        var isAlive = known.SeenAt.TryGetValue(run, out var seenAt) && now - seenAt <= IRegistry.BrokerSilence;
        return isAlive ? reported : reported with { IsConnected = false };
    }

    private async Task<Dictionary<Guid, DateTimeOffset>> Read(CancellationToken cancel)
    {
        var runs = new Dictionary<Guid, DateTimeOffset>();
        await foreach (var row in activity.Query(Rows.OfPartition(Partition), cancel: cancel))
        {
            if (row.GetGuid(Run) is { } run)
            {
                runs[run] = row.GetDateTimeOffset(SeenAt) ?? DateTimeOffset.UnixEpoch;
            }
        }
        return runs;
    }

    private sealed record Known(DateTimeOffset At, IReadOnlyDictionary<Guid, DateTimeOffset> SeenAt);
}
