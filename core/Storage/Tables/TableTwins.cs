using System.Globalization;
using Azure;
using Azure.Data.Tables;
using IotHub.Core.Domain;

namespace IotHub.Core.Storage.Tables;

/// <summary>
/// Twin documents in a table: a partition per twin, so that a document changes in one transaction. Its data is cut into binary columns of
/// row <c>document:{name}</c>; what does not fit a row (1 MiB in all) goes on in row <c>more:{name}</c>. Both carry the stamp of their write,
/// so that a reader between two writes sees that the halves do not belong together.
/// </summary>
/// <remarks>Partition <c>hub:{id}</c> lists the twins of a hub, written before their first document.</remarks>
public sealed class TableTwins(TableServiceClient tables) : ITwins
{
    private const string DocumentPrefix = "document:";
    private const string MorePrefix = "more:";
    private const string Version = "Version";
    private const string Bytes = "Bytes";
    private const string Stamp = "Stamp";
    private const int ColumnBytes = 64 * 1024;
    private const int RowBytes = 8 * ColumnBytes;
    private const int ReadAttempts = 20;

    private readonly TableClient _twins = tables.GetTableClient(TableNames.Twins);

    public async Task<IReadOnlyList<string>> Names(Guid twinId, CancellationToken cancel = default)
    {
        var names = new List<string>();
        await foreach (var row in _twins.Query(Rows.StartingWith(Rows.Key(twinId), DocumentPrefix), ["RowKey"], cancel))
        {
            names.Add(row.RowKey[DocumentPrefix.Length..]);
        }
        return names;
    }

    public async Task<Versioned<TwinDocument>?> Get(Guid twinId, string name, CancellationToken cancel = default)
    {
        for (var attempt = 1; attempt <= ReadAttempts; attempt++)
        {
            if (await _twins.Find(Rows.Key(twinId), DocumentPrefix + name, cancel) is not { } row)
            {
                return null;
            }
            var data = new byte[row.GetInt32(Bytes) ?? 0];
            Gather(row, data.AsSpan(0, Math.Min(data.Length, RowBytes)));
            if (data.Length > RowBytes)
            {
                var more = await _twins.Find(Rows.Key(twinId), MorePrefix + name, cancel);
                if (more?.GetGuid(Stamp) != row.GetGuid(Stamp))
                {
                    continue;
                }
                Gather(more!, data.AsSpan(RowBytes));
            }
            var document = new TwinDocument(twinId, name, (uint)(row.GetInt64(Version) ?? 0), TwinRules.Parse(data));
            return new Versioned<TwinDocument>(document, string.Create(CultureInfo.InvariantCulture, $"{data.Length} {row.ETag}"));
        }
        throw new StaleVersionException($"document {name} of twin {twinId}");
    }

    public async Task Create(Guid hubId, TwinDocument document, CancellationToken cancel = default)
    {
        await _twins.Put(new TableEntity(OfHubKey(hubId), Rows.Key(document.TwinId)), cancel);
        var (row, more) = RowsOf(document);
        List<TableTransactionAction> writes = [new(TableTransactionActionType.Add, row)];
        if (more is not null)
        {
            writes.Add(new(TableTransactionActionType.UpsertReplace, more));
        }
        if (await Write(writes, cancel) == Written.Exists)
        {
            throw new AlreadyExistsException("twin_document", document.TwinId, "name");
        }
    }

    public async Task Replace(Versioned<TwinDocument> document, CancellationToken cancel = default)
    {
        var space = document.Version.IndexOf(' ', StringComparison.Ordinal);
        var hadMore = int.Parse(document.Version.AsSpan(0, space), CultureInfo.InvariantCulture) > RowBytes;
        var (row, more) = RowsOf(document.Value);
        List<TableTransactionAction> writes =
            [new(TableTransactionActionType.UpdateReplace, row, new ETag(document.Version[(space + 1)..]))];
        if (more is not null)
        {
            writes.Add(new(TableTransactionActionType.UpsertReplace, more));
        }
        else if (hadMore)
        {
            var old = new TableEntity(row.PartitionKey, MorePrefix + document.Value.Name);
            writes.Add(new(TableTransactionActionType.Delete, old, ETag.All));
        }
        if (await Write(writes, cancel) != Written.Done)
        {
            throw new StaleVersionException($"document {document.Value.Name} of twin {document.Value.TwinId}");
        }
    }

    public async Task<bool> Delete(Guid twinId, string name, CancellationToken cancel = default)
    {
        // The second row last: alone it is never read, and the next document of this name replaces it.
        var wasThere = await _twins.Delete(Rows.Key(twinId), DocumentPrefix + name, cancel);
        if (await _twins.Find(Rows.Key(twinId), MorePrefix + name, cancel, "PartitionKey", "RowKey") is { } more
            && await _twins.Find(Rows.Key(twinId), DocumentPrefix + name, cancel, "RowKey") is null)
        {
            await _twins.DeleteAsRead(more, cancel);
        }
        return wasThere;
    }

    public Task DeleteAll(Guid twinId, CancellationToken cancel = default) =>
        _twins.DeleteAll(Rows.OfPartition(Rows.Key(twinId)), cancel);

    public async Task<IReadOnlyList<Guid>> OfHub(Guid hubId, CancellationToken cancel = default)
    {
        var twins = new List<Guid>();
        await foreach (var row in _twins.Query(Rows.OfPartition(OfHubKey(hubId)), ["RowKey"], cancel))
        {
            twins.Add(Guid.Parse(row.RowKey));
        }
        return twins;
    }

    public async Task Moved(Guid twinId, Guid from, Guid? to, CancellationToken cancel = default)
    {
        if (to is { } hubId && await _twins.Find(OfHubKey(from), Rows.Key(twinId), cancel) is not null)
        {
            await _twins.Put(new TableEntity(OfHubKey(hubId), Rows.Key(twinId)), cancel);
        }
        await _twins.Delete(OfHubKey(from), Rows.Key(twinId), cancel);
    }

    private static string OfHubKey(Guid hubId) => "hub:" + Rows.Key(hubId);

    private async Task<Written> Write(List<TableTransactionAction> writes, CancellationToken cancel) => writes.Count == 1
        ? writes[0].ActionType == TableTransactionActionType.Add
            ? await _twins.Insert((TableEntity)writes[0].Entity, cancel)
            : (await _twins.Replace((TableEntity)writes[0].Entity, writes[0].ETag, cancel)).Result
        : (await _twins.Transact(writes, cancel)).Result;

    private static (TableEntity Row, TableEntity? More) RowsOf(TwinDocument document)
    {
        var data = TwinRules.Write(document.Data);
        if (data.Length > TwinRules.MaximumBytes)
        {
            throw new ArgumentException($"a document of {data.Length} bytes is too large to be stored", nameof(document));
        }
        var partition = Rows.Key(document.TwinId);
        var row = new TableEntity(partition, DocumentPrefix + document.Name) { [Version] = (long)document.Version, [Bytes] = data.Length };
        Scatter(data.AsSpan(0, Math.Min(data.Length, RowBytes)), row);
        if (data.Length <= RowBytes)
        {
            return (row, null);
        }
        var stamp = Guid.NewGuid();
        row[Stamp] = stamp;
        var more = new TableEntity(partition, MorePrefix + document.Name) { [Stamp] = stamp };
        Scatter(data.AsSpan(RowBytes), more);
        return (row, more);
    }

    private static void Scatter(ReadOnlySpan<byte> data, TableEntity row)
    {
        for (var number = 0; number * ColumnBytes < data.Length; number++)
        {
            var part = data[(number * ColumnBytes)..];
            row[Column(number)] = part[..Math.Min(part.Length, ColumnBytes)].ToArray();
        }
    }

    private static void Gather(TableEntity row, Span<byte> data)
    {
        for (var number = 0; number * ColumnBytes < data.Length; number++)
        {
            row.GetBinary(Column(number)).CopyTo(data[(number * ColumnBytes)..]);
        }
    }

    private static string Column(int number) => "Data" + number.ToString(CultureInfo.InvariantCulture);
}
