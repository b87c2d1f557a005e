using System.Globalization;
using Azure.Data.Tables;
using IotHub.Core.Messages;

namespace IotHub.Core.Storage.Tables;

/// <summary>
/// The event log in a table: a partition per hub and day, days and rows named by falling time, so that the newest come first. Partition
/// <c>day|{day}</c> lists the hubs that have events of a day: cleaning up looks at what is to go and at nothing else.
/// </summary>
public sealed class TableEventLog(TableServiceClient tables) : IEventLog
{
    private const string DayPrefix = "day|";
    private readonly TableClient _events = tables.GetTableClient(TableNames.Events);

    public async Task Append(Guid hubId, IReadOnlyList<LoggedEvent> happened, CancellationToken cancel = default)
    {
        foreach (var ofDay in happened.GroupBy(one => Rows.Day(one.Happened.Time)))
        {
            await _events.Put(new TableEntity(DayPrefix + ofDay.Key, Rows.Key(hubId)), cancel);
            var rows = ofDay.Select(one =>
                Rows.Of(Partition(hubId, one.Happened.Time), EventPosition.Of(one.Happened.Time, one.Id), one.Happened));
            await TableCalls.Each(rows, (row, stop) => _events.Put(row, stop), cancel);
        }
    }

    public async Task<EventPage> Newest(Guid hubId, int maximum, string? before = null, CancellationToken cancel = default)
    {
        List<string> filters = [Rows.OfHub(hubId)];
        if (before is not null)
        {
            // The rest of that day, then the days before it: two ranges that are each read in order.
            var partition = Partition(hubId, EventPosition.TimeOf(before));
            filters =
            [
                TableClient.CreateQueryFilter($"PartitionKey eq {partition} and RowKey gt {before}"),
                TableClient.CreateQueryFilter($"PartitionKey gt {partition} and PartitionKey lt {Rows.HubEnd(hubId)}"),
            ];
        }
        var newest = new List<HubEvent>();
        var last = "";
        foreach (var filter in filters)
        {
            await foreach (var row in _events.Query(filter, cancel: cancel))
            {
                if (newest.Count == maximum)
                {
                    return new EventPage(newest, last);
                }
                newest.Add(Rows.Read<HubEvent>(row));
                last = row.RowKey;
            }
        }
        return new EventPage(newest, null);
    }

    public async Task Trim(DateTimeOffset before, CancellationToken cancel = default)
    {
        var filter = TableClient.CreateQueryFilter($"PartitionKey ge {DayPrefix} and PartitionKey le {DayPrefix + Rows.Day(before)}");
        var days = new List<TableEntity>();
        await foreach (var row in _events.Query(filter, ["PartitionKey", "RowKey"], cancel))
        {
            days.Add(row);
        }
        foreach (var row in days)
        {
            var day = row.PartitionKey[DayPrefix.Length..];
            var partition = $"{row.RowKey}|{FallingDay(day)}";
            if (day == Rows.Day(before))
            {
                var old = EventPosition.Falling(before) + ".";
                await _events.DeleteAll(TableClient.CreateQueryFilter($"PartitionKey eq {partition} and RowKey gt {old}"), cancel);
                continue;
            }
            await _events.DeleteAll(Rows.OfPartition(partition), cancel);
            await _events.Delete(row.PartitionKey, row.RowKey, cancel);
        }
    }

    public Task DeleteHub(Guid hubId, CancellationToken cancel = default) => _events.DeleteAll(Rows.OfHub(hubId), cancel);

    private static string Partition(Guid hubId, DateTimeOffset at) => $"{Rows.Key(hubId)}|{FallingDay(Rows.Day(at))}";

    private static string FallingDay(string day) =>
        (99_999_999 - int.Parse(day, CultureInfo.InvariantCulture)).ToString("D8", CultureInfo.InvariantCulture);
}
