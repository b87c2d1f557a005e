using System.Globalization;
using Azure.Data.Tables;

namespace IotHub.Core.Storage.Tables;

/// <summary>
/// The change feed in a table: a partition per hour (UTC), rows in the order of their time. Ticks order rows across partitions too,
/// so one range query reads on from any point.
/// </summary>
public sealed class TableChangeFeed(TableServiceClient tables, TimeProvider time) : IChangeFeed
{
    private const string Kind = "Kind";
    private const string Id = "Id";
    private readonly TableClient _changes = tables.GetTableClient(TableNames.Changes);

    public Task Append(Guid hubId, ChangedKind kind, Guid id, CancellationToken cancel = default) =>
        _changes.Put(Row(time.GetUtcNow(), hubId, kind, id), cancel);

    /// <summary>One call for all: rows of one moment are of one partition.</summary>
    public Task AppendAll(Guid hubId, ChangedKind kind, IReadOnlyList<Guid> ids, CancellationToken cancel = default)
    {
        var now = time.GetUtcNow();
        return ids.Count == 0 ? Task.CompletedTask : _changes.Transact(
            [.. ids.Select(id => new TableTransactionAction(TableTransactionActionType.UpsertReplace, Row(now, hubId, kind, id)))], cancel);
    }

    public Task<IReadOnlyList<RegistryChange>> ReadSince(DateTimeOffset since, CancellationToken cancel = default)
    {
        var first = since.UtcTicks.ToString("D19", CultureInfo.InvariantCulture);
        return Read(TableClient.CreateQueryFilter($"PartitionKey ge {Rows.Hour(since)} and RowKey ge {first}"), cancel);
    }

    public Task<IReadOnlyList<RegistryChange>> ReadHours(DateTimeOffset from, DateTimeOffset until, CancellationToken cancel = default) =>
        Read(TableClient.CreateQueryFilter($"PartitionKey ge {Rows.Hour(from)} and PartitionKey lt {Rows.Hour(until)}"), cancel);

    public Task Trim(DateTimeOffset before, CancellationToken cancel = default) =>
        _changes.DeleteAll(TableClient.CreateQueryFilter($"PartitionKey lt {Rows.Hour(before)}"), cancel);

    private static TableEntity Row(DateTimeOffset at, Guid hubId, ChangedKind kind, Guid id) =>
        new(Rows.Hour(at), string.Create(CultureInfo.InvariantCulture, $"{at.UtcTicks:D19}-{Guid.NewGuid():D}"))
        {
            [Rows.HubId] = hubId,
            [Kind] = kind.ToString(),
            [Id] = id,
        };

    private async Task<IReadOnlyList<RegistryChange>> Read(string filter, CancellationToken cancel)
    {
        var found = new List<RegistryChange>();
        await foreach (var row in _changes.Query(filter, cancel: cancel))
        {
            // A kind that a newer program writes is still a reason to look at its hub.
            var kind = Enum.TryParse<ChangedKind>(row.GetString(Kind), out var known) ? known : ChangedKind.Hub;
            var hubId = row.GetGuid(Rows.HubId) ?? Guid.Empty;
            var at = new DateTimeOffset(long.Parse(row.RowKey.AsSpan(0, 19), CultureInfo.InvariantCulture), TimeSpan.Zero);
            found.Add(new RegistryChange(row.RowKey, at, hubId, kind, row.GetGuid(Id) ?? hubId));
        }
        return found;
    }
}
