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
    private readonly MetricsSender _metrics;
    private readonly TableRegistry _registry;
    private readonly Guid _run = Guid.NewGuid();
    private readonly BridgeLimits _limits;
    private readonly TimeProvider _clock;
    private readonly ILoggerFactory _logging;
    private readonly ILogger<StorageBridge> _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly CancellationTokenSource _stopCounting = new();
    private readonly CancellationTokenSource _giveUpCounting = new();
    private IBrokerControl? _control;
    private InboundBridge? _inbound;
    private Task _reading = Task.CompletedTask;
    private Task _counting = Task.CompletedTask;

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
        _registry = registry;
        Directory = new HubDirectory(registry, _live, clock, limits);
        var editing = new TwinEditing(
            new TableTwins(tables), registry, new AzureQueue(queues, StorageNames.TwinPushesQueue), clock);
        Twins = new TwinDesk(editing, Directory, limits, logging.CreateLogger<TwinDesk>());
        Feed = new ChangeFeed(changes, Directory, clock, limits, logging.CreateLogger<ChangeFeed>());
        Authenticator = new RegistryAuthenticator(Directory, clock, limits, logging.CreateLogger<RegistryAuthenticator>());
        Outbound = new OutboundBridge(
            new AzureQueue(queues, StorageNames.DeliveriesQueue), new AzureQueue(queues, StorageNames.EventsQueue), payloads, clock, limits,
            logging.CreateLogger<OutboundBridge>(), _run);
        _metrics = new MetricsSender(
            new AzureQueue(queues, StorageNames.MetricsQueue), clock, limits, logging.CreateLogger<MetricsSender>());
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
    public async Task Start(IBrokerControl control, IActivityCounts counts, CancellationToken cancel)
    {
        _control = control;
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
        _counting = _metrics.Run(counts, _stopCounting.Token, _giveUpCounting.Token);
        _reading = Task.WhenAll(
            Feed.Run(_stop.Token), reader.Run(_stop.Token), Twins.Run(_stop.Token), CreateLater(_stop.Token), SayThatWeRun(_stop.Token));
    }

    /// <summary>Begins to look up what the sessions belong to that came from the broker's log. After <see cref="Start"/>.</summary>
    public void LookUp(IReadOnlyDictionary<Guid, IReadOnlyList<Guid>> restored)
    {
        var sessions = new RestoredSessions(Directory, _control!, _limits, _clock, _logger);
        _reading = Task.WhenAll(_reading, sessions.LookUp(restored, _stop.Token));
    }

    /// <summary>No more changes and no more messages from the queue. Before the broker stops.</summary>
    public async Task StopReading()
    {
        await _stop.CancelAsync();
        await _reading;
    }

    /// <summary>Hands over what the broker left. After the broker stopped.</summary>
    public async Task StopSending()
    {
        await _stopCounting.CancelAsync();
        await Outbound.Stop();
        _giveUpCounting.CancelAfter(_limits.DrainTime);
        await _counting;
    }

    public void Dispose()
    {
        Outbound.Dispose();
        _stopCounting.Dispose();
        _giveUpCounting.Dispose();
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

    /// <summary>Under one name, as there is one broker: a new run ends the one before, whatever became of it.</summary>
    private async Task SayThatWeRun(CancellationToken cancel)
    {
        try
        {
            while (true)
            {
                try
                {
                    await _registry.RecordBroker("broker", _run, cancel);
                }
                catch (RegistryUnavailableException e)
                {
                    Log.NotHeard(_logger, e.Message);
                }
                await Task.Delay(_limits.HeartbeatInterval, _clock, cancel);
            }
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            // Stopping.
        }
    }

    private sealed record IngressQueueParts(AzureQueue Ingress, AzureQueue Poison, AzurePayloads Payloads);

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning, "Storage does not answer yet; clients are told to try later until it does")]
        public static partial void Waiting(ILogger logger);

        [LoggerMessage(3, LogLevel.Debug, "The broker could not say that it runs: {Reason}")]
        public static partial void NotHeard(ILogger logger, string reason);

        [LoggerMessage(2, LogLevel.Debug, "Tables, queues and containers could not be made sure of: {Reason}")]
        public static partial void NotCreated(ILogger logger, string reason);
    }
}
