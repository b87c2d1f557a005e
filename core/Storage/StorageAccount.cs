using Azure;
using Azure.Core;
using Azure.Data.Tables;
using Azure.Identity;
using Azure.Storage.Blobs;
using Azure.Storage.Queues;
using IotHub.Core.Messages;
using IotHub.Core.Storage.Tables;

namespace IotHub.Core.Storage;

/// <summary>
/// The storage account through which the two halves meet: by connection string, or by name with the identity of the machine. Its
/// clients try once or twice quickly; waiting longer is decided by those who call, who know what waits behind them.
/// </summary>
public sealed class StorageAccount
{
    private static readonly TimeSpan RequestTimeout = TimeSpan.FromSeconds(10);

    private readonly string? _connectionString;
    private readonly string? _name;
    private readonly TokenCredential? _credential;

    private StorageAccount(string? connectionString, string? name)
    {
        _connectionString = connectionString;
        _name = name;
        _credential = name is null ? null : new DefaultAzureCredential();
    }

    /// <summary>By the settings' names that the Functions host uses, looked up with <paramref name="setting"/>.</summary>
    /// <exception cref="FormatException">No account is named, or the connection string is not one.</exception>
    public static StorageAccount FromSettings(Func<string, string?> setting)
    {
        if (setting("AzureWebJobsStorage") is { Length: > 0 } connectionString)
        {
            return At(connectionString);
        }
        return setting("AzureWebJobsStorage__accountName") is { Length: > 0 } name
            ? Named(name)
            : throw new FormatException(
                "no storage account: set AzureWebJobsStorage to a connection string (UseDevelopmentStorage=true for a local Azurite), "
                + "or AzureWebJobsStorage__accountName to an account that this process's identity may use");
    }

    public static StorageAccount Named(string name) => new(null, name);

    /// <exception cref="FormatException">It is not a connection string.</exception>
    public static StorageAccount At(string connectionString)
    {
        var account = new StorageAccount(connectionString, null);
        try
        {
            account.Queues();
        }
        catch (Exception e) when (e is FormatException or ArgumentException or InvalidOperationException or UriFormatException)
        {
            // What was given holds a key: it is not repeated.
            throw new FormatException("not a storage connection string", e);
        }
        return account;
    }

    public TableServiceClient Tables() => _connectionString is null
        ? new TableServiceClient(Address("table"), _credential!, Impatient(new TableClientOptions()))
        : new TableServiceClient(_connectionString, Impatient(new TableClientOptions()));

    /// <summary>Messages as they stand on the queue; <c>AzureQueue</c> does the encoding.</summary>
    public QueueServiceClient Queues()
    {
        var options = Impatient(new QueueClientOptions { MessageEncoding = QueueMessageEncoding.None });
        return _connectionString is null
            ? new QueueServiceClient(Address("queue"), _credential!, options)
            : new QueueServiceClient(_connectionString, options);
    }

    public BlobServiceClient Blobs() => _connectionString is null
        ? new BlobServiceClient(Address("blob"), _credential!, Impatient(new BlobClientOptions()))
        : new BlobServiceClient(_connectionString, Impatient(new BlobClientOptions()));

    /// <summary>Creates the tables, queues and containers that are missing. Called once at start.</summary>
    /// <exception cref="RegistryUnavailableException">The account does not answer, or refuses us.</exception>
    public async Task EnsureCreated(CancellationToken cancel = default)
    {
        var (tables, queues, blobs) = (Tables(), Queues(), Blobs());
        try
        {
            await Task.WhenAll(
            [
                .. TableNames.All.Select(name => tables.CreateTableIfNotExistsAsync(name, cancel)),
                .. StorageNames.Queues
                    .Select(name => queues.GetQueueClient(name).CreateIfNotExistsAsync(cancellationToken: cancel)),
                .. new[] { StorageNames.PayloadsContainer, StorageNames.DeadLettersContainer }
                    .Select(name => blobs.GetBlobContainerClient(name).CreateIfNotExistsAsync(cancellationToken: cancel)),
            ]);
        }
        catch (Exception e) when (e is RequestFailedException or AggregateException)
        {
            throw new RegistryUnavailableException($"storage account {tables.AccountName} does not answer, or refuses us", e);
        }
    }

    private Uri Address(string service) => new($"https://{_name}.{service}.core.windows.net");

    private static T Impatient<T>(T options)
        where T : ClientOptions
    {
        options.Retry.MaxRetries = 1;
        options.Retry.Delay = TimeSpan.FromMilliseconds(100);
        options.Retry.NetworkTimeout = RequestTimeout;
        options.Diagnostics.IsTelemetryEnabled = false;
        return options;
    }
}
