using System.Runtime.CompilerServices;
using Azure;
using Azure.Data.Tables;

namespace IotHub.Core.Storage.Tables;

/// <summary>What came of a conditional write.</summary>
internal enum Written { Done, Exists, Stale, Missing }

/// <summary>
/// The few calls the drivers make. Expected refusals (404, 409, 412) are values, everything else is
/// <see cref="RegistryUnavailableException"/>. A missing table is never an empty one.
/// </summary>
internal static class TableCalls
{
    /// <summary>The service's limit of one transaction.</summary>
    private const int TransactionRows = 100;

    private const int ParallelCalls = 16;

    public static Task<TableEntity?> Find(
        this TableClient table, string partition, string row, CancellationToken cancel, params string[] columns) =>
        Guard<TableEntity?>(table, async () =>
        {
            var answer = await table.GetEntityIfExistsAsync<TableEntity>(partition, row, columns.Length == 0 ? null : columns, cancel);
            return !answer.HasValue && IsMissing(answer.GetRawResponse()) ? null : answer.Value;
        }, cancel);

    public static Task<Written> Insert(this TableClient table, TableEntity entity, CancellationToken cancel) =>
        Write(table, () => table.AddEntityAsync(entity, cancel), cancel);

    public static Task Put(this TableClient table, TableEntity entity, CancellationToken cancel) =>
        Guard(table, () => table.UpsertEntityAsync(entity, TableUpdateMode.Replace, cancel), cancel);

    /// <returns>The new version when the result is <see cref="Written.Done"/>.</returns>
    public static async Task<(Written Result, ETag Version)> Replace(
        this TableClient table, TableEntity entity, ETag basedOn, CancellationToken cancel)
    {
        ETag? version = null;
        var result = await Write(table, async () =>
        {
            var response = await table.UpdateEntityAsync(entity, basedOn, TableUpdateMode.Replace, cancel);
            version = response.Headers.ETag;
            return response;
        }, cancel);
        return (result, version ?? default);
    }

    /// <summary>True when the row was there.</summary>
    public static Task<bool> Delete(this TableClient table, string partition, string row, CancellationToken cancel) =>
        Guard(table, async () => !IsMissing(await table.DeleteEntityAsync(partition, row, ETag.All, cancel)), cancel);

    /// <summary>Deletes the row only if it is still the one that was read.</summary>
    public static Task<Written> DeleteAsRead(this TableClient table, TableEntity read, CancellationToken cancel) =>
        Write(table, () => table.DeleteEntityAsync(read.PartitionKey, read.RowKey, read.ETag, cancel), cancel);

    /// <summary>All or nothing; the versions are those of the actions' rows, in order.</summary>
    public static async Task<(Written Result, IReadOnlyList<ETag> Versions)> Transact(
        this TableClient table, IReadOnlyList<TableTransactionAction> actions, CancellationToken cancel)
    {
        IReadOnlyList<ETag> versions = [];
        var result = await Write(table, async () =>
        {
            var response = await table.SubmitTransactionAsync(actions, cancel);
            versions = [.. response.Value.Select(part => part.Headers.ETag ?? default)];
            return response.GetRawResponse();
        }, cancel);
        return (result, versions);
    }

    public static async IAsyncEnumerable<TableEntity> Query(
        this TableClient table,
        string filter,
        IEnumerable<string>? columns = null,
        [EnumeratorCancellation] CancellationToken cancel = default)
    {
        await using var rows = table.QueryAsync<TableEntity>(filter, select: columns, cancellationToken: cancel).GetAsyncEnumerator(cancel);
        while (await Guard(table, () => rows.MoveNextAsync().AsTask(), cancel))
        {
            yield return rows.Current;
        }
    }

    /// <summary>Deletes what the filter finds, in transactions per partition; repeats until nothing is found, so that a row that
    /// somebody else deletes meanwhile, which fails a whole transaction, does no harm.</summary>
    public static async Task DeleteAll(this TableClient table, string filter, CancellationToken cancel)
    {
        for (var left = true; left;)
        {
            left = false;
            var batch = new List<TableTransactionAction>(TransactionRows);
            await foreach (var row in table.Query(filter, ["PartitionKey", "RowKey"], cancel))
            {
                if (batch.Count == TransactionRows || (batch.Count > 0 && batch[0].Entity.PartitionKey != row.PartitionKey))
                {
                    left |= (await table.Transact(batch, cancel)).Result != Written.Done;
                    batch.Clear();
                }
                batch.Add(new TableTransactionAction(TableTransactionActionType.Delete, row, ETag.All));
            }
            if (batch.Count > 0)
            {
                left |= (await table.Transact(batch, cancel)).Result != Written.Done;
            }
        }
    }

    /// <summary>Runs the work for each item, a bounded number at a time.</summary>
    public static Task Each<T>(IEnumerable<T> items, Func<T, CancellationToken, Task> work, CancellationToken cancel) =>
        Parallel.ForEachAsync(
            items,
            new ParallelOptions { MaxDegreeOfParallelism = ParallelCalls, CancellationToken = cancel },
            async (item, stop) => await work(item, stop));

    /// <summary>Is the row not there? A table that is not there is an error.</summary>
    private static bool IsMissing(Response response)
    {
        if (response.Status == 404 && response.Content.ToString().Contains("TableNotFound", StringComparison.Ordinal))
        {
            throw new RequestFailedException(404, "the table does not exist", "TableNotFound", null);
        }
        return response.Status == 404;
    }

    private static Task<Written> Write(TableClient table, Func<Task<Response>> call, CancellationToken cancel) =>
        Guard(table, async () =>
        {
            try
            {
                return (await call()).Status == 404 ? Written.Missing : Written.Done;
            }
            catch (RequestFailedException e) when (e.Status == 409 && e.ErrorCode == "EntityAlreadyExists")
            {
                return Written.Exists;
            }
            catch (RequestFailedException e) when (e.Status == 412)
            {
                return Written.Stale;
            }
            catch (RequestFailedException e) when (e.Status == 404 && e.ErrorCode != "TableNotFound")
            {
                return Written.Missing;
            }
        }, cancel);

    private static async Task<T> Guard<T>(TableClient table, Func<Task<T>> call, CancellationToken cancel)
    {
        try
        {
            return await call();
        }
        catch (RequestFailedException e)
        {
            throw new RegistryUnavailableException(
                $"table {table.Name} of {table.AccountName} answered {e.Status} {e.ErrorCode}".TrimEnd(), e);
        }
        catch (AggregateException e) when (cancel.IsCancellationRequested)
        {
            // Between the client's tries.
            throw new OperationCanceledException($"table {table.Name}: cancelled", e, cancel);
        }
        catch (Exception e) when (e is AggregateException or HttpRequestException or IOException
            || (e is OperationCanceledException && !cancel.IsCancellationRequested))
        {
            throw new RegistryUnavailableException($"table {table.Name} of {table.AccountName} does not answer", e);
        }
    }
}
