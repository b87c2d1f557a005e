using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using IotHub.Broker.Auth;
using IotHub.Broker.Bridge;
using IotHub.Broker.Durability;
using IotHub.Broker.Sessions;
using IotHub.Broker.Telemetry;
using IotHub.Broker.Transport;
using Microsoft.AspNetCore.Connections;

namespace IotHub.Broker;

/// <summary>The ports that are listened on; null where none was asked for.</summary>
public sealed record BrokerPorts(int Port, int? TlsPort, int? WsPort, int? WssPort, int? InternalPort);

/// <summary>A running broker: options, storage and directory, the broker, listeners, in that order; stopped the other way round.</summary>
public sealed partial class BrokerHost : IAsyncDisposable
{
    /// <summary>What clients may take to read their last packet when the broker stops.</summary>
    private static readonly TimeSpan FarewellTime = TimeSpan.FromSeconds(5);
    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    private readonly MqttBroker _broker;
    private readonly StorageBridge? _storage;
    private readonly ILogger<BrokerHost> _logger;
    private readonly List<IClientListener> _tcp = [];
    private readonly CancellationTokenSource _stopTimers = new();
    private readonly TimeProvider _clock;
    private LaneLogs? _logs;
    private EpollLoop? _epoll;
    private HttpListenerHost? _webSockets;
    private HttpListenerHost? _internal;
    private Task _timers = Task.CompletedTask;
    private Task _sys = Task.CompletedTask;
    private int _stopping;

    private BrokerHost(MqttBroker broker, StorageBridge? storage, TimeProvider clock, ILogger<BrokerHost> logger)
    {
        _broker = broker;
        _storage = storage;
        _clock = clock;
        _logger = logger;
    }

    public BrokerPorts Ports { get; private set; } = new(0, null, null, null, null);

    public IBrokerControl Control => _broker;

    /// <summary>The line that tells whoever started us that clients may come.</summary>
    public string ReadyLine => "ready " + JsonSerializer.Serialize(Ports, Json);

    /// <exception cref="StartException">It cannot be started as asked.</exception>
    public static async Task<BrokerHost> Start(
        BrokerOptions options, BrokerSettings settings, ILoggerFactory logging, TimeProvider clock, CancellationToken cancel)
    {
        var certificate = options.CertificateFile is { } file ? ServerCertificate.Read(file, options.KeyFile) : null;
        var logger = logging.CreateLogger<BrokerHost>();
        var limits = new BridgeLimits();
        var storage = options.Standalone ? null : StorageBridge.Create(options, settings, limits, clock, logging);
        var credentials = options.ScramCredentialsFile is { } credentialsFile ? ScramCommand.ReadFile(credentialsFile) : null;
        var standalone = credentials is null ? (IAuthenticator)new AnonymousAuthenticator() : new ProvenAuthenticator();
        var store = options.DataFolder is { } folder ? BrokerStore.Open(folder, MqttBroker.DefaultLanes) : null;
        var broker = new MqttBroker(
            Limits(options.Limits, isAnonymous: options.Standalone && credentials is null), storage?.Authenticator ?? standalone,
            storage?.Outbound ?? (IOutboundBridge)new NullBridge(), clock, store?.Shards ?? MqttBroker.DefaultLanes)
        {
            ChecksRestored = storage is not null,
            Logger = logging.CreateLogger<MqttBroker>(),
            EnhancedAuthentication = credentials is null ? null : new ScramSha256(credentials),
            HandOverTo = options.HandOverTo,
            Twins = storage?.Twins,
        };
        var host = new BrokerHost(broker, storage, clock, logger);
        try
        {
            host._logs = store is null ? null : LaneLogs.Open(broker, store, options.Log, logging.CreateLogger<LaneLogs>());
            if (storage is null)
            {
                broker.Configure(AnonymousAuthenticator.HubId, new HubSettings(null, settings.EventsSeverityFirst, []));
                if (options.SysIntervalSeconds > 0)
                {
                    var sys = new SysTopics(broker, AnonymousAuthenticator.HubId, clock);
                    host._sys = sys.Run(TimeSpan.FromSeconds(options.SysIntervalSeconds), host._stopTimers.Token);
                }
            }
            else
            {
                await storage.Start(broker, broker, cancel);
                storage.LookUp(broker.Restored());
            }
            host._timers = broker.RunTimers(host._stopTimers.Token);
            await host.Listen(options, settings, certificate, limits, logging);
            if (storage is null && credentials is null)
            {
                Log.Standalone(logger, options.Bind);
            }
            if (store is null)
            {
                Log.NothingSurvives(logger);
            }
            return host;
        }
        catch
        {
            await host.DisposeAsync();
            throw;
        }
    }

    private static BrokerLimits Limits(BrokerLimits limits, bool isAnonymous)
    {
        limits = limits with { ConnectionsMaximum = Math.Min(limits.ConnectionsMaximum, OpenFiles.LeftForClients()) };
        // All clients of the stand-alone mode are one device: it may have as many sessions as there are connections.
        return isAnonymous ? limits with { SessionsPerDeviceMaximum = limits.ConnectionsMaximum } : limits;
    }

    /// <summary>Lets go of everything in order: no new work, clients told and read out, what is owed handed over.</summary>
    public async Task Stop()
    {
        if (Interlocked.Exchange(ref _stopping, 1) != 0)
        {
            return;
        }
        // A host that could not be started says only why.
        var wasReady = Ports.Port != 0;
        if (wasReady)
        {
            Log.Stopping(_logger, _broker.Connections);
        }
        if (_broker.HandOverTo is null)
        {
            await StopListening();
        }
        if (_internal is not null)
        {
            await _internal.Stop();
        }
        if (_storage is not null)
        {
            await _storage.StopReading();
        }
        _broker.Stop();
        await Farewell();
        // Until here whoever still comes is sent to the other server.
        await StopListening();
        if (_epoll is not null)
        {
            await _epoll.DisposeAsync();
        }
        if (_webSockets is not null)
        {
            await _webSockets.Stop();
        }
        await _stopTimers.CancelAsync();
        await _timers;
        await _sys;
        if (_storage is not null)
        {
            await _storage.StopSending();
        }
        _logs?.Stop();
        if (wasReady)
        {
            Log.Stopped(_logger);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Stop();
        foreach (var http in new[] { _internal, _webSockets })
        {
            if (http is not null)
            {
                await http.DisposeAsync();
            }
        }
        _storage?.Dispose();
        _logs?.Dispose();
        _stopTimers.Dispose();
    }

    private async Task Listen(
        BrokerOptions options, BrokerSettings settings, ServerCertificate? certificate, BridgeLimits limits, ILoggerFactory logging)
    {
        _epoll = options.UseEpoll ? new EpollLoop(_broker, logging.CreateLogger<EpollLoop>()) : null;
        _broker.SocketThread = _epoll is null ? null : _epoll.Call;
        var port = ListenTcp(options.Bind, options.Port, null);
        var tls = options.TlsPort is { } tlsPort ? ListenTcp(options.Bind, tlsPort, certificate) : (int?)null;
        List<HttpListening> webSockets = [];
        if (options.WsPort is { } ws)
        {
            webSockets.Add(new HttpListening(new IPEndPoint(options.Bind, ws)));
        }
        if (options.WssPort is { } wss)
        {
            webSockets.Add(new HttpListening(new IPEndPoint(options.Bind, wss), certificate!.Leaf, certificate.Chain));
        }
        if (webSockets.Count > 0)
        {
            _webSockets = await ListenHttp(options.Bind, () => WebSocketTransport.Start(_broker, webSockets, logging));
        }
        if (options.InternalPort is { } internalPort)
        {
            _internal = await ListenHttp(options.Bind, () => InternalEndpoint.Start(
                new IPEndPoint(options.Bind, internalPort), _storage?.Inbound, _storage?.Feed, WhyNotServing, settings.BrokerKey, limits,
                logging));
        }
        Ports = new BrokerPorts(
            port, tls, options.WsPort is null ? null : _webSockets!.Ports[0], options.WssPort is null ? null : _webSockets!.Ports[^1],
            _internal?.Ports[0]);
        foreach (var listener in _tcp)
        {
            listener.Start();
        }
    }

    private int ListenTcp(IPAddress address, int port, ServerCertificate? certificate)
    {
        try
        {
            var endPoint = new IPEndPoint(address, port);
            IClientListener listener = _epoll is not null && certificate is null
                ? new EpollListener(_epoll, endPoint)
                : new TcpListenerLoop(_broker, endPoint, certificate?.Context);
            _tcp.Add(listener);
            return listener.EndPoint.Port;
        }
        catch (SocketException e)
        {
            throw new StartException($"cannot listen on {new IPEndPoint(address, port)}: {e.Message.ToLowerInvariant()}", e);
        }
    }

    private static async Task<HttpListenerHost> ListenHttp(IPAddress address, Func<Task<HttpListenerHost>> start)
    {
        try
        {
            return await start();
        }
        catch (IOException e) when (e.InnerException is AddressInUseException or SocketException)
        {
            // The message names the address.
            throw new StartException($"cannot listen: {e.Message.TrimEnd('.')}", e);
        }
        catch (SocketException e)
        {
            throw new StartException($"cannot listen on {address}: {e.Message.ToLowerInvariant()}", e);
        }
    }

    private async Task StopListening()
    {
        foreach (var listener in _tcp)
        {
            await listener.DisposeAsync();
        }
        _tcp.Clear();
    }

    private string? WhyNotServing() => Volatile.Read(ref _stopping) != 0
        ? "the broker is stopping"
        : _storage is { Directory.IsCurrent: false } ? "the registry cannot be read" : null;

    private async Task Farewell()
    {
        var since = _clock.GetTimestamp();
        while (_broker.Connections > 0 && _clock.GetElapsedTime(since) < FarewellTime)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(10), _clock);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(3, LogLevel.Warning,
            "Stand-alone: whoever reaches {Address} may connect, publish and subscribe to everything")]
        public static partial void Standalone(ILogger logger, IPAddress address);

        [LoggerMessage(4, LogLevel.Warning,
            "Without --data DIR sessions, their messages and retained messages live in memory: nothing of them survives this process")]
        public static partial void NothingSurvives(ILogger logger);

        [LoggerMessage(1, LogLevel.Information, "Stopping: {Count} connections are told")]
        public static partial void Stopping(ILogger logger, int count);

        [LoggerMessage(2, LogLevel.Information, "Stopped")]
        public static partial void Stopped(ILogger logger);
    }
}
