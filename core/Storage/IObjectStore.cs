namespace IotHub.Core.Storage;

/// <summary>An object store refused a write, or did not answer (status 0).</summary>
/// <param name="status">HTTP status, 0 when there was no answer.</param>
/// <param name="code">The service's error code, for example <c>InvalidResourceName</c>.</param>
/// <param name="requestId">The service's name for the request; empty when there was no answer.</param>
public sealed class ObjectStoreException(int status, string code, string requestId, Exception? inner = null)
    : Exception($"object store answered {status} {code}", inner)
{
    public int Status { get; } = status;
    public string Code { get; } = code;
    public string RequestId { get; } = requestId;
}

/// <summary>What is known of a stored object without reading it.</summary>
/// <param name="Version">Changes with every write.</param>
public sealed record StoredObject(string Version, IReadOnlyDictionary<string, string> Metadata);

/// <summary>Buckets of objects, the destination of object storage routes. A missing bucket is made on the first write.</summary>
/// <exception cref="ObjectStoreException">It refused, or did not answer.</exception>
public interface IObjectStore
{
    /// <returns>Null when there is no such object, or no such bucket.</returns>
    Task<StoredObject?> Find(string bucket, string key, CancellationToken cancel = default);

    /// <summary>Writes an object if it is still as <paramref name="expected"/> says: at that version, or (null) not there.</summary>
    /// <returns>False when it is not.</returns>
    Task<bool> TryPut(
        string bucket, string key, ReadOnlyMemory<byte> content, IReadOnlyDictionary<string, string> metadata, string? expected,
        CancellationToken cancel = default);

    /// <returns>Null when there is no such object, or no such bucket.</returns>
    Task<byte[]?> Read(string bucket, string key, CancellationToken cancel = default);
}
