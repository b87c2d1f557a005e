using Azure;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;

namespace IotHub.Core.Storage.Blobs;

/// <summary>Buckets as containers of the storage account.</summary>
public sealed class BlobObjectStore(BlobServiceClient service) : IObjectStore
{
    public Task<StoredObject?> Find(string bucket, string key, CancellationToken cancel = default) => Guard(async () =>
    {
        try
        {
            var found = (await Blob(bucket, key).GetPropertiesAsync(cancellationToken: cancel)).Value;
            var metadata = new Dictionary<string, string>(found.Metadata, StringComparer.OrdinalIgnoreCase);
            return new StoredObject(found.ETag.ToString(), metadata);
        }
        catch (RequestFailedException e) when (e.Status == 404)
        {
            return null;
        }
    }, cancel);

    public Task<bool> TryPut(
        string bucket, string key, ReadOnlyMemory<byte> content, IReadOnlyDictionary<string, string> metadata, string? expected,
        CancellationToken cancel = default)
    {
        var options = new BlobUploadOptions
        {
            Metadata = new Dictionary<string, string>(metadata),
            Conditions = expected is null
                ? new BlobRequestConditions { IfNoneMatch = ETag.All }
                : new BlobRequestConditions { IfMatch = new ETag(expected) },
        };
        return Guard(async () =>
        {
            try
            {
                return await Upload();
            }
            catch (RequestFailedException e) when (e.ErrorCode == BlobErrorCode.ContainerNotFound && expected is null)
            {
                await service.GetBlobContainerClient(bucket).CreateIfNotExistsAsync(cancellationToken: cancel);
                return await Upload();
            }
        }, cancel);

        async Task<bool> Upload()
        {
            try
            {
                await Blob(bucket, key).UploadAsync(BinaryData.FromBytes(content), options, cancel);
                return true;
            }
            catch (RequestFailedException e) when (e.Status == 412 || e.ErrorCode == BlobErrorCode.BlobAlreadyExists)
            {
                return false;
            }
        }
    }

    public Task<byte[]?> Read(string bucket, string key, CancellationToken cancel = default) => Guard<byte[]?>(async () =>
    {
        try
        {
            return (await Blob(bucket, key).DownloadContentAsync(cancel)).Value.Content.ToArray();
        }
        catch (RequestFailedException e) when (e.Status == 404)
        {
            return null;
        }
    }, cancel);

    private BlobClient Blob(string bucket, string key) => service.GetBlobContainerClient(bucket).GetBlobClient(key);

    private static async Task<T> Guard<T>(Func<Task<T>> call, CancellationToken cancel)
    {
        try
        {
            return await call();
        }
        catch (RequestFailedException e)
        {
            throw new ObjectStoreException(e.Status, e.ErrorCode ?? "", e.GetRawResponse()?.ClientRequestId ?? "", e);
        }
        catch (AggregateException e) when (cancel.IsCancellationRequested)
        {
            // Between the client's tries.
            throw new OperationCanceledException("cancelled", e, cancel);
        }
        catch (Exception e)
            when (e is AggregateException or IOException || (e is OperationCanceledException && !cancel.IsCancellationRequested))
        {
            throw new ObjectStoreException(0, "no answer", "", e);
        }
    }
}
