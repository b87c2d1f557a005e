using System.Text.Json;
using Azure;
using Azure.Storage.Blobs;

namespace IotHub.Local.StandInHost;

/// <summary>What is remembered of a timer between runs of the host.</summary>
/// <param name="Last">The last run; the year 1 when there was none.</param>
/// <param name="Next">The occurrence that is due next.</param>
public sealed record TimerStatus(DateTimeOffset Last, DateTimeOffset Next, DateTimeOffset LastUpdated)
{
    public bool HasRun => Last != default;
}

/// <summary>Timer statuses as blobs, where the Functions host keeps them.</summary>
public sealed class TimerStatusStore(BlobContainerClient container, string hostId)
{
    public const string Container = "azure-webjobs-hosts";

    public async Task<TimerStatus?> Read(string function, CancellationToken cancel)
    {
        try
        {
            var blob = await Blob(function).DownloadContentAsync(cancel);
            return blob.Value.Content.ToObjectFromJson<TimerStatus>();
        }
        catch (RequestFailedException e) when (e.Status == 404)
        {
            return null;
        }
        catch (JsonException)
        {
            // Not ours or half a file: as if the timer had never run.
            return null;
        }
    }

    public async Task Write(string function, TimerStatus status, CancellationToken cancel)
    {
        await container.CreateIfNotExistsAsync(cancellationToken: cancel);
        await Blob(function).UploadAsync(BinaryData.FromObjectAsJson(status), overwrite: true, cancel);
    }

    private BlobClient Blob(string function) => container.GetBlobClient($"timers/{hostId}/Host.Functions.{function}/status");
}
