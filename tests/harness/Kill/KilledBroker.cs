using System.Diagnostics;
using IotHub.Harness.Mqtt;

namespace IotHub.Harness.Kill;

/// <summary>A broker process on four ports, one per transport, and one folder that is started and killed over and over.</summary>
internal sealed class KilledBroker(KillOptions options) : IAsyncDisposable
{
    private static readonly TimeSpan StartDeadline = TimeSpan.FromSeconds(60);
    /// <summary>Those that a client may come by.</summary>
    public static readonly IReadOnlyList<Via> Transports = [Via.Tcp, Via.Tls, Via.WebSocket, Via.SecureWebSocket];
    private readonly List<double> _startMs = [];
    private readonly int[] _ports = FreePorts.Take(Transports.Count);
    private readonly Random _random = new(options.Seed);
    private readonly TempFolder _files = new("kill-certificate");
    private ChildProcess? _process;
    private int _incarnation;
    private TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Stopwatch _sinceReady = new();

    public int Port => _ports[0];

    /// <summary>Milliseconds from each start to its ready line.</summary>
    public IReadOnlyList<double> StartMs => _startMs;

    /// <summary>Done while clients may come.</summary>
    public Task Ready => Volatile.Read(ref _ready).Task;

    /// <summary>Counts the starts.</summary>
    public int Incarnation => Volatile.Read(ref _incarnation);

    public double MsSinceReady => _sinceReady.Elapsed.TotalMilliseconds;

    /// <summary>One of the transports at random: a session may come by another one each time.</summary>
    public (int Port, Via Via) AnyDoor()
    {
        lock (_random)
        {
            var chosen = _random.Next(Transports.Count);
            return (_ports[chosen], Transports[chosen]);
        }
    }

    /// <summary>Has it been running since that start, ready and without a kill?</summary>
    public bool RunsSince(int incarnation)
    {
        // In this order: who is ready again after a kill has been counted again before.
        var isReady = Ready.IsCompleted;
        return isReady && Incarnation == incarnation;
    }

    /// <summary>Starts it and waits until it is ready; with a deadline it may be killed before that.</summary>
    /// <exception cref="InvalidOperationException">It ends by itself, or does not get ready.</exception>
    public async Task Start(TimeSpan? killAfter = null)
    {
        var ready = _ready;
        var watch = Stopwatch.StartNew();
        var (certificate, key) = TestCertificate.Write(_files);
        List<string> arguments =
        [
            "--standalone", "--bind", "127.0.0.1", "--log-level", "warning", "--port", $"{_ports[0]}", "--tls-port", $"{_ports[1]}",
            "--ws-port", $"{_ports[2]}", "--wss-port", $"{_ports[3]}", "--cert", certificate, "--key", key,
        ];
        if (options.DataFolder is { } folder)
        {
            arguments.AddRange(["--data", folder, "--segment-bytes", $"{options.SegmentBytes}"]);
        }
        var isReady = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var process = ChildProcess.Start(options.Program, arguments, onLine: line =>
        {
            if (line.StartsWith("ready {", StringComparison.Ordinal))
            {
                isReady.TrySetResult();
            }
        });
        _process = process;
        Interlocked.Increment(ref _incarnation);
        var ended = process.WaitForExit(StartDeadline);
        if (killAfter is { } patience)
        {
            await Task.WhenAny(Task.Delay(patience), ended);
            await Kill();
            return;
        }
        if (await Task.WhenAny(isReady.Task, ended, Task.Delay(StartDeadline)) != isReady.Task)
        {
            throw new InvalidOperationException($"the broker did not start:\n{process.Output}");
        }
        _startMs.Add(watch.Elapsed.TotalMilliseconds);
        _sinceReady = Stopwatch.StartNew();
        ready.TrySetResult();
    }

    /// <exception cref="InvalidOperationException">It was not there any more.</exception>
    public async Task Kill()
    {
        var process = _process!;
        if (process.HasExited)
        {
            throw new InvalidOperationException($"the broker ended by itself, with code {process.ExitCode}:\n{process.Output}");
        }
        if (_ready.Task.IsCompleted)
        {
            // Those who wait already go on waiting.
            Volatile.Write(ref _ready, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        }
        process.Kill();
        await process.WaitForExit(StartDeadline);
        await process.DisposeAsync();
        _process = null;
    }

    public async ValueTask DisposeAsync()
    {
        if (_process is { } process)
        {
            await process.DisposeAsync();
        }
        _files.Dispose();
    }
}
