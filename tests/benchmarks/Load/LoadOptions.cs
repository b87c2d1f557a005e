using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace IotHub.Benchmarks.Load;

internal enum LoadMode
{
    /// <summary>Many publishers, one subscriber (or several, each taking all).</summary>
    FanIn,

    /// <summary>One publisher, many subscribers.</summary>
    FanOut,

    /// <summary>Each publisher has a subscriber of its own.</summary>
    Pair,

    /// <summary>Connections that come, subscribe and stay silent: the cost of one.</summary>
    Storm,
}

/// <summary>What the generator is asked to do.</summary>
internal sealed record LoadOptions
{
    public const string Usage =
        """
        load fanin|fanout|pair|storm [options]; prints one JSON line
          --port N [--host IPv4]     the broker; --pid N is its process here, for CPU and memory
          --publishers N             fanin, pair: 50       --subscribers N   fanin: 1, fanout: 100
          --qos 0|1|2 (0)  --size BYTES (64, from 24)  --version 3|5 (3 = 3.1.1)  --tls [--client-certificate]
          --outstanding N (4096)     closed loop: deliveries on their way at most, over all
          --rate N                   paced instead: messages per second over all publishers, one to a write
          --tick MICROSECONDS (0)    paced: looks at clock and sockets so often, and in between at nothing; 0: at once
          --batch N (8)              closed loop: messages per write of a publisher at most
          --window N (16)            unacknowledged QoS 1 and 2 publishes of a publisher at most
          --persistent               the subscribers' sessions outlive their connections (QoS 1 and 2)
          --offline                  and nobody is there: messages wait, are fetched and checked at the end, and the sessions ended
          --messages N               end after so many at the latest
          --warmup SECONDS (1)  --seconds N (3)   only the seconds after the warm-up count
          --crowd N                  idle subscribers beside    --filters N   more filters in the broker's tree
          --threads N (1)            of the generator
          storm: --connections N (10000)  --opening N at once (128)  --sources N loopback addresses (4)  --hold SECONDS (2)
        """;

    public LoadMode Mode { get; init; }
    public IPEndPoint Broker { get; init; } = new(IPAddress.Loopback, 1883);
    public int Pid { get; init; }
    public int Publishers { get; init; } = 50;
    public int Subscribers { get; init; } = 1;
    public int Qos { get; init; }
    public int Size { get; init; } = 64;
    public bool IsV5 { get; init; }
    public bool Tls { get; init; }
    public bool ClientCertificate { get; init; }
    public int Outstanding { get; init; } = 4096;
    public double Rate { get; init; }

    /// <summary>Paced: nanoseconds between two looks at the clock and the sockets; 0 for as soon as anything is due or arrives.</summary>
    public long Tick { get; init; }
    public int Batch { get; init; } = 8;
    public int Window { get; init; } = 16;
    public double Warmup { get; init; } = 1;
    public double Seconds { get; init; } = 3;
    public bool Persistent { get; init; }
    public bool Offline { get; init; }
    public long Messages { get; init; }

    /// <summary>Marks the client ids and messages of a run; null takes a random one.</summary>
    public uint? Nonce { get; init; }
    public int Crowd { get; init; }
    public int Filters { get; init; }
    public int Threads { get; init; } = 1;
    public int Connections { get; init; } = 10_000;
    public int Opening { get; init; } = 128;
    public int Sources { get; init; } = 4;
    public double Hold { get; init; } = 2;

    /// <summary>Receivers of one publish.</summary>
    public int Receivers => Mode == LoadMode.Pair ? 1 : Subscribers;

    /// <summary>Deliveries of one publish while publishers are at work.</summary>
    public int Fan => Offline ? 0 : Receivers;

    /// <exception cref="ArgumentException">An option is unknown or its value wrong; the text is for the user.</exception>
    public static LoadOptions Parse(IReadOnlyList<string> args)
    {
        if (args.Count == 0 || !Enum.TryParse<LoadMode>(args[0], ignoreCase: true, out var mode) || char.IsAsciiDigit(args[0][0]))
        {
            throw new ArgumentException("the first word is the mode: fanin, fanout, pair or storm");
        }
        var options = new LoadOptions { Mode = mode, Subscribers = mode == LoadMode.FanOut ? 100 : 1 };
        for (var i = 1; i < args.Count; i++)
        {
            var name = args[i];
            options = name switch
            {
                "--port" => options with { Broker = new IPEndPoint(options.Broker.Address, Number(1, 65535)) },
                "--host" => options with { Broker = new IPEndPoint(Address(), options.Broker.Port) },
                "--pid" => options with { Pid = Number(1, int.MaxValue) },
                "--publishers" => options with { Publishers = Number(1, 10_000) },
                "--subscribers" => options with { Subscribers = Number(1, 10_000) },
                "--qos" => options with { Qos = Number(0, 2) },
                "--size" => options with { Size = Number(LoadConnection.StampSize, 1 << 20) },
                "--version" => options with { IsV5 = Number(3, 5) == 5 },
                "--tls" => options with { Tls = true },
                "--client-certificate" => options with { Tls = true, ClientCertificate = true },
                "--outstanding" => options with { Outstanding = Number(1, 1_000_000) },
                "--rate" => options with { Rate = Number(1, 10_000_000) },
                "--tick" => options with { Tick = Number(0, 100_000) * 1_000L },
                "--batch" => options with { Batch = Number(1, 1_000) },
                "--window" => options with { Window = Number(1, 16_000) },
                "--persistent" => options with { Persistent = true },
                "--offline" => options with { Persistent = true, Offline = true },
                "--messages" => options with { Messages = Number(1, int.MaxValue) },
                "--warmup" => options with { Warmup = Real() },
                "--seconds" => options with { Seconds = Real() },
                "--crowd" => options with { Crowd = Number(0, 100_000) },
                "--filters" => options with { Filters = Number(0, 1_000_000) },
                "--threads" => options with { Threads = Number(1, 64) },
                "--connections" => options with { Connections = Number(1, 100_000) },
                "--opening" => options with { Opening = Number(1, 10_000) },
                "--sources" => options with { Sources = Number(1, 250) },
                "--hold" => options with { Hold = Real() },
                _ => throw new ArgumentException($"unknown option {name}"),
            };

            string Value() => ++i < args.Count ? args[i] : throw new ArgumentException($"{name} needs a value");

            int Number(int from, int to) =>
                int.TryParse(Value(), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= from && number <= to
                    ? number
                    : throw new ArgumentException($"{name}: \"{args[i]}\" is not a whole number from {from} to {to}");

            double Real() => double.TryParse(Value(), CultureInfo.InvariantCulture, out var real) && real is >= 0 and <= 86_400
                ? real
                : throw new ArgumentException($"{name}: \"{args[i]}\" is not a number of seconds");

            IPAddress Address() => IPAddress.TryParse(Value(), out var address) && address.AddressFamily == AddressFamily.InterNetwork
                ? address
                : throw new ArgumentException($"{name}: \"{args[i]}\" is not an IPv4 address");
        }
        if (options.Persistent && (options.Qos == 0 || mode == LoadMode.Storm))
        {
            throw new ArgumentException("--persistent and --offline go with --qos 1 or 2, not with storm");
        }
        return options with
        {
            Publishers = mode == LoadMode.FanOut ? 1 : options.Publishers,
            Subscribers = mode == LoadMode.Pair ? options.Publishers : options.Subscribers,
        };
    }
}
