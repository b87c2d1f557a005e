using System.Globalization;

namespace IotHub.Core.Storage.Memory;

/// <summary>Objects in this process, with the name rules of containers.</summary>
public sealed class MemoryObjectStore : IObjectStore
{
    private readonly Lock _lock = new();
    private readonly Dictionary<(string Bucket, string Key), (StoredObject Known, byte[] Content)> _objects = [];
    private long _writes;

    /// <summary>Names of the objects of a bucket, sorted.</summary>
    public IReadOnlyList<string> Keys(string bucket)
    {
        lock (_lock)
        {
            return [.. _objects.Keys.Where(at => at.Bucket == bucket).Select(at => at.Key).Order(StringComparer.Ordinal)];
        }
    }

    public Task<StoredObject?> Find(string bucket, string key, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            return Task.FromResult(_objects.TryGetValue((bucket, key), out var found) ? found.Known : null);
        }
    }

    public Task<bool> TryPut(
        string bucket, string key, ReadOnlyMemory<byte> content, IReadOnlyDictionary<string, string> metadata, string? expected,
        CancellationToken cancel = default)
    {
        if (bucket.Length is < 3 or > 63 || bucket.Any(c => c is not ((>= 'a' and <= 'z') or (>= '0' and <= '9') or '-')))
        {
            throw new ObjectStoreException(400, "InvalidResourceName", Guid.NewGuid().ToString());
        }
        lock (_lock)
        {
            var current = _objects.TryGetValue((bucket, key), out var found) ? found.Known.Version : null;
            if (current != expected)
            {
                return Task.FromResult(false);
            }
            var known = new StoredObject((++_writes).ToString(CultureInfo.InvariantCulture), new Dictionary<string, string>(metadata));
            _objects[(bucket, key)] = (known, content.ToArray());
            return Task.FromResult(true);
        }
    }

    public Task<byte[]?> Read(string bucket, string key, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            return Task.FromResult(_objects.TryGetValue((bucket, key), out var found) ? found.Content : null);
        }
    }
}
