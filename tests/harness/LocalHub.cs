using System.Text.Json;

namespace IotHub.Harness;

/// <summary>
/// The whole hub as <c>dotnet run --project infra/local</c> starts it: the built launcher as a process of its own, with a data folder
/// of its own and free ports.
/// </summary>
public sealed class LocalHub : IAsyncDisposable
{
    private const string BrokerStopped = "--without-broker";
    private static readonly TimeSpan ReadyDeadline = TimeSpan.FromSeconds(120);
    private static readonly TimeSpan StopDeadline = TimeSpan.FromSeconds(30);

    private readonly TempFolder? _ownFolder;
    private readonly ChildProcess _launcher;
    private ChildProcess? _broker;

    private LocalHub(ChildProcess launcher, string data, TempFolder? ownFolder)
    {
        _launcher = launcher;
        DataFolder = data;
        _ownFolder = ownFolder;
    }

    public string DataFolder { get; }
    public string EndpointsFile => Path.Combine(DataFolder, "endpoints.json");
    public LocalEndpoints Endpoints { get; private set; } = null!;
    public ChildProcess Launcher => _launcher;

    /// <summary>What launcher and broker wrote, for a failure's message.</summary>
    public string Logs => $"--- launcher ---\n{_launcher.Output}\n--- broker ---\n{_broker?.Output}\n{LogFiles()}";

    /// <summary>Starts a hub and waits until it is ready.</summary>
    /// <param name="data">Its data folder; a new temporary one when left out.</param>
    public static Task<LocalHub> Start(string? data = null, int basePort = 0) => Start(data, ["--base-port", $"{basePort}"]);

    /// <summary>Starts a hub whose broker this test starts and stops by itself.</summary>
    public static async Task<LocalHub> StartWithOwnBroker()
    {
        var hub = await Start(null, ["--base-port", "0", BrokerStopped]);
        await hub.StartBroker();
        return hub;
    }

    /// <summary>Runs the launcher with these arguments, without waiting for anything.</summary>
    public static ChildProcess Launch(IEnumerable<string> arguments, IReadOnlyDictionary<string, string?>? environment = null) =>
        ChildProcess.Start(Environment.ProcessPath!, [LauncherPath(), .. arguments], RepositoryRoot.Path, environment);

    public async Task StartBroker()
    {
        var command = Endpoints.BrokerCommand
            ?? throw new InvalidOperationException($"the launcher wrote no broker_command:\n{_launcher.Output}");
        _broker = ChildProcess.Start(command.Program, command.Arguments, environment: command.Environment);
        await Eventually.True(
            () => _broker.StandardOutput.Contains("ready {", StringComparison.Ordinal), TimeSpan.FromSeconds(30), () => _broker.Output);
    }

    /// <summary>Ends the broker at once, as a crash does.</summary>
    public async Task KillBroker()
    {
        if (_broker is { } broker)
        {
            await broker.DisposeAsync();
            _broker = null;
        }
    }

    /// <summary>Sends a signal to the broker: STOP makes it hang, CONT lets it go on.</summary>
    public void SignalBroker(string signal) => ChildProcess.Signal(_broker?.Pid ?? Endpoints.Pids.Broker, signal);

    /// <summary>Stops as Ctrl-C does and gives the launcher's exit code.</summary>
    public async Task<int> Stop()
    {
        await KillBroker();
        _launcher.Signal("INT");
        return await _launcher.WaitForExit(StopDeadline);
    }

    public async ValueTask DisposeAsync()
    {
        if (!_launcher.HasExited)
        {
            try
            {
                await Stop();
            }
            catch (TimeoutException)
            {
                // What the launcher left running is ended below, with its whole tree.
            }
        }
        await _launcher.DisposeAsync();
        _ownFolder?.Dispose();
    }

    private static async Task<LocalHub> Start(string? data, string[] arguments)
    {
        var folder = data is null ? new TempFolder("hub") : null;
        var path = data ?? folder!.Path;
        var launcher = Launch(["--data", path, .. arguments]);
        var hub = new LocalHub(launcher, path, folder);
        try
        {
            hub.Endpoints = await Eventually.Get(hub.TryReadEndpoints, ReadyDeadline, () => hub.Logs);
            return hub;
        }
        catch
        {
            await hub.DisposeAsync();
            throw;
        }
    }

    private Task<LocalEndpoints?> TryReadEndpoints()
    {
        if (_launcher.HasExited)
        {
            throw new Xunit.Sdk.XunitException($"the launcher ended with {_launcher.ExitCode} before it was ready:\n{_launcher.Output}");
        }
        try
        {
            return Task.FromResult<LocalEndpoints?>(File.Exists(EndpointsFile) ? LocalEndpoints.Read(EndpointsFile) : null);
        }
        catch (JsonException e)
        {
            throw new Xunit.Sdk.XunitException($"{EndpointsFile} is not what it should be: {e.Message}\n{File.ReadAllText(EndpointsFile)}");
        }
    }

    private string LogFiles()
    {
        var logs = new System.Text.StringBuilder();
        foreach (var file in Directory.Exists(DataFolder) ? Directory.GetFiles(DataFolder, "*.log", SearchOption.AllDirectories) : [])
        {
            var text = File.ReadAllText(file);
            logs.Append($"--- {Path.GetFileName(file)} ---\n{text[Math.Max(0, text.Length - 20_000)..]}\n");
        }
        return logs.ToString();
    }

    private static string LauncherPath()
    {
        // bin/<configuration>/net10.0 of the test tells which build of the launcher belongs to it.
        var framework = new DirectoryInfo(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar));
        var path = RepositoryRoot.Combine("infra", "local", "bin", framework.Parent!.Name, framework.Name, "IotHub.Local.dll");
        return File.Exists(path) ? path : throw new InvalidOperationException($"{path} is missing: build infra/local first");
    }
}
