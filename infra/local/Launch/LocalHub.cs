using System.Globalization;
using System.Net;
using System.Runtime.InteropServices;
using IotHub.Local.Processes;

namespace IotHub.Local.Launch;

/// <summary>
/// The whole hub on this machine: Azurite, then the function app and the broker; stopped in the reverse order.
/// </summary>
public sealed class LocalHub : IAsyncDisposable
{
    private const string Loopback = "127.0.0.1";
    private const string LoopbackNetworks = "127.0.0.0/8,::1/128";
    private static readonly TimeSpan StopGrace = TimeSpan.FromSeconds(5);

    private readonly Checkout _checkout;
    private readonly DataFolder _data;
    private readonly Ports _ports;
    private readonly OrphanGuard _guard;
    private readonly TimeProvider _time;
    private readonly Action<string> _progress;
    private readonly HttpClient _http = new(new SocketsHttpHandler { UseProxy = false }) { Timeout = TimeSpan.FromSeconds(10) };
    private readonly Lock _gate = new();
    private Func<Child>? _startAzurite;
    private StartCommand? _brokerCommand;
    private Child? _azurite;
    private Child? _broker;
    private IFunctionApp? _functions;
    private Endpoints? _endpoints;

    private LocalHub(Checkout checkout, DataFolder data, Ports ports, OrphanGuard guard, TimeProvider time, Action<string> progress)
    {
        _checkout = checkout;
        _data = data;
        _ports = ports;
        _guard = guard;
        _time = time;
        _progress = progress;
    }

    public Endpoints Endpoints => _endpoints ?? throw new InvalidOperationException("the hub is not ready yet");

    /// <summary>Returns when everything is ready. What was started is stopped again when something stands in the way.</summary>
    /// <exception cref="LaunchException">Something stands in the way.</exception>
    public static async Task<LocalHub> Start(LocalOptions options, TimeProvider time, Action<string> progress, CancellationToken cancel)
    {
        var checkout = Checkout.Find();
        var data = DataFolder.Open(options.DataFolder ?? checkout.DefaultDataFolder);
        LocalHub hub;
        try
        {
            await data.ClearLeftovers(cancel);
            var ports = Ports.From(options.BasePort ?? Ports.DefaultBase);
            ports.MustBeFree();
            hub = new LocalHub(checkout, data, ports, OrphanGuard.Start(), time, progress);
        }
        catch
        {
            data.Dispose();
            throw;
        }
        try
        {
            await hub.StartAll(options, cancel);
            return hub;
        }
        catch
        {
            await hub.DisposeAsync();
            throw;
        }
    }

    /// <summary>
    /// Waits until <paramref name="stop"/>. Azurite or a broker that dies is started again, on the same ports with the same data; one that
    /// dies too often is the exception. The function app has a host of its own that does this.
    /// </summary>
    /// <param name="warn">Told a sentence about each child that died and is started again.</param>
    public async Task Run(Action<string> warn, CancellationToken stop)
    {
        var stopped = Task.Delay(Timeout.InfiniteTimeSpan, _time, stop);
        var deaths = new Deaths(_time);
        while (true)
        {
            var first = await Task.WhenAny(stopped, _azurite!.Exited, _broker?.Exited ?? stopped, _functions!.Ended);
            if (first == stopped || stop.IsCancellationRequested)
            {
                return;
            }
            if (first == _functions.Ended)
            {
                throw await _functions.Ended;
            }
            var dead = first == _azurite.Exited ? _azurite : _broker!;
            var death = dead.Death();
            if (deaths.AreTooMany(dead.Name))
            {
                throw death;
            }
            warn($"{death.Message.TrimEnd('.')}; it is started again.");
            await Replace(dead, stop);
        }
    }

    private async Task Replace(Child dead, CancellationToken stop)
    {
        await dead.Stop(TimeSpan.Zero);
        dead.Dispose();
        dead.Log.Dispose();
        if (dead == _azurite)
        {
            _azurite = _startAzurite!();
            await Storage.UntilReady(_azurite, _ports, _http, stop);
        }
        else
        {
            await BrokerProgram.Start(_brokerCommand!, _data, _ports, _http, _guard, child => _broker = child, stop);
        }
        lock (_gate)
        {
            if (_endpoints is not null)
            {
                _endpoints = _endpoints with
                {
                    Pids = _endpoints.Pids with { Azurite = _azurite!.ProcessId, Broker = _broker?.ProcessId ?? 0 },
                };
                _data.Write(_endpoints);
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            _endpoints = null;
            _data.RemoveEndpoints();
        }
        if (_functions is not null)
        {
            await _functions.Stop(StopGrace);
            await _functions.DisposeAsync();
        }
        foreach (var child in (Child?[])[_broker, _azurite])
        {
            if (child is not null)
            {
                await child.Stop(StopGrace);
                child.Dispose();
                child.Log.Dispose();
            }
        }
        _guard.Dispose();
        _http.Dispose();
        _data.Dispose();
    }

    private async Task StartAll(LocalOptions options, CancellationToken cancel)
    {
        var credentials = _data.ReadCredentials();
        var certificate = ServerCertificate.Prepare(_data.Certificates, _time);
        var node = await NodePackages.FindNode(cancel);
        await NodePackages.Install(_checkout.AzuriteFolder, Path.Combine(_data.Logs, "npm.log"), _progress, _guard, cancel);

        _progress("starting Azurite");
        _startAzurite = () => Storage.Start(node, _checkout.AzuriteFolder, _data, _ports, _guard);
        _azurite = _startAzurite();
        await Storage.UntilReady(_azurite, _ports, _http, cancel);

        var isNew = credentials is null;
        credentials ??= Credentials.New();
        var settings = Settings(credentials, certificate);
        if (isNew)
        {
            _progress("creating an API key");
            credentials = await ApiKeys.Create(_checkout, credentials, settings, cancel);
            _data.Write(credentials);
        }
        var broker = BrokerProgram.Command(_checkout, _data, _ports, certificate, settings);
        _brokerCommand = broker;
        await StartApplications(options, broker, settings, cancel);
        credentials = await WithWorkingKey(credentials, settings, cancel);
        _functions!.ProcessChanged += HandlerChanged;
        lock (_gate)
        {
            _endpoints = Describe(credentials, certificate) with { BrokerCommand = options.WithoutBroker ? broker : null };
            _data.Write(_endpoints);
        }
    }

    private void HandlerChanged(int processId)
    {
        lock (_gate)
        {
            if (_endpoints is not null)
            {
                _endpoints = _endpoints with { Pids = _endpoints.Pids with { Functions = processId } };
                _data.Write(_endpoints);
            }
        }
    }

    private async Task StartApplications(
        LocalOptions options, StartCommand brokerCommand, Dictionary<string, string> settings, CancellationToken cancel)
    {
        var func = options.StandIn ? null : Executables.Find("func");
        var host = func is null ? "the stand-in host" : "Azure Functions Core Tools";
        _progress($"starting {(options.WithoutBroker ? "" : "the broker and ")}the function app under {host}");
        using var together = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        var functions = StartFunctions(func, settings, together.Token);
        var broker = options.WithoutBroker
            ? Task.CompletedTask
            : BrokerProgram.Start(brokerCommand, _data, _ports, _http, _guard, child => _broker = child, together.Token);
        try
        {
            // Whichever fails first is the reason; the other is no longer waited for.
            await await Task.WhenAny(broker, functions);
            await Task.WhenAll(broker, functions);
        }
        finally
        {
            await together.CancelAsync();
            await Task.WhenAll(broker, functions).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task StartFunctions(string? func, Dictionary<string, string> settings, CancellationToken cancel)
    {
        var log = new CappedLog(Path.Combine(_data.Logs, "functions.log"));
        _functions = func is null
            ? await StandInApp.Start(_checkout.FunctionsFolder, _ports.Api, settings, log, StopGrace, _guard, _time)
            : CoreToolsApp.Start(func, _checkout.FunctionsFolder, _ports.Api, settings, log, _guard);
        await _functions.UntilHealthy(new Uri($"{ApiUrl}/health"), _http, cancel);
    }

    /// <summary>The key of a folder whose storage was emptied is no key any more; then there is a new one.</summary>
    private async Task<Credentials> WithWorkingKey(Credentials credentials, Dictionary<string, string> settings, CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"{ApiUrl}/iot/v1/regions/{Region}/hubs?page_size=1");
        request.Headers.Add("X-Auth-Token", credentials.SecretKey);
        using var answer = await _http.SendAsync(request, cancel);
        if (answer.StatusCode is not (HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden))
        {
            return credentials;
        }
        _progress("the API key is not known to the storage any more: creating another");
        credentials = await ApiKeys.Create(_checkout, credentials, settings, cancel);
        _data.Write(credentials);
        return credentials;
    }

    private static string Region => Environment.GetEnvironmentVariable("IOTHUB_REGION") is { Length: > 0 } region ? region : "fr-par";

    private string ApiUrl => Url("http", _ports.Api, "");

    private Dictionary<string, string> Settings(Credentials credentials, ServerCertificate certificate)
    {
        var ingest = string.Create(CultureInfo.InvariantCulture, $"{Loopback}:{_ports.Api}/ingest");
        var settings = new Dictionary<string, string>
        {
            ["FUNCTIONS_WORKER_RUNTIME"] = "custom",
            ["AzureWebJobsStorage"] = Storage.ConnectionString(_ports),
            ["IOTHUB_REGION"] = Region,
            ["IOTHUB_BROKER_URL"] = Url("http", _ports.Internal, ""),
            ["IOTHUB_BROKER_KEY"] = credentials.BrokerKey,
            ["IOTHUB_SEALING_KEY"] = credentials.SealingKey,
            ["IOTHUB_MQTT_ENDPOINT"] = "localhost",
            ["IOTHUB_REST_ENDPOINT"] = $"{ingest}/rest",
            ["IOTHUB_SIGFOX_ENDPOINT"] = $"{ingest}/sigfox",
            ["IOTHUB_ROUTE_ALLOWED_NETWORKS"] = LoopbackNetworks,
            ["IOTHUB_SERVER_CA"] = certificate.CaFile,
        };
        // The children are framework-dependent: they get the runtime that runs this.
        if (string.IsNullOrEmpty(Environment.GetEnvironmentVariable("DOTNET_ROOT")))
        {
            settings["DOTNET_ROOT"] = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", ".."));
        }
        return settings;
    }

    private Endpoints Describe(Credentials credentials, ServerCertificate certificate) => new()
    {
        ApiUrl = ApiUrl,
        Region = Region,
        AccessKey = credentials.AccessKey,
        SecretKey = credentials.SecretKey,
        ProjectId = credentials.ProjectId,
        OrganizationId = credentials.OrganizationId,
        Mqtt = new MqttEndpoints(Loopback, _ports.Mqtt, _ports.MqttTls, Url("ws", _ports.Ws, "/mqtt"), Url("wss", _ports.Wss, "/mqtt")),
        Ingest = new IngestEndpoints(Url("http", _ports.Api, "/ingest/rest"), Url("http", _ports.Api, "/ingest/sigfox")),
        StorageConnectionString = Storage.ConnectionString(_ports),
        Pids = new ChildIds(_azurite!.ProcessId, _functions!.ProcessId, _broker?.ProcessId ?? 0),
        ServerCa = certificate.CaFile,
    };

    private static string Url(string scheme, int port, string path) =>
        string.Create(CultureInfo.InvariantCulture, $"{scheme}://{Loopback}:{port}{path}");
}
