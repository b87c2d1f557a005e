using System.Globalization;
using IotHub.Local.Processes;
using IotHub.Local.StandInHost;
using Microsoft.Extensions.Logging;

namespace IotHub.Local.Launch;

/// <summary>The function app, under whichever host this machine has.</summary>
public interface IFunctionApp : IAsyncDisposable
{
    int ProcessId { get; }

    /// <summary>Its process is another one now.</summary>
    event Action<int>? ProcessChanged;

    /// <summary>Completes with the reason when it ended by itself.</summary>
    Task<LaunchException> Ended { get; }

    /// <summary>Waits until the app answers on its health address.</summary>
    Task UntilHealthy(Uri health, HttpClient http, CancellationToken cancel);

    Task Stop(TimeSpan grace);
}

/// <summary>Under Azure Functions Core Tools: <c>func start</c> in the published folder.</summary>
public sealed class CoreToolsApp : IFunctionApp
{
    // The first start downloads the extension bundle.
    private static readonly TimeSpan ReadyPatience = TimeSpan.FromMinutes(3);
    private readonly Child _child;

    private CoreToolsApp(Child child)
    {
        _child = child;
        Ended = Watch();
    }

    public event Action<int>? ProcessChanged
    {
        add
        {
            // Core Tools stay the same process; what they do with the handler is theirs.
        }
        remove
        {
        }
    }

    public int ProcessId => _child.ProcessId;
    public Task<LaunchException> Ended { get; }

    public static CoreToolsApp Start(
        string func, string appRoot, int port, IReadOnlyDictionary<string, string> settings, CappedLog log, OrphanGuard guard) =>
        new(Child.Start(
            "The function app", func, ["start", "--port", port.ToString(CultureInfo.InvariantCulture)], appRoot, settings, log, guard));

    public Task UntilHealthy(Uri health, HttpClient http, CancellationToken cancel) =>
        Readiness.Until(_child, ReadyPatience, () => Readiness.Answers(http, health, anyStatus: false, cancel), cancel);

    public Task Stop(TimeSpan grace) => _child.Stop(grace);

    public ValueTask DisposeAsync()
    {
        _child.Dispose();
        _child.Log.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task<LaunchException> Watch()
    {
        await _child.Exited;
        return _child.Death();
    }
}

/// <summary>Under the stand-in host, inside this process.</summary>
public sealed class StandInApp : IFunctionApp
{
    private const string HostId = "iot-hub-local";
    private static readonly TimeSpan ReadyPatience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(25);

    private readonly FunctionHost _host;
    private readonly CappedLog _log;
    private readonly ILoggerFactory _loggers;

    private StandInApp(FunctionHost host, CappedLog log, ILoggerFactory loggers)
    {
        _host = host;
        _log = log;
        _loggers = loggers;
        Ended = Watch();
    }

    public event Action<int>? ProcessChanged
    {
        add => _host.HandlerReady += value;
        remove => _host.HandlerReady -= value;
    }

    public int ProcessId => _host.HandlerProcessId ?? 0;
    public Task<LaunchException> Ended { get; }

    public static async Task<StandInApp> Start(
        string appRoot, int port, IReadOnlyDictionary<string, string> settings, CappedLog log, TimeSpan grace, OrphanGuard guard,
        TimeProvider time)
    {
        var loggers = LoggerFactory.Create(logging => logging.AddProvider(new CappedLogProvider(log, time)));
        var options = new FunctionHostOptions
        {
            AppRoot = appRoot,
            Port = port,
            Settings = settings,
            HostId = HostId,
            StopGrace = grace,
            Guard = guard,
        };
        try
        {
            var host = new FunctionHost(options, time, loggers);
            await host.Start();
            return new StandInApp(host, log, loggers);
        }
        catch (FunctionAppException e)
        {
            throw new LaunchException($"The function app cannot run: {e.Message}.", e);
        }
    }

    public async Task UntilHealthy(Uri health, HttpClient http, CancellationToken cancel)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        patience.CancelAfter(ReadyPatience);
        try
        {
            while (!_host.IsReady || !await Readiness.Answers(http, health, anyStatus: false, patience.Token))
            {
                if (Ended.IsCompleted)
                {
                    throw await Ended;
                }
                await Task.Delay(Pause, patience.Token);
            }
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new LaunchException(
                $"The function app was not healthy within {ReadyPatience.TotalSeconds:0} s: see its log {_log.FilePath}.")
            {
                LogTail = _log.Tail,
            };
        }
    }

    public Task Stop(TimeSpan grace) => _host.Stop();

    public async ValueTask DisposeAsync()
    {
        await _host.DisposeAsync();
        _loggers.Dispose();
        _log.Dispose();
    }

    private async Task<LaunchException> Watch() =>
        new($"The function app ended ({await _host.Failed}); its log is {_log.FilePath}.") { LogTail = _log.Tail };
}
