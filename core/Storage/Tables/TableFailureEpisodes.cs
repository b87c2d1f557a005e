using Azure.Data.Tables;

namespace IotHub.Core.Storage.Tables;

/// <summary>Episodes in a table: one row per failing route. Of several instances that fail at once, one begins the episode.</summary>
public sealed class TableFailureEpisodes(TableServiceClient tables) : IFailureEpisodes
{
    private const string LastFailure = "LastFailure";

    /// <summary>A newer time is written only after this: a batch per second must not be a write per second.</summary>
    private static readonly TimeSpan Coarse = TimeSpan.FromMinutes(1);

    private readonly TableClient _episodes = tables.GetTableClient(TableNames.Episodes);

    public async Task<bool> Failed(Guid hubId, Guid routeId, DateTimeOffset now, TimeSpan quiet, CancellationToken cancel = default)
    {
        var row = new TableEntity(Rows.Key(hubId), Rows.Key(routeId)) { [LastFailure] = now };
        if (await _episodes.Find(row.PartitionKey, row.RowKey, cancel) is not { } found)
        {
            return await _episodes.Insert(row, cancel) == Written.Done;
        }
        var since = now - (found.GetDateTimeOffset(LastFailure) ?? DateTimeOffset.MinValue);
        if (since <= Coarse)
        {
            return false;
        }
        var (result, _) = await _episodes.Replace(row, found.ETag, cancel);
        return result == Written.Done && since > quiet;
    }

    public Task Ended(Guid hubId, Guid routeId, CancellationToken cancel = default) =>
        _episodes.Delete(Rows.Key(hubId), Rows.Key(routeId), cancel);
}
