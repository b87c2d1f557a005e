using Azure;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;

namespace IotHub.Core.Queues.Azure;

/// <summary>Payloads as blobs of one container, made on first use.</summary>
public sealed class AzurePayloads : IPayloads
{
    private readonly BlobContainerClient _container;

    public AzurePayloads(BlobServiceClient service, string container) => _container = service.GetBlobContainerClient(container);

    public async Task Put(string name, ReadOnlyMemory<byte> payload, CancellationToken cancel = default)
    {
        try
        {
            var content = BinaryData.FromBytes(payload);
            try
            {
                await _container.GetBlobClient(name).UploadAsync(content, overwrite: true, cancel);
            }
            catch (RequestFailedException e) when (e.ErrorCode == BlobErrorCode.ContainerNotFound)
            {
                await _container.CreateIfNotExistsAsync(cancellationToken: cancel);
                await _container.GetBlobClient(name).UploadAsync(content, overwrite: true, cancel);
            }
        }
        catch (Exception e) when (AzureFailure.Is(e, cancel))
        {
            throw AzureFailure.Of($"blob {_container.Name}/{name}", e, cancel);
        }
    }

    public async Task<byte[]?> Get(string name, int maximumBytes, CancellationToken cancel = default)
    {
        try
        {
            using var download = (await _container.GetBlobClient(name).DownloadStreamingAsync(cancellationToken: cancel)).Value;
            if (download.Details.ContentLength > maximumBytes)
            {
                throw new InvalidDataException($"payload {name} has {download.Details.ContentLength} bytes, more than {maximumBytes}");
            }
            var payload = new byte[(int)download.Details.ContentLength];
            await download.Content.ReadExactlyAsync(payload, cancel);
            return payload;
        }
        catch (RequestFailedException e) when (e.ErrorCode == BlobErrorCode.BlobNotFound || e.ErrorCode == BlobErrorCode.ContainerNotFound)
        {
            return null;
        }
        catch (Exception e) when (AzureFailure.Is(e, cancel))
        {
            throw AzureFailure.Of($"blob {_container.Name}/{name}", e, cancel);
        }
    }

    public async Task Delete(string name, CancellationToken cancel = default)
    {
        try
        {
            await _container.GetBlobClient(name).DeleteIfExistsAsync(cancellationToken: cancel);
        }
        catch (RequestFailedException e) when (e.ErrorCode == BlobErrorCode.ContainerNotFound)
        {
            // Nothing was ever stored.
        }
        catch (Exception e) when (AzureFailure.Is(e, cancel))
        {
            throw AzureFailure.Of($"blob {_container.Name}/{name}", e, cancel);
        }
    }

    public async Task Trim(DateTimeOffset before, CancellationToken cancel = default)
    {
        try
        {
            await foreach (var blob in _container.GetBlobsAsync(cancellationToken: cancel))
            {
                if (blob.Properties.LastModified < before)
                {
                    // Unless somebody stored it anew in the meantime.
                    var asListed = new BlobRequestConditions { IfMatch = blob.Properties.ETag };
                    await _container.GetBlobClient(blob.Name).DeleteIfExistsAsync(DeleteSnapshotsOption.None, asListed, cancel);
                }
            }
        }
        catch (RequestFailedException e)
            when (e.ErrorCode == BlobErrorCode.ContainerNotFound || e.ErrorCode == BlobErrorCode.ConditionNotMet)
        {
            // Nothing was ever stored, or one is new again; the next run does the rest.
        }
        catch (Exception e) when (AzureFailure.Is(e, cancel))
        {
            throw AzureFailure.Of($"container {_container.Name}", e, cancel);
        }
    }
}
