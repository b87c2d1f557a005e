using System.Runtime.CompilerServices;
using Azure.Data.Tables;
using IotHub.Core.Domain;

namespace IotHub.Core.Storage.Tables;

/// <summary>API keys in a table: the key's row stands under the hash of its secret, two indexes lead there.</summary>
public sealed class TableApiKeys(TableServiceClient tables) : IApiKeys
{
    private const string KeyRow = "key";
    private const string SecretHash = "SecretHash";
    private const string OrganizationId = "OrganizationId";
    private readonly TableClient _keys = tables.GetTableClient(TableNames.Keys);

    public async Task Create(ApiKey key, CancellationToken cancel = default)
    {
        var index = new TableEntity(Access(key.AccessKey), KeyRow)
        {
            [SecretHash] = key.SecretHash,
            [OrganizationId] = key.OrganizationId,
        };
        if (await _keys.Insert(index, cancel) != Written.Done)
        {
            throw new AlreadyExistsException("api_key", Guid.Empty, "access key");
        }
        await _keys.Put(new TableEntity(Organization(key.OrganizationId), key.AccessKey) { [SecretHash] = key.SecretHash }, cancel);
        if (await _keys.Insert(Rows.Of(key.SecretHash, KeyRow, key), cancel) != Written.Done)
        {
            throw new AlreadyExistsException("api_key", Guid.Empty, "secret");
        }
    }

    public async Task<ApiKey?> FindBySecretHash(string secretHash, CancellationToken cancel = default) =>
        await _keys.Find(secretHash, KeyRow, cancel) is { } row ? Rows.Read<ApiKey>(row) : null;

    public IAsyncEnumerable<ApiKey> All(CancellationToken cancel = default) => Indexed(
        TableClient.CreateQueryFilter($"PartitionKey ge {Access("")} and PartitionKey lt {"access;"}"), cancel);

    public IAsyncEnumerable<ApiKey> OfOrganization(Guid organizationId, CancellationToken cancel = default) =>
        Indexed(Rows.OfPartition(Organization(organizationId)), cancel);

    public async Task<bool> Delete(string accessKey, CancellationToken cancel = default)
    {
        if (await _keys.Find(Access(accessKey), KeyRow, cancel) is not { } index)
        {
            return false;
        }
        // The key itself first: from here on it opens nothing, whatever happens to the indexes.
        var wasThere = await _keys.Delete(index.GetString(SecretHash), KeyRow, cancel);
        await _keys.Delete(Organization(index.GetGuid(OrganizationId) ?? Guid.Empty), accessKey, cancel);
        await _keys.Delete(Access(accessKey), KeyRow, cancel);
        return wasThere;
    }

    private async IAsyncEnumerable<ApiKey> Indexed(string filter, [EnumeratorCancellation] CancellationToken cancel)
    {
        await foreach (var row in _keys.Query(filter, cancel: cancel))
        {
            if (row.GetString(SecretHash) is { } hash && await FindBySecretHash(hash, cancel) is { } key)
            {
                yield return key;
            }
        }
    }

    private static string Access(string accessKey) => "access:" + accessKey;

    private static string Organization(Guid id) => "organization:" + Rows.Key(id);
}
