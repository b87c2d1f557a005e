using Azure.Core;
using Azure.Data.Tables;
using Azure.Identity;
using Azure.Storage.Blobs;
using Azure.Storage.Queues;

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
