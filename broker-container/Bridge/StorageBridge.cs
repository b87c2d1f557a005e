using IotHub.Broker.Auth;
using IotHub.Core.Messages;
using IotHub.Core.Queues.Azure;
using IotHub.Core.Storage;
using IotHub.Core.Storage.Tables;

namespace IotHub.Broker.Bridge;

/// <summary>Everything between the broker and the storage account, composed and run: registry, change feed, queues in and out.</summary>
public sealed partial class StorageBridge : IDisposable
{
    private readonly StorageAccount _account;
    private readonly LiveChanges _live;
    private readonly IngressQueueParts _ingress;
    private readonly BridgeLimits _limits;
    private readonly TimeProvider _clock;
    private readonly ILoggerFactory _logging;
    private readonly ILogger<StorageBridge> _logger;
    private readonly CancellationTokenSource _stop = new();
    private InboundBridge? _inbound;
    private Task _reading = Task.CompletedTask;

    private StorageBridge(StorageAccount account, bool severityFirst, BridgeLimits limits, TimeProvider clock, ILoggerFactory logging)
    {
        _account = account;
        _limits = limits;
        _clock = clock;
        _logging = logging;
        _logger = logging.CreateLogger<StorageBridge>();
        var (tables, queues) = (account.Tables(), account.Queues());
        var payloads = new AzurePayloads(account.Blobs(), StorageNames.PayloadsContainer);
        var changes = new TableChangeFeed(tables, clock);
        _live = new LiveChanges(clock, severityFirst);
        var registry = new TableRegistry(tables, changes, clock);
        Directory = new HubDirectory(registry, _live, clock, limits);
        var editing = new TwinEditing(
            new TableTwins(tables), registry, new AzureQueue(queues, StorageNames.TwinPushesQueue), clock);
        Twins = new TwinDesk(editing, Directory, limits, logging.CreateLogger<TwinDesk>());
        Feed = new ChangeFeed(changes, Directory, clock, limits, logging.CreateLogger<ChangeFeed>());
        Authenticator = new RegistryAuthenticator(Directory, clock, limits, logging.CreateLogger<RegistryAuthenticator>());
        Outbound = new OutboundBridge(
            new AzureQueue(queues, StorageNames.DeliveriesQueue), new AzureQueue(queues, StorageNames.EventsQueue), payloads, clock, limits,
            logging.CreateLogger<OutboundBridge>());
        _ingress = new IngressQueueParts(
            new AzureQueue(queues, StorageNames.IngressQueue), new AzureQueue(queues, IngressReader.PoisonQueue), payloads);
    }

    public HubDirectory Directory { get; }
    public ChangeFeed Feed { get; }
    public RegistryAuthenticator Authenticator { get; }
    public OutboundBridge Outbound { get; }
    public TwinDesk Twins { get; }

    public InboundBridge Inbound => _inbound ?? throw new InvalidOperationException("not started");

    /// <exception cref="StartException">A setting is missing or wrong.</exception>
    public static StorageBridge Create(
        BrokerOptions options, BrokerSettings settings, BridgeLimits limits, TimeProvider clock, ILoggerFactory logging)
    {
        if (options.InternalPort is not null && settings.BrokerKey is null)
        {
            throw new StartException("IOTHUB_BROKER_KEY is not set: the internal endpoint needs the secret it shares with the functions");
        }
        return new StorageBridge(AccountOf(settings), settings.EventsSeverityFirst, limits, clock, logging);
    }

    /// <summary>Joins the broker and begins. Storage that does not answer is waited for: clients are put off meanwhile.</summary>
    public async Task Start(IBrokerControl control, CancellationToken cancel)
    {
        _live.Attach(control, Directory);
        _inbound = new InboundBridge(Directory, control, _clock, _logging.CreateLogger<InboundBridge>());
        var reader = new IngressReader(
            _ingress.Ingress, _ingress.Poison, _ingress.Payloads, _inbound, _clock, _limits, _logging.CreateLogger<IngressReader>());
        if (!await TryCreate(cancel))
        {
            Log.Waiting(_logger);
        }
        await Feed.Poll(cancel);
        Outbound.Start();
        _reading = Task.WhenAll(
            Feed.Run(_stop.Token), reader.Run(_stop.Token), Twins.Run(_stop.Token), CreateLater(_stop.Token));
    }

    /// <summary>No more changes and no more messages from the queue. Before the broker stops.</summary>
    public async Task StopReading()
    {
        await _stop.CancelAsync();
        await _reading;
    }

    /// <summary>Hands over what the broker left. After the broker stopped.</summary>
    public Task StopSending() => Outbound.Stop();

    public void Dispose()
    {
        Outbound.Dispose();
        _stop.Dispose();
    }

    private static StorageAccount AccountOf(BrokerSettings settings)
    {
        try
        {
            return settings.StorageConnectionString is { } connection
                ? StorageAccount.At(connection)
                : settings.StorageAccountName is { } name
                    ? StorageAccount.Named(name)
                    : throw new StartException(
                        "AzureWebJobsStorage is not set: give a connection string, or AzureWebJobsStorage__accountName for an identity, "
                        + "or --standalone");
        }
        catch (FormatException e)
        {
            throw new StartException("AzureWebJobsStorage is not a storage connection string", e);
        }
    }

    private async Task<bool> TryCreate(CancellationToken cancel)
    {
        try
        {
            await _account.EnsureCreated(cancel).WaitAsync(_limits.RegistryTimeout, _clock, cancel);
            return true;
        }
        catch (Exception e) when (!cancel.IsCancellationRequested)
        {
            Log.NotCreated(_logger, e.Message);
            return false;
        }
    }

    // Tables that are missing read as a registry that does not answer, so it must be tried until it works.
    private async Task CreateLater(CancellationToken cancel)
    {
        var backOff = new BackOff(_limits.FirstBackOff, _limits.LongestBackOff, _clock);
        try
        {
            while (!Directory.IsCurrent && !await TryCreate(cancel))
            {
                await backOff.Wait(cancel);
            }
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
        }
    }

    private sealed record IngressQueueParts(AzureQueue Ingress, AzureQueue Poison, AzurePayloads Payloads);

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning, "Storage does not answer yet; clients are told to try later until it does")]
        public static partial void Waiting(ILogger logger);

        [LoggerMessage(2, LogLevel.Debug, "Tables, queues and containers could not be made sure of: {Reason}")]
        public static partial void NotCreated(ILogger logger, string reason);
    }
}
