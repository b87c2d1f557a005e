using Azure.Core;
using Azure.Data.Tables;
using Azure.Identity;
using Azure.Storage.Blobs;
using Azure.Storage.Queues;
using IotHub.Core.Messages;
using IotHub.Core.Storage.Tables;

namespace IotHub.Core.Storage;

/// <summary>
/// The storage account both halves meet in, as the Functions host names it: <c>AzureWebJobsStorage</c> is a connection string, or
/// <c>AzureWebJobsStorage__accountName</c> an account that is reached with the identity of the process.
/// </summary>
public sealed class StorageAccount
{
    public const string Setting = "AzureWebJobsStorage";

    private StorageAccount(TableServiceClient tables, BlobServiceClient blobs, QueueServiceClient queues)
    {
        Tables = tables;
        Blobs = blobs;
        Queues = queues;
    }

    public TableServiceClient Tables { get; }
    public BlobServiceClient Blobs { get; }

    /// <summary>Message bodies are base64, as the Functions host expects them.</summary>
    public QueueServiceClient Queues { get; }

    public static StorageAccount FromEnvironment() => FromSettings(Environment.GetEnvironmentVariable);

    /// <param name="setting">Looks up a setting by the name of its environment variable.</param>
    /// <exception cref="InvalidOperationException">No account is named, or the connection string is not one.</exception>
    public static StorageAccount FromSettings(Func<string, string?> setting)
    {
        if (setting(Setting) is { Length: > 0 } connection)
        {
            return FromConnectionString(connection);
        }
        return setting(Setting + "__accountName") is { Length: > 0 } name
            ? FromIdentity(name)
            : throw new InvalidOperationException(
                $"No storage account: set {Setting} to a connection string (UseDevelopmentStorage=true for a local Azurite), "
                + $"or {Setting}__accountName to an account that this process's identity may use.");
    }

    public static StorageAccount FromConnectionString(string connection)
    {
        try
        {
            return new StorageAccount(
                new TableServiceClient(connection, Tuned(new TableClientOptions())),
                new BlobServiceClient(connection, Tuned(new BlobClientOptions())),
                new QueueServiceClient(connection, Tuned(new QueueClientOptions { MessageEncoding = QueueMessageEncoding.Base64 })));
        }
        catch (Exception e) when (e is FormatException or ArgumentException or InvalidOperationException)
        {
            // Without the inner message: it may quote the string, which holds the account's key.
            throw new InvalidOperationException($"{Setting} is not a connection string of a storage account with tables, blobs and queues.");
        }
    }

    /// <summary>Creates the tables, queues and containers that are missing. To be called once at start.</summary>
    public async Task EnsureCreated(CancellationToken cancel = default)
    {
        try
        {
            await Task.WhenAll(
            [
                .. TableNames.All.Select(name => Tables.CreateTableIfNotExistsAsync(name, cancel)),
                .. new[] { StorageNames.DeliveriesQueue, StorageNames.EventsQueue, StorageNames.IngressQueue }
                    .Select(name => Queues.GetQueueClient(name).CreateIfNotExistsAsync(cancellationToken: cancel)),
                .. new[] { StorageNames.PayloadsContainer, StorageNames.DeadLettersContainer }
                    .Select(name => Blobs.GetBlobContainerClient(name).CreateIfNotExistsAsync(cancellationToken: cancel)),
            ]);
        }
        catch (Exception e) when (e is Azure.RequestFailedException or AggregateException)
        {
            throw new RegistryUnavailableException($"the storage account {Tables.AccountName} does not answer or refuses us", e);
        }
    }

    private static StorageAccount FromIdentity(string account)
    {
        var identity = new DefaultAzureCredential();
        return new StorageAccount(
            new TableServiceClient(new Uri($"https://{account}.table.core.windows.net"), identity, Tuned(new TableClientOptions())),
            new BlobServiceClient(new Uri($"https://{account}.blob.core.windows.net"), identity, Tuned(new BlobClientOptions())),
            new QueueServiceClient(
                new Uri($"https://{account}.queue.core.windows.net"),
                identity,
                Tuned(new QueueClientOptions { MessageEncoding = QueueMessageEncoding.Base64 })));
    }

    /// <summary>A caller waits for us: give up within seconds and say so, rather than within minutes.</summary>
    private static T Tuned<T>(T options)
        where T : ClientOptions
    {
        options.Retry.MaxRetries = 3;
        options.Retry.Delay = TimeSpan.FromMilliseconds(100);
        options.Retry.MaxDelay = TimeSpan.FromSeconds(1);
        options.Retry.NetworkTimeout = TimeSpan.FromSeconds(10);
        return options;
    }
}
