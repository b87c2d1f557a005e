using System.Globalization;
using Azure.Data.Tables;
using IotHub.Core.Messages;

namespace IotHub.Core.Storage.Tables;

/// <summary>The event log in a table: a partition per hub, rows named by falling time, so that the newest come first.</summary>
public sealed class TableEventLog(TableServiceClient tables) : IEventLog
{
    private readonly TableClient _events = tables.GetTableClient(TableNames.Events);

    public Task Append(Guid hubId, string id, HubEvent happened, CancellationToken cancel = default) =>
        _events.Put(Rows.Of(Rows.Key(hubId), $"{Falling(happened.Time)}-{id}", happened), cancel);

    public async Task<IReadOnlyList<HubEvent>> Newest(Guid hubId, int maximum, CancellationToken cancel = default)
    {
        var newest = new List<HubEvent>();
        if (maximum > 0)
        {
            await foreach (var row in _events.Query(Rows.OfPartition(Rows.Key(hubId)), cancel: cancel))
            {
                newest.Add(Rows.Read<HubEvent>(row));
                if (newest.Count == maximum)
                {
                    break;
                }
            }
        }
        return newest;
    }

    /// <summary>The one place that looks through all partitions: once a day, by key only.</summary>
    public Task Trim(DateTimeOffset before, CancellationToken cancel = default) =>
        _events.DeleteAll(TableClient.CreateQueryFilter($"RowKey gt {Falling(before) + "."}"), cancel);

    private static string Falling(DateTimeOffset at) =>
        (DateTimeOffset.MaxValue.UtcTicks - at.UtcTicks).ToString("D19", CultureInfo.InvariantCulture);
}
