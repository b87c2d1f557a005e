using System.Text.Json;
using IotHub.Harness;
using IotHub.Harness.Mqtt;

namespace IotHub.Benchmarks.Compare;

/// <summary>A broker in a process of its own on the loopback, plain and with TLS, without limits on queues or windows.</summary>
internal sealed class BrokerUnderLoad : IAsyncDisposable
{
    private static readonly TimeSpan StartDeadline = TimeSpan.FromSeconds(30);
    private readonly ChildProcess _process;

    private BrokerUnderLoad(string name, ChildProcess process, int port, int tlsPort) =>
        (Name, _process, Port, TlsPort) = (name, process, port, tlsPort);

    public string Name { get; }
    public int Port { get; }
    public int TlsPort { get; }
    public int Pid => _process.Pid;
    public bool HasEnded => _process.HasExited;
    public string Output => _process.Output;

    /// <summary>Debian puts it where not every PATH looks. Null when it is not installed.</summary>
    public static string? MosquittoProgram { get; } =
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Append("/usr/sbin").Append("/usr/local/sbin")
            .Select(folder => Path.Combine(folder, "mosquitto")).FirstOrDefault(File.Exists);

    /// <summary>Our broker, stand-alone, as the Release build of this checkout left it.</summary>
    /// <param name="core">The processor that it has to stay on, or null.</param>
    /// <param name="transport">Another transport for plain TCP than the broker would choose.</param>
    /// <param name="store">Where it keeps what it acknowledges; null: in memory.</param>
    public static async Task<BrokerUnderLoad> StartOurs(
        TempFolder files, string? core = null, string? transport = null, StoreUnderLoad? store = null)
    {
        var program = RepositoryRoot.Combine("broker-container", "bin", "Release", "net10.0", "IotHub.Broker");
        if (!File.Exists(program))
        {
            throw new InvalidOperationException($"{program} is not there: build the benchmarks with -c Release");
        }
        var (certificate, key) = TestCertificate.Write(files);
        List<string> arguments =
            ["--standalone", "--port", "0", "--tls-port", "0", "--cert", certificate, "--key", key, "--log-level", "error"];
        if (transport is not null)
        {
            arguments.AddRange(["--transport", transport]);
        }
        arguments.AddRange(store?.Arguments ?? []);
        var process = Start(core, program, arguments, store);
        await Until(process, () => process.StandardOutput.Contains("ready {", StringComparison.Ordinal));
        var line = process.StandardOutput.Split('\n').First(text => text.StartsWith("ready {", StringComparison.Ordinal));
        using var ports = JsonDocument.Parse(line["ready ".Length..]);
        return new BrokerUnderLoad(
            store?.Name ?? (transport is null ? "ours" : $"ours, {transport}"), process,
            ports.RootElement.GetProperty("port").GetInt32(), ports.RootElement.GetProperty("tls_port").GetInt32());
    }

    /// <param name="store">Its folder and settings for persistence; null: in memory.</param>
    public static async Task<BrokerUnderLoad> StartMosquitto(TempFolder files, string? core, StoreUnderLoad? store = null)
    {
        var (certificate, key) = TestCertificate.Write(files);
        var ports = FreePorts.Take(2);
        var configuration = files.Combine($"mosquitto-{ports[0]}.conf");
        await File.WriteAllTextAsync(configuration, $"""
            user {Environment.UserName}
            allow_anonymous true
            set_tcp_nodelay true
            max_queued_messages 0
            max_inflight_messages 0
            log_type error
            listener {ports[0]} 127.0.0.1
            listener {ports[1]} 127.0.0.1
            certfile {certificate}
            keyfile {key}
            {string.Join('\n', store?.Arguments ?? [])}

            """);
        var process = Start(core, MosquittoProgram!, ["-c", configuration], store);
        await Until(process, () => FreePorts.Answers(ports[1]).Result);
        return new BrokerUnderLoad(store?.Name ?? "Mosquitto", process, ports[0], ports[1]);
    }

    /// <summary>Ends it with SIGKILL: it finds no time to save anything.</summary>
    public ValueTask DisposeAsync() => _process.DisposeAsync();

    public void Signal(string signal) => _process.Signal(signal);

    // taskset and the shell become the program: the process id stays.
    private static ChildProcess Start(string? core, string program, IEnumerable<string> arguments, StoreUnderLoad? store = null)
    {
        List<string> command = core is null ? [program, .. arguments] : ["taskset", "-c", core, program, .. arguments];
        if (store?.MemoryGroup is { } group)
        {
            command = ["/bin/sh", "-c", "echo $$ > \"$0\" && exec \"$@\"", Path.Combine(group, "cgroup.procs"), .. command];
        }
        return ChildProcess.Start(command[0], command[1..]);
    }

    private static async Task Until(ChildProcess process, Func<bool> condition)
    {
        using var deadline = new CancellationTokenSource(StartDeadline);
        while (!condition())
        {
            if (process.HasExited || deadline.IsCancellationRequested)
            {
                var output = process.Output;
                await process.DisposeAsync();
                throw new InvalidOperationException($"{process.Name} did not start:\n{output}");
            }
            await Task.Delay(5, CancellationToken.None);
        }
    }
}
