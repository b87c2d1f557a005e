using System.Security.Cryptography;
using System.Text;
using Azure.Storage.Blobs;
using Azure.Storage.Queues;
using Azure.Storage.Queues.Models;
using Microsoft.Extensions.Logging;

namespace IotHub.Local.StandInHost;

/// <summary>
/// A small stand-in for the Azure Functions host, for machines without Core Tools: it reads the same host.json and function.json files and
/// drives the same executable over the same HTTP contract, with the real host's numbers. It does not scale, lease, keep keys or run
/// bindings other than HTTP, queue and timer triggers; what it cannot do it refuses by name.
/// </summary>
public sealed partial class FunctionHost : IAsyncDisposable
{
    private const string HostStorage = "AzureWebJobsStorage";
    private const int HostIdMax = 32;

    private readonly FunctionHostOptions _options;
    private readonly AppSettings _settings;
    private readonly HostFile _file;
    private readonly HandlerProcess _handler;
    private readonly InvocationClient _invocations;
    private readonly HttpFront _front;
    private readonly TimeProvider _time;
    private readonly ILoggerFactory _loggers;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stopReceiving = new();
    private readonly CancellationTokenSource _abandon = new();
    private readonly TaskCompletionSource<string> _failed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Dictionary<string, TimerListener> _timers = [];
    private readonly List<Task> _listeners = [];
    private bool _stopped;

    /// <exception cref="FunctionAppException">The app is broken or needs what the stand-in does not do.</exception>
    public FunctionHost(FunctionHostOptions options, TimeProvider time, ILoggerFactory loggers)
    {
        _options = options;
        _time = time;
        _loggers = loggers;
        _logger = loggers.CreateLogger("Host");
        var root = Path.GetFullPath(options.AppRoot);
        _settings = AppSettings.Load(root, options.Settings);
        _file = HostFile.Load(root, _settings, options.AzureLike);
        Functions = FunctionFiles.Load(root, _file, _settings);
        if (Functions.Count == 0)
        {
            throw new FunctionAppException($"there is no function in {root}: no folder with a function.json");
        }
        _handler = new HandlerProcess(root, _file.Handler, _settings, time, options.Guard, loggers);
        _handler.BecameReady += processId => HandlerReady?.Invoke(processId);
        _invocations = new InvocationClient(_handler, _file.FunctionTimeout, options.Strict, time, loggers);
        _invocations.ContractViolated += violation => ContractViolated?.Invoke(violation);
        _front = new HttpFront(this, _handler, _file.FunctionTimeout, options.Keys, options.Port, time, loggers);
        BuildTimers(root);
    }

    /// <summary>Told at once of each answer that would hang a real host.</summary>
    public event Action<string>? ContractViolated;

    /// <summary>A handler, the first or one started later, answers; told with its process id.</summary>
    public event Action<int>? HandlerReady;

    public IReadOnlyList<FunctionDefinition> Functions { get; }

    /// <summary>Where callers reach the app.</summary>
    public Uri Address => _front.Address;

    /// <summary>Process id of the handler, or null while there is none.</summary>
    public int? HandlerProcessId => _handler.ProcessId;

    /// <summary>The handler answers.</summary>
    public bool IsReady => _handler.IsReady;

    /// <summary>Completes with one sentence when the host has given up, as the real one would stop itself.</summary>
    public Task<string> Failed => _failed.Task;

    public async Task Start()
    {
        _ = _handler.Failed.ContinueWith(failed => _failed.TrySetResult(failed.Result), TaskScheduler.Default);
        _handler.Start();
        await _front.Start();
        StartListeners();
        Log.Started(_logger, Functions.Count, Address);
    }

    /// <summary>Kills the handler in the middle of whatever it does, as a crash would; it is started again.</summary>
    public void KillHandler() => _handler.Restart("asked to");

    /// <summary>Starts a queue or timer function outside its trigger. False when there is none of that name.</summary>
    public bool StartByHand(string name, string input)
    {
        var function = Functions.FirstOrDefault(f => f.Name.Equals(name, StringComparison.OrdinalIgnoreCase));
        if (function is null or { Trigger: HttpTrigger })
        {
            return false;
        }
        _ = Observe(function.Trigger is TimerTrigger
            ? _timers[function.Name].RunNow(isPastDue: false, _abandon.Token)
            : _invocations.Invoke(function.Name, PayloadByHand(function, input), _abandon.Token));
        return true;
    }

    public async Task Stop()
    {
        if (_stopped)
        {
            return;
        }
        _stopped = true;
        await _stopReceiving.CancelAsync();
        var front = _front.Stop(_options.StopGrace);
        var listeners = Task.WhenAll(_listeners);
        await Task.WhenAny(Task.WhenAll(front, listeners), Task.Delay(_options.StopGrace, _time));
        // Before the handler, so that what it breaks off counts as abandoned, not as failed.
        await _abandon.CancelAsync();
        await _handler.Stop(_options.StopGrace);
        await front.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await listeners.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    public async ValueTask DisposeAsync()
    {
        await Stop();
        await _front.DisposeAsync();
        await _handler.DisposeAsync();
        _invocations.Dispose();
        foreach (var timer in _timers.Values)
        {
            timer.Dispose();
        }
        _stopReceiving.Dispose();
        _abandon.Dispose();
    }

    private void StartListeners()
    {
        foreach (var function in Functions.Where(f => !f.Disabled))
        {
            if (function.Trigger is QueueTrigger trigger)
            {
                var storage = new QueueServiceClient(_settings.ConnectionString(trigger.Connection, $"{function.Name}/function.json"));
                var pump = new QueuePump(function, _file.Queues, _options.QueueVisibility, storage, _invocations, _time, _loggers);
                Listen(function.Name, () => pump.Run(_stopReceiving.Token, _abandon.Token));
            }
            else if (_timers.TryGetValue(function.Name, out var timer))
            {
                Listen(function.Name, () => timer.Run(_stopReceiving.Token, _abandon.Token));
            }
        }
    }

    private void Listen(string function, Func<Task> run) => _listeners.Add(Task.Run(async () =>
    {
        try
        {
            await run();
        }
        catch (Exception e) when (!_stopReceiving.IsCancellationRequested)
        {
            // As the host does: a storage error that is not the account's own trouble stops everything.
            Log.ListenerFailed(_logger, function, e);
            _failed.TrySetResult($"the listener of {function} failed: {e.Message.Split('\n')[0].Trim()}");
        }
    }));

    private void BuildTimers(string root)
    {
        var timers = Functions.Where(f => f.Trigger is TimerTrigger).ToList();
        if (timers.Count == 0)
        {
            return;
        }
        var container = new BlobContainerClient(_settings.ConnectionString(HostStorage, "the host"), TimerStatusStore.Container);
        var statuses = new TimerStatusStore(container, _options.HostId ?? DefaultHostId(root));
        foreach (var function in timers)
        {
            _timers[function.Name] = new TimerListener(function, statuses, _invocations, Zone(), _time, _loggers);
        }
    }

    private TimeZoneInfo Zone()
    {
        var name = _settings["WEBSITE_TIME_ZONE"] ?? _settings["TZ"];
        return string.IsNullOrEmpty(name)
            ? TimeZoneInfo.Utc
            : TimeZoneInfo.TryFindSystemTimeZoneById(name.TrimStart(':'), out var zone)
                ? zone
                : throw new FunctionAppException($"the time zone {name} (WEBSITE_TIME_ZONE or TZ) is not known on this machine");
    }

    private string PayloadByHand(FunctionDefinition function, string input)
    {
        var now = _time.GetUtcNow();
        var message = QueuesModelFactory.QueueMessage(
            Guid.NewGuid().ToString(), "", BinaryData.FromString(input), 1, now, now, now.AddDays(7));
        return InvocationPayload.ForQueue(function.Name, (QueueTrigger)function.Trigger, message, Encoding.UTF8.GetBytes(input), now);
    }

    private async Task Observe(Task run)
    {
        try
        {
            await run;
        }
        catch (Exception e)
        {
            Log.ByHandFailed(_logger, e.Message);
        }
    }

    private static string DefaultHostId(string root)
    {
        var hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(root)));
        var machine = Environment.MachineName.ToLowerInvariant();
        return $"{machine[..Math.Min(machine.Length, HostIdMax - 11)]}-{hash[..10]}";
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Information, "{Count} functions at {Address}")]
        public static partial void Started(ILogger logger, int count, Uri address);

        [LoggerMessage(LogLevel.Critical, "the listener of {Function} failed: the host stops")]
        public static partial void ListenerFailed(ILogger logger, string function, Exception exception);

        [LoggerMessage(LogLevel.Error, "a function started by hand failed: {Reason}")]
        public static partial void ByHandFailed(ILogger logger, string reason);
    }
}
