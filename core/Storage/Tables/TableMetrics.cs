using System.Globalization;
using System.Runtime.CompilerServices;
using Azure;
using Azure.Data.Tables;
using IotHub.Core.Domain;
using IotHub.Core.Messages;

namespace IotHub.Core.Storage.Tables;

/// <summary>
/// Metrics in a table: a partition per hub and span, a row per device and one for the hub, a column per slot. Writes merge columns in
/// transactions of a hundred rows and read nothing. A minute that several brokers counted has a column of each.
/// </summary>
/// <remarks>
/// Two indexes: <c>rollup|{hour}</c> lists the hubs of which an hour has to be rolled up, <c>expire|{day}</c> the partitions to be dropped
/// on that day. Neither roll-up nor clean-up looks at what is merely kept.
/// </remarks>
public sealed class TableMetrics(TableServiceClient tables) : IMetrics
{
    private const string HubRow = "hub";
    private const string RollUpPrefix = "rollup|";
    private const string ExpirePrefix = "expire|";
    private const int RowsAtOnce = 100;
    private static readonly MetricSpan[] Spans = Enum.GetValues<MetricSpan>();

    private readonly TableClient _metrics = tables.GetTableClient(TableNames.Metrics);

    public async Task Record(MetricsEnvelope counted, CancellationToken cancel = default)
    {
        var partition = Partition(counted.HubId, MetricSpan.Hour, counted.Minute);
        // The mark first: what is marked for nothing is rolled up for nothing.
        await _metrics.Put(new TableEntity(RollUpPrefix + Rows.Hour(counted.Minute), Rows.Key(counted.HubId)), cancel);
        var slot = MetricTimes.SlotOf(MetricSpan.Hour, counted.Minute);
        var rows = counted.Devices.Select(device => new TableEntity(partition, Rows.Key(device.Id))
        {
            [Column(slot, counted.Source)] = Value(new MetricValue(device.Messages, 1)),
        });
        if (counted.Hub is { } hub)
        {
            rows = rows.Append(new TableEntity(partition, HubRow)
            {
                [Column(slot, counted.Source)] = Value(new MetricValue(hub.Messages, hub.Active)),
                // Of a run the latest counts. One that was late shows too few until the next minute, or the roll-up, which counts anew.
                [Column(MetricTimes.HourSoFar, counted.Source)] = Value(new MetricValue(0, hub.ActiveInHour)),
            });
        }
        await Merge(rows, cancel);
    }

    public async Task<MetricRow> Read(Guid hubId, Guid? deviceId, MetricSpan span, DateTimeOffset start, CancellationToken cancel = default) =>
        await _metrics.Find(Partition(hubId, span, start), RowKey(deviceId), cancel) is { } row
            ? RowOf(row)
            : new MetricRow(deviceId, new Dictionary<int, MetricValue>());

    public async IAsyncEnumerable<MetricRow> Devices(
        Guid hubId, MetricSpan span, DateTimeOffset start, [EnumeratorCancellation] CancellationToken cancel = default)
    {
        await foreach (var row in _metrics.Query(Rows.OfPartition(Partition(hubId, span, start)), cancel: cancel))
        {
            if (row.RowKey != HubRow)
            {
                yield return RowOf(row);
            }
        }
    }

    public async Task Write(
        Guid hubId, MetricSpan span, DateTimeOffset start, IReadOnlyList<MetricRow> rows, CancellationToken cancel = default)
    {
        var partition = Partition(hubId, span, start);
        var expires = MetricTimes.StartOf(span, start) + MetricTimes.KeptFor(span);
        await _metrics.Put(new TableEntity(ExpirePrefix + Rows.Day(expires), partition), cancel);
        await Merge(rows.Select(row => Entity(partition, row)), cancel);
    }

    public async Task<IReadOnlyList<MetricHour>> ToRollUp(DateTimeOffset now, CancellationToken cancel = default)
    {
        var filter = TableClient.CreateQueryFilter($"PartitionKey ge {RollUpPrefix} and PartitionKey lt {RollUpPrefix + Rows.Hour(now)}");
        var hours = new List<MetricHour>();
        await foreach (var row in _metrics.Query(filter, cancel: cancel))
        {
            var hour = DateTimeOffset.ParseExact(
                row.PartitionKey.AsSpan(RollUpPrefix.Length), "yyyyMMddHH", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal);
            hours.Add(new MetricHour(Guid.Parse(row.RowKey), hour, row.ETag.ToString()));
        }
        return hours;
    }

    public async Task RolledUp(MetricHour hour, CancellationToken cancel = default)
    {
        var start = MetricTimes.StartOf(MetricSpan.Hour, hour.Hour);
        await _metrics.Put(
            new TableEntity(ExpirePrefix + Rows.Day(start + MetricTimes.KeptFor(MetricSpan.Hour)), Partition(hour.HubId, MetricSpan.Hour, start)),
            cancel);
        var mark = new TableEntity(RollUpPrefix + Rows.Hour(hour.Hour), Rows.Key(hour.HubId)) { ETag = new ETag(hour.Version) };
        await _metrics.DeleteAsRead(mark, cancel);
    }

    public async Task Trim(DateTimeOffset now, CancellationToken cancel = default)
    {
        var filter = TableClient.CreateQueryFilter($"PartitionKey ge {ExpirePrefix} and PartitionKey lt {ExpirePrefix + Rows.Day(now)}");
        var due = new List<TableEntity>();
        await foreach (var row in _metrics.Query(filter, cancel: cancel))
        {
            due.Add(row);
        }
        foreach (var row in due)
        {
            await _metrics.DeleteAll(Rows.OfPartition(row.RowKey), cancel);
            await _metrics.Delete(row.PartitionKey, row.RowKey, cancel);
        }
    }

    public Task DeleteDevice(Guid hubId, Guid deviceId, DateTimeOffset now, CancellationToken cancel = default) => TableCalls.Each(
        Spans.SelectMany(span => Kept(span, now).Select(start => Partition(hubId, span, start))),
        (partition, stop) => _metrics.Delete(partition, Rows.Key(deviceId), stop),
        cancel);

    public Task DeleteHub(Guid hubId, CancellationToken cancel = default) => _metrics.DeleteAll(Rows.OfHub(hubId), cancel);

    /// <summary>The starts of all rows of that span that are kept.</summary>
    private static IEnumerable<DateTimeOffset> Kept(MetricSpan span, DateTimeOffset now)
    {
        for (var start = MetricTimes.StartOf(span, now); start > now - MetricTimes.KeptFor(span) - TimeSpan.FromDays(1);)
        {
            yield return start;
            start = MetricTimes.StartOf(span, start.AddTicks(-1));
        }
    }

    private Task Merge(IEnumerable<TableEntity> rows, CancellationToken cancel) => TableCalls.Each(
        rows.Chunk(RowsAtOnce),
        (some, stop) => _metrics.Transact(
            [.. some.Select(row => new TableTransactionAction(TableTransactionActionType.UpsertMerge, row))], stop),
        cancel);

    private static TableEntity Entity(string partition, MetricRow row)
    {
        var entity = new TableEntity(partition, RowKey(row.DeviceId));
        foreach (var (slot, value) in row.Slots)
        {
            entity[Column(slot, "")] = Value(value);
        }
        return entity;
    }

    private static MetricRow RowOf(TableEntity entity)
    {
        var slots = new Dictionary<int, MetricValue>();
        foreach (var (name, stored) in entity)
        {
            if (name.Length < 3 || name[0] != 'S' || stored is not string text
                || !int.TryParse(name.AsSpan(1, 2), NumberStyles.None, CultureInfo.InvariantCulture, out var slot))
            {
                continue;
            }
            var slash = text.IndexOf('/', StringComparison.Ordinal);
            var value = new MetricValue(
                long.Parse(text.AsSpan(0, slash), CultureInfo.InvariantCulture), long.Parse(text.AsSpan(slash + 1), CultureInfo.InvariantCulture));
            var isDevice = entity.RowKey != HubRow;
            slots[slot] = slots.TryGetValue(slot, out var other) ? MetricSums.Join(slot, isDevice, other, value) : value;
        }
        return new MetricRow(entity.RowKey == HubRow ? null : Guid.Parse(entity.RowKey), slots);
    }

    private static string Partition(Guid hubId, MetricSpan span, DateTimeOffset at)
    {
        var start = MetricTimes.StartOf(span, at);
        return span switch
        {
            MetricSpan.Hour => $"{Rows.Key(hubId)}|h|{Rows.Hour(start)}",
            MetricSpan.Day => $"{Rows.Key(hubId)}|d|{Rows.Day(start)}",
            MetricSpan.Month => $"{Rows.Key(hubId)}|m|{start.ToString("yyyyMM", CultureInfo.InvariantCulture)}",
            _ => $"{Rows.Key(hubId)}|y|{start.ToString("yyyy", CultureInfo.InvariantCulture)}",
        };
    }

    private static string RowKey(Guid? deviceId) => deviceId is { } id ? Rows.Key(id) : HubRow;

    private static string Column(int slot, string source) => $"S{slot:D2}{source}";

    private static string Value(MetricValue value) => string.Create(CultureInfo.InvariantCulture, $"{value.Messages}/{value.Active}");
}
