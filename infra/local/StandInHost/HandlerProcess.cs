using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using IotHub.Local.Processes;
using Microsoft.Extensions.Logging;

namespace IotHub.Local.StandInHost;

/// <summary>
/// The handler under supervision, as the Functions host does it: exit code 0 is not restarted, 200 is restarted and forgiven, any other
/// code (or not being ready in time) is an error, and at the third error within half an hour of quiet the host gives up.
/// </summary>
public sealed partial class HandlerProcess(
    string appRoot, HandlerSettings settings, AppSettings appSettings, TimeProvider time, OrphanGuard? guard, ILoggerFactory loggers)
    : IAsyncDisposable
{
    public const int RestartExitCode = 200;
    private const int ErrorsMax = 3;
    private const int PatienceFactor = 4;
    private static readonly TimeSpan ErrorMemory = TimeSpan.FromMinutes(30);
    private static readonly TimeSpan ProbePause = TimeSpan.FromMilliseconds(25);

    private readonly ILogger _logger = loggers.CreateLogger("Host.Handler");
    private readonly ILogger _console = loggers.CreateLogger("Host.Function.Console");
    private readonly HttpClient _probe = new(new SocketsHttpHandler { UseProxy = false }) { Timeout = Timeout.InfiniteTimeSpan };
    private readonly CancellationTokenSource _stopping = new();
    private readonly TaskCompletionSource<string> _failed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _gate = new();
    private TaskCompletionSource<Uri> _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Process? _process;
    private bool _restartWanted;
    private Task _supervision = Task.CompletedTask;

    private enum Outcome { Idle, Restart, Error, Stopped }

    /// <summary>Completes with the reason when the host has to stop.</summary>
    public Task<string> Failed => _failed.Task;

    /// <summary>A process, the first or a later one, has become ready.</summary>
    public event Action<int>? BecameReady;

    /// <summary>Process id of the running handler, or null.</summary>
    public int? ProcessId
    {
        get
        {
            lock (_gate)
            {
                return _process?.Id;
            }
        }
    }

    public bool IsReady
    {
        get
        {
            lock (_gate)
            {
                return _ready.Task.IsCompletedSuccessfully;
            }
        }
    }

    public void Start() => _supervision = Task.Run(Supervise);

    /// <summary>
    /// Address of the handler once it answers. Events wait for it up to four times the initialization time-out; then the host gives up.
    /// </summary>
    public async Task<Uri> Ready(CancellationToken cancel)
    {
        Task<Uri> ready;
        lock (_gate)
        {
            ready = _ready.Task;
        }
        var patience = settings.InitializationTimeout * PatienceFactor;
        try
        {
            return await ready.WaitAsync(patience, time, cancel);
        }
        catch (TimeoutException)
        {
            var reason = $"the handler was not ready within {patience.TotalSeconds:0} s";
            _failed.TrySetResult(reason);
            throw new FunctionAppException(reason);
        }
    }

    /// <summary>Kills the handler and starts it again; not counted as an error.</summary>
    public void Restart(string why)
    {
        lock (_gate)
        {
            if (_process is null || _stopping.IsCancellationRequested)
            {
                return;
            }
            _restartWanted = true;
            Log.Restarting(_logger, why);
            _process.Kill();
        }
    }

    /// <summary>Kills the handler without warning, as the host does; with a grace it is asked to end first.</summary>
    public async Task Stop(TimeSpan grace)
    {
        await _stopping.CancelAsync();
        Process? process;
        lock (_gate)
        {
            process = _process;
            _ready.TrySetCanceled();
        }
        if (process is not null)
        {
            await Endings.End(process, grace);
        }
        await _supervision;
    }

    public async ValueTask DisposeAsync()
    {
        await Stop(TimeSpan.Zero);
        _probe.Dispose();
        _stopping.Dispose();
    }

    private async Task Supervise()
    {
        var errors = new List<DateTimeOffset>();
        while (!_stopping.IsCancellationRequested)
        {
            switch (await RunOnce())
            {
                case Outcome.Stopped or Outcome.Idle:
                    return;
                case Outcome.Restart:
                    continue;
            }
            var now = time.GetUtcNow();
            if (errors.Count > 0 && now - errors[^1] > ErrorMemory)
            {
                errors.Clear();
            }
            errors.Add(now);
            if (errors.Count >= ErrorsMax)
            {
                _failed.TrySetResult($"the function app's process failed {ErrorsMax} times");
                return;
            }
        }
    }

    private async Task<Outcome> RunOnce()
    {
        var port = settings.Port ?? LoopbackPorts.TakeFree(1)[0];
        Process process;
        try
        {
            process = Launch(port);
        }
        catch (Exception e) when (e is Win32Exception or FunctionAppException)
        {
            _failed.TrySetResult($"cannot start the handler {settings.Executable}: {e.Message}");
            return Outcome.Stopped;
        }
        var pid = process.Id;
        guard?.Watch(pid);
        try
        {
            return await Watch(process, new Uri($"http://127.0.0.1:{port.ToString(CultureInfo.InvariantCulture)}/"));
        }
        finally
        {
            guard?.Forget(pid);
            process.Dispose();
        }
    }

    private Process Launch(int port)
    {
        var process = new Process { StartInfo = StartInfo(port), EnableRaisingEvents = true };
        process.OutputDataReceived += (_, line) => Relay(line.Data, isError: false);
        process.ErrorDataReceived += (_, line) => Relay(line.Data, isError: true);
        lock (_gate)
        {
            _stopping.Token.ThrowIfCancellationRequested();
            if (_ready.Task.IsCompleted)
            {
                _ready = new TaskCompletionSource<Uri>(TaskCreationOptions.RunContinuationsAsynchronously);
            }
            _restartWanted = false;
            process.Start();
            _process = process;
        }
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        Log.Started(_logger, process.Id, port);
        return process;
    }

    private ProcessStartInfo StartInfo(int port)
    {
        var text = port.ToString(CultureInfo.InvariantCulture);
        var id = Guid.NewGuid().ToString();
        var own = new Dictionary<string, string>
        {
            ["FUNCTIONS_CUSTOMHANDLER_PORT"] = text,
            ["FUNCTIONS_HTTPWORKER_PORT"] = text,
            ["FUNCTIONS_CUSTOMHANDLER_WORKER_ID"] = id,
            ["FUNCTIONS_HTTPWORKER_ID"] = id,
            ["FUNCTIONS_APP_ROOT_PATH"] = appRoot,
        };
        var all = new AppSettings(appSettings.All.Concat(own).GroupBy(p => p.Key, StringComparer.OrdinalIgnoreCase).Select(g => g.Last()));
        var inRoot = Path.Combine(appRoot, settings.Executable);
        var program = File.Exists(inRoot) ? inRoot : Executables.Find(settings.Executable)
            ?? throw new FunctionAppException($"it is neither in {appRoot} nor on the PATH");
        var start = OwnSession.Wrap(program, all.Expand(settings.Arguments));
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        start.WorkingDirectory = Path.Combine(appRoot, settings.WorkingDirectory);
        foreach (var (name, value) in all.All)
        {
            start.Environment[name] = value;
        }
        return start;
    }

    private async Task<Outcome> Watch(Process process, Uri address)
    {
        using var ended = new CancellationTokenSource();
        var exit = process.WaitForExitAsync();
        var probe = Probe(address, ended.Token);
        if (await Task.WhenAny(exit, probe) == probe && await probe)
        {
            lock (_gate)
            {
                _ready.TrySetResult(address);
            }
            Log.Ready(_logger, address);
            BecameReady?.Invoke(process.Id);
            await exit;
        }
        else if (!exit.IsCompleted || process.ExitCode == 0)
        {
            // Exit code 0 is no event for the host: it goes on probing until its time is up.
            if (!await probe && !_stopping.IsCancellationRequested)
            {
                Log.NotReady(_logger, settings.InitializationTimeout.TotalSeconds);
                await Endings.End(process, TimeSpan.Zero);
                return Forget(Outcome.Error);
            }
            await exit;
        }
        await ended.CancelAsync();
        return Forget(Judge(process.ExitCode));
    }

    private Outcome Judge(int code)
    {
        if (_stopping.IsCancellationRequested)
        {
            return Outcome.Stopped;
        }
        lock (_gate)
        {
            if (_restartWanted)
            {
                return Outcome.Restart;
            }
        }
        switch (code)
        {
            case 0:
                Log.ExitedWithZero(_logger);
                return Outcome.Idle;
            case RestartExitCode:
                Log.AskedForRestart(_logger);
                return Outcome.Restart;
            default:
                Log.Crashed(_logger, code);
                return Outcome.Error;
        }
    }

    /// <summary>From here on events wait for the next process; after exit code 0 they go on to an address where nobody answers.</summary>
    private Outcome Forget(Outcome outcome)
    {
        lock (_gate)
        {
            _process = null;
            if (outcome is Outcome.Restart or Outcome.Error && _ready.Task.IsCompleted)
            {
                _ready = new TaskCompletionSource<Uri>(TaskCreationOptions.RunContinuationsAsynchronously);
            }
        }
        return outcome;
    }

    /// <summary>Any HTTP answer means ready, a socket error not yet, any other transport error counts as ready.</summary>
    private async Task<bool> Probe(Uri address, CancellationToken ended)
    {
        using var cancel = CancellationTokenSource.CreateLinkedTokenSource(ended, _stopping.Token);
        for (var waited = TimeSpan.Zero; waited < settings.InitializationTimeout && !cancel.IsCancellationRequested; waited += ProbePause)
        {
            try
            {
                using var answer = await _probe.GetAsync(address, HttpCompletionOption.ResponseHeadersRead, cancel.Token);
                return true;
            }
            catch (HttpRequestException e) when (e.InnerException is not System.Net.Sockets.SocketException)
            {
                return true;
            }
            catch (Exception e) when (e is HttpRequestException or OperationCanceledException)
            {
                // Not listening yet, or the process has ended; the loop's condition decides.
            }
            await Task.Delay(ProbePause, time, cancel.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        return false;
    }

    private void Relay(string? line, bool isError)
    {
        if (line is null)
        {
            return;
        }
        if (!isError)
        {
            Log.Output(_console, line);
        }
        else if (line.Contains("warn", StringComparison.OrdinalIgnoreCase))
        {
            Log.Warning(_console, line);
        }
        else
        {
            Log.Error(_console, line);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Information, "handler process {ProcessId} started for port {Port}")]
        public static partial void Started(ILogger logger, int processId, int port);

        [LoggerMessage(LogLevel.Information, "handler answers at {Address}")]
        public static partial void Ready(ILogger logger, Uri address);

        [LoggerMessage(LogLevel.Error, "handler was not ready within {Seconds} s")]
        public static partial void NotReady(ILogger logger, double seconds);

        [LoggerMessage(LogLevel.Error, "handler exited with code 0: it is not started again, every invocation fails; use another code")]
        public static partial void ExitedWithZero(ILogger logger);

        [LoggerMessage(LogLevel.Information, "handler exited with code 200: starting it again")]
        public static partial void AskedForRestart(ILogger logger);

        [LoggerMessage(LogLevel.Error, "handler exited with code {Code}")]
        public static partial void Crashed(ILogger logger, int code);

        [LoggerMessage(LogLevel.Warning, "killing the handler to start it again: {Why}")]
        public static partial void Restarting(ILogger logger, string why);

        [LoggerMessage(LogLevel.Information, "{Line}")]
        public static partial void Output(ILogger logger, string line);

        [LoggerMessage(LogLevel.Warning, "{Line}")]
        public static partial void Warning(ILogger logger, string line);

        [LoggerMessage(LogLevel.Error, "{Line}")]
        public static partial void Error(ILogger logger, string line);
    }
}
