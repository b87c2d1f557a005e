using System.Text.Json;

namespace IotHub.Harness.Faults;

/// <summary>A broker process on a folder whose disk stops taking what it is given, and takes it again.</summary>
public abstract class DiskUnderBroker(string folder) : IAsyncDisposable
{
    private static readonly TimeSpan StartDeadline = TimeSpan.FromSeconds(60);
    private ChildProcess? _process;

    public string Folder => folder;
    public int Port { get; private set; }
    public string Output => _process?.Output ?? "";
    protected ChildProcess Process => _process ?? throw new InvalidOperationException("the broker is not started");

    /// <summary>From here on the disk refuses every write.</summary>
    public abstract void Break();

    /// <summary>The disk takes writes again.</summary>
    public abstract void Mend();

    /// <summary>The same while the broker is stopped.</summary>
    public virtual void MendStopped()
    {
    }

    public async Task Start()
    {
        _process = ChildProcess.Start(
            BrokerProgram.Path,
            ["--standalone", "--bind", "127.0.0.1", "--port", "0", "--log-level", "information", "--data", folder]);
        var line = await Eventually.Get(
            () => Task.FromResult(Array.Find(_process.StandardOutput.Split('\n'), l => l.StartsWith("ready {", StringComparison.Ordinal))),
            StartDeadline, () => Output);
        using var ports = JsonDocument.Parse(line["ready ".Length..]);
        Port = ports.RootElement.GetProperty("port").GetInt32();
    }

    /// <summary>Ends it at once, as a crash does.</summary>
    public async Task Kill()
    {
        await Process.DisposeAsync();
        _process = null;
    }

    public virtual async ValueTask DisposeAsync()
    {
        if (_process is { } process)
        {
            await process.DisposeAsync();
        }
        GC.SuppressFinalize(this);
    }
}
