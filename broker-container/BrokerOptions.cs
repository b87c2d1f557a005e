using System.Globalization;
using System.Net;
using IotHub.Broker.Durability;
using IotHub.Broker.Transport;

namespace IotHub.Broker;

/// <summary>The command line or a setting is wrong, or cannot be had. The message is one sentence for the operator.</summary>
public sealed class StartException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>What the command line says: where to listen, and how. Port 0 takes a free one, null none.</summary>
public sealed record BrokerOptions
{
    public const string Usage =
        """
        usage: IotHub.Broker [options]
          --bind ADDRESS        address to listen on; default 127.0.0.1, all: 0.0.0.0 or ::
          --port N              MQTT; default 1883, 0 takes a free port (as for every port)
          --tls-port N          MQTT over TLS, client certificates welcome
          --ws-port N           MQTT over WebSocket, path /mqtt
          --wss-port N          MQTT over secure WebSocket
          --cert FILE           the server's certificate (PEM), then those between it and its root
          --key FILE            its private key (PEM); default: in the certificate's file
          --internal-port N     HTTP for the functions: messages, changes, /health
          --transport NAME      of plain TCP: epoll (an own loop; default on Linux) or sockets (the framework's; default elsewhere)
          --hand-over-to SERVER at its end the broker sends its clients (MQTT 5) there: HOST:PORT, or several separated by spaces
          --data DIR            folder for sessions, their messages and retained messages (made when it is not there): what is acknowledged
                                is on its disk. Without it they live in memory
          --segment-bytes N     size of a file of the log, which is deleted as a whole; default 16777216, from 65536
          --queue-messages N    most messages that wait for one session; default 100000
          --queue-bytes N       most bytes of them; default 33554432
          --hub-bytes N         most bytes that wait for all sessions of a hub; default 146800640
          --queue-overflow P    which go when there are more: drop-newest (default) or drop-oldest
          --standalone          no registry and no queues: everyone may connect and do everything
          --sys-interval N      with --standalone: publish figures under $SYS every N seconds; default 0, never
          --scram-credentials FILE
                                stand-alone: only who proves a name by SCRAM-SHA-256 (MQTT 5) comes in; lines are made by
                                "IotHub.Broker scram-credential NAME", which reads the password from its input
          --log-level LEVEL     trace, debug, information (default), warning, error, critical or none
          --help                this text
        settings (environment): AzureWebJobsStorage or AzureWebJobsStorage__accountName, IOTHUB_BROKER_KEY, IOTHUB_EVENTS_LAYOUT
        """;

    public IPAddress Bind { get; init; } = IPAddress.Loopback;
    public int Port { get; init; } = 1883;
    public int? TlsPort { get; init; }
    public int? WsPort { get; init; }
    public int? WssPort { get; init; }
    public string? CertificateFile { get; init; }
    public string? KeyFile { get; init; }
    public int? InternalPort { get; init; }

    /// <summary>Plain TCP over the own loop, not the framework's sockets. (decision D4b)</summary>
    public bool UseEpoll { get; init; } = EpollLoop.IsSupported;
    public string? DataFolder { get; init; }

    /// <summary>How its files are cut; a log of less than two of them is never cleaned.</summary>
    public LogOptions Log { get; init; } = new();

    /// <summary>Quotas that the command line set; the others have their defaults.</summary>
    public BrokerLimits Limits { get; init; } = new();

    /// <summary>Server Reference for the clients of a broker that stops; null for none.</summary>
    public string? HandOverTo { get; init; }
    public bool Standalone { get; init; }

    /// <summary>Seconds between figures under $SYS; 0 for none.</summary>
    public int SysIntervalSeconds { get; init; }

    /// <summary>Names and keys of those who may come in; null lets everyone in.</summary>
    public string? ScramCredentialsFile { get; init; }
    public LogLevel LogLevel { get; init; } = LogLevel.Information;
    public bool Help { get; init; }

    /// <exception cref="StartException">An option is unknown or its value wrong.</exception>
    public static BrokerOptions Parse(IReadOnlyList<string> args)
    {
        var options = new BrokerOptions();
        for (var i = 0; i < args.Count; i++)
        {
            var name = args[i];
            options = name switch
            {
                "--bind" => options with { Bind = Address(Value()) },
                "--port" => options with { Port = PortNumber(name, Value()) },
                "--tls-port" => options with { TlsPort = PortNumber(name, Value()) },
                "--ws-port" => options with { WsPort = PortNumber(name, Value()) },
                "--wss-port" => options with { WssPort = PortNumber(name, Value()) },
                "--cert" => options with { CertificateFile = Value() },
                "--key" => options with { KeyFile = Value() },
                "--internal-port" => options with { InternalPort = PortNumber(name, Value()) },
                "--transport" => options with { UseEpoll = IsEpoll(Value()) },
                "--hand-over-to" => options with { HandOverTo = Servers(Value()) },
                "--data" => options with { DataFolder = Value() },
                "--segment-bytes" => options with { Log = Segments(Number(name, Value(), int.MaxValue, minimum: 64 * 1024)) },
                "--queue-messages" => options with
                {
                    Limits = options.Limits with { QueuedMessagesPerSessionMaximum = (int)Number(name, Value(), int.MaxValue) },
                },
                "--queue-bytes" => options with
                {
                    Limits = options.Limits with { QueuedBytesPerSessionMaximum = Number(name, Value(), long.MaxValue) },
                },
                "--hub-bytes" => options with
                {
                    Limits = options.Limits with { StoredBytesPerHubMaximum = Number(name, Value(), long.MaxValue) },
                },
                "--queue-overflow" => options with { Limits = options.Limits with { QueueOverflow = Overflow(Value()) } },
                "--standalone" => options with { Standalone = true },
                "--sys-interval" => options with { SysIntervalSeconds = Seconds(name, Value()) },
                "--scram-credentials" => options with { ScramCredentialsFile = Value() },
                "--log-level" => options with { LogLevel = Level(Value()) },
                "--help" or "-h" => options with { Help = true },
                _ => throw new StartException($"unknown option {name}: --help lists them all"),
            };

            string Value() => ++i < args.Count ? args[i] : throw new StartException($"{name} needs a value");
        }
        return options.Help ? options : options.Checked();
    }

    private BrokerOptions Checked()
    {
        if ((TlsPort ?? WssPort) is not null && CertificateFile is null)
        {
            var option = TlsPort is null ? "--wss-port" : "--tls-port";
            throw new StartException($"{option} needs a certificate: give --cert FILE and --key FILE");
        }
        if (SysIntervalSeconds > 0 && !Standalone)
        {
            throw new StartException("--sys-interval goes with --standalone only");
        }
        if (ScramCredentialsFile is not null && !Standalone)
        {
            throw new StartException("--scram-credentials goes with --standalone only: otherwise devices are known from the registry");
        }
        try
        {
            Limits.Validate();
        }
        catch (ArgumentException e)
        {
            throw new StartException(e.Message, e);
        }
        var fixedPorts = new[] { Port, TlsPort, WsPort, WssPort, InternalPort }.Where(port => port > 0).ToList();
        var twice = fixedPorts.GroupBy(port => port).FirstOrDefault(same => same.Count() > 1);
        return twice is null ? this : throw new StartException($"port {twice.Key} is given twice");
    }

    private static IPAddress Address(string text) => IPAddress.TryParse(text, out var address)
        ? address
        : throw new StartException($"--bind: \"{text}\" is not an IP address");

    private static int PortNumber(string name, string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port <= IPEndPoint.MaxPort
            ? port
            : throw new StartException($"{name}: \"{text}\" is not a port (0 to 65535)");

    private static int Seconds(string name, string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) && seconds <= 86_400
            ? seconds
            : throw new StartException($"{name}: \"{text}\" is not a number of seconds (0 to 86400)");

    private static long Number(string name, string text, long maximum, long minimum = 1) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= minimum && number <= maximum
            ? number
            : throw new StartException(string.Create(
                CultureInfo.InvariantCulture, $"{name}: \"{text}\" is not a number from {minimum} to {maximum}"));

    private static LogOptions Segments(long bytes) => new() { SegmentBytes = bytes, CleanFromBytes = 2 * bytes };

    private static QueueOverflow Overflow(string text) => text switch
    {
        "drop-newest" => QueueOverflow.DropNewest,
        "drop-oldest" => QueueOverflow.DropOldest,
        _ => throw new StartException($"--queue-overflow: \"{text}\" is neither drop-newest nor drop-oldest"),
    };

    private static string Servers(string text)
    {
        const int lengthMaximum = 1_000;
        return text.Length <= lengthMaximum && Array.TrueForAll(text.Split(' '), IsServer) ? text
            : throw new StartException($"--hand-over-to: \"{text}\" is not HOST:PORT, or several of them separated by one space");

        static bool IsServer(string server) => server.LastIndexOf(':') is > 0 and var colon
            && int.TryParse(server[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var port)
            && port is > 0 and <= IPEndPoint.MaxPort && server.All(c => char.IsAscii(c) && !char.IsControl(c));
    }

    private static bool IsEpoll(string text) => text switch
    {
        "sockets" => false,
        "epoll" when EpollLoop.IsSupported => true,
        "epoll" => throw new StartException("--transport: epoll needs Linux on x64 or arm64; sockets serves everywhere"),
        _ => throw new StartException($"--transport: \"{text}\" is neither epoll nor sockets"),
    };

    private static LogLevel Level(string text) =>
        Enum.TryParse<LogLevel>(text, ignoreCase: true, out var level) && Enum.IsDefined(level) && !int.TryParse(text, out _)
        ? level
        : throw new StartException($"--log-level: \"{text}\" is not one of trace, debug, information, warning, error, critical, none");
}

/// <summary>What the environment says; the same names as for the functions.</summary>
public sealed record BrokerSettings
{
    /// <summary>Connection string, or null when <see cref="StorageAccountName"/> is reached with an identity.</summary>
    public string? StorageConnectionString { get; init; }

    public string? StorageAccountName { get; init; }

    /// <summary>Shared secret of the internal endpoint.</summary>
    public string? BrokerKey { get; init; }

    /// <summary>Event topics <c>prefix/severity/source/id</c> instead of <c>prefix/source/id/severity</c>.</summary>
    public bool EventsSeverityFirst { get; init; }

    public static BrokerSettings FromEnvironment() => From(Environment.GetEnvironmentVariable);

    /// <exception cref="StartException">One is wrong.</exception>
    public static BrokerSettings From(Func<string, string?> environment) => new()
    {
        StorageConnectionString = Read(environment, "AzureWebJobsStorage"),
        StorageAccountName = Read(environment, "AzureWebJobsStorage__accountName"),
        BrokerKey = Read(environment, "IOTHUB_BROKER_KEY"),
        EventsSeverityFirst = Read(environment, "IOTHUB_EVENTS_LAYOUT") switch
        {
            null or "source-first" => false,
            "severity-first" => true,
            var other => throw new StartException($"IOTHUB_EVENTS_LAYOUT is \"{other}\": it must be source-first or severity-first"),
        },
    };

    private static string? Read(Func<string, string?> environment, string name) =>
        environment(name)?.Trim() is { Length: > 0 } value ? value : null;
}
