using System.Diagnostics;

namespace IotHub.Harness.Kill;

/// <summary>A broker process on one port and one folder that is started and killed over and over.</summary>
internal sealed class KilledBroker(KillOptions options, int port) : IAsyncDisposable
{
    private static readonly TimeSpan StartDeadline = TimeSpan.FromSeconds(60);
    private readonly List<double> _startMs = [];
    private ChildProcess? _process;
    private int _incarnation;
    private TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Stopwatch _sinceReady = new();

    public int Port => port;

    /// <summary>Milliseconds from each start to its ready line.</summary>
    public IReadOnlyList<double> StartMs => _startMs;

    /// <summary>Done while clients may come.</summary>
    public Task Ready => Volatile.Read(ref _ready).Task;

    /// <summary>Counts the starts.</summary>
    public int Incarnation => Volatile.Read(ref _incarnation);

    public double MsSinceReady => _sinceReady.Elapsed.TotalMilliseconds;

    /// <summary>Starts it and waits until it is ready; with a deadline it may be killed before that.</summary>
    /// <exception cref="InvalidOperationException">It ends by itself, or does not get ready.</exception>
    public async Task Start(TimeSpan? killAfter = null)
    {
        var ready = _ready;
        var watch = Stopwatch.StartNew();
        List<string> arguments = ["--standalone", "--bind", "127.0.0.1", "--port", $"{port}", "--log-level", "warning"];
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
    }
}
