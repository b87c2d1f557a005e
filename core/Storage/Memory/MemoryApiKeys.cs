using System.Runtime.CompilerServices;
using IotHub.Core.Domain;

namespace IotHub.Core.Storage.Memory;

/// <summary>API keys of one process.</summary>
public sealed class MemoryApiKeys : IApiKeys
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, ApiKey> _byHash = new(StringComparer.Ordinal);

    public Task Create(ApiKey key, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            if (_byHash.Values.Any(other => other.AccessKey == key.AccessKey) || !_byHash.TryAdd(key.SecretHash, key))
            {
                throw new AlreadyExistsException("api_key", Guid.Empty, "access key or secret");
            }
        }
        return Task.CompletedTask;
    }

    public Task<ApiKey?> FindBySecretHash(string secretHash, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            return Task.FromResult(_byHash.GetValueOrDefault(secretHash));
        }
    }

    public IAsyncEnumerable<ApiKey> All(CancellationToken cancel = default) => Where(_ => true, cancel);

    public IAsyncEnumerable<ApiKey> OfOrganization(Guid organizationId, CancellationToken cancel = default) =>
        Where(key => key.OrganizationId == organizationId, cancel);

    public Task<bool> Delete(string accessKey, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            var key = _byHash.Values.FirstOrDefault(candidate => candidate.AccessKey == accessKey);
            return Task.FromResult(key is not null && _byHash.Remove(key.SecretHash));
        }
    }

    private async IAsyncEnumerable<ApiKey> Where(Func<ApiKey, bool> wanted, [EnumeratorCancellation] CancellationToken cancel)
    {
        await Task.CompletedTask;
        List<ApiKey> keys;
        lock (_lock)
        {
            keys = [.. _byHash.Values.Where(wanted).OrderBy(key => key.AccessKey, StringComparer.Ordinal)];
        }
        foreach (var key in keys)
        {
            cancel.ThrowIfCancellationRequested();
            yield return key;
        }
    }
}
