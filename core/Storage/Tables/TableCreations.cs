using Azure.Data.Tables;

namespace IotHub.Core.Storage.Tables;

/// <summary>Creations in a table, one partition each.</summary>
public sealed class TableCreations(TableServiceClient tables) : ICreations
{
    private const string Row = "creation";
    private const string At = "At";
    private readonly TableClient _creations = tables.GetTableClient(TableNames.Creations);

    public async Task<Creation?> Find(string key, CancellationToken cancel = default) =>
        await _creations.Find(key, Row, cancel) is { } row ? Rows.Read<Creation>(row) : null;

    public async Task<Creation> Begin(Creation creation, DateTimeOffset forgetBefore, CancellationToken cancel = default)
    {
        var row = RowOf(creation);
        while (await _creations.Insert(row, cancel) != Written.Done)
        {
            if (await _creations.Find(creation.Key, Row, cancel) is not { } held)
            {
                continue;
            }
            var stored = Rows.Read<Creation>(held);
            if (stored.At >= forgetBefore)
            {
                return stored;
            }
            if ((await _creations.Replace(row, held.ETag, cancel)).Result == Written.Done)
            {
                break;
            }
        }
        return creation;
    }

    public Task Finish(Creation creation, CancellationToken cancel = default) =>
        _creations.Put(RowOf(creation with { IsDone = true }), cancel);

    public async Task Trim(DateTimeOffset before, CancellationToken cancel = default)
    {
        var filter = TableClient.CreateQueryFilter($"At lt {before}");
        await foreach (var row in _creations.Query(filter, ["PartitionKey", "RowKey"], cancel))
        {
            // As it was read: a new one may have taken its place.
            await _creations.DeleteAsRead(row, cancel);
        }
    }

    private static TableEntity RowOf(Creation creation)
    {
        var row = Rows.Of(creation.Key, Row, creation);
        row[At] = creation.At.ToUniversalTime();
        return row;
    }
}
