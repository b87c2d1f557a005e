using IotHub.Harness;
using IotHub.Harness.Faults;

namespace IotHub.Benchmarks.Durability;

/// <summary>
/// A disk that answers some calls with EIO and, under the same broker, works again: strace fails them as the kernel would. It needs to be
/// installed, and allowed to look into the broker's process.
/// </summary>
internal sealed class FailingCalls(string folder, string calls) : DiskUnderBroker(folder)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private ChildProcess? _strace;

    public override void Break()
    {
        _strace = ChildProcess.Start("strace", ["-f", "-p", $"{Process.Pid}", "-e", $"trace={calls}", "-e", $"inject={calls}:error=EIO", "-o", "/dev/null"]);
        var strace = _strace;
        Eventually.True(() => strace.HasExited || strace.Output.Contains("attached", StringComparison.Ordinal), Patience, () => strace.Output)
            .GetAwaiter().GetResult();
        if (strace.HasExited)
        {
            throw new InvalidOperationException($"strace: {strace.Output.Trim()}");
        }
    }

    public override void Mend()
    {
        // It lets go of the broker at its end.
        _strace!.Signal("TERM");
        _strace.WaitForExit(Patience).GetAwaiter().GetResult();
        _strace.DisposeAsync().AsTask().GetAwaiter().GetResult();
        _strace = null;
    }

    public override async ValueTask DisposeAsync()
    {
        if (_strace is not null)
        {
            Mend();
        }
        await base.DisposeAsync();
        GC.SuppressFinalize(this);
    }
}
