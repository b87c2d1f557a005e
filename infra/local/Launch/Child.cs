using System.ComponentModel;
using System.Diagnostics;
using IotHub.Local.Processes;

namespace IotHub.Local.Launch;

/// <summary>A long-running program of the local hub: its output goes to a log, and it never outlives the launcher.</summary>
public sealed class Child : IDisposable
{
    private readonly Process _process;
    private readonly OrphanGuard _guard;

    private Child(string name, Process process, CappedLog log, OrphanGuard guard)
    {
        Name = name;
        _process = process;
        _guard = guard;
        Log = log;
        ProcessId = process.Id;
        Exited = process.WaitForExitAsync();
    }

    public string Name { get; }
    public int ProcessId { get; }
    public CappedLog Log { get; }
    public Task Exited { get; }

    /// <param name="line">Told of every line on standard output.</param>
    public static Child Start(
        string name, string program, IEnumerable<string> arguments, string folder, IReadOnlyDictionary<string, string> environment,
        CappedLog log, OrphanGuard guard, Action<string>? line = null)
    {
        var start = OwnSession.Wrap(program, arguments);
        start.RedirectStandardInput = true;
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        start.WorkingDirectory = folder;
        foreach (var (key, value) in environment)
        {
            start.Environment[key] = value;
        }
        var process = new Process { StartInfo = start, EnableRaisingEvents = true };
        process.OutputDataReceived += (_, output) =>
        {
            if (output.Data is { } text)
            {
                log.WriteLine(text);
                line?.Invoke(text);
            }
        };
        process.ErrorDataReceived += (_, output) =>
        {
            if (output.Data is { } text)
            {
                log.WriteLine(text);
            }
        };
        try
        {
            process.Start();
        }
        catch (Win32Exception e)
        {
            throw new LaunchException($"{name} cannot be started ({e.Message}): check {program}.", e);
        }
        guard.Watch(process.Id);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        process.StandardInput.Close();
        return new Child(name, process, log, guard);
    }

    /// <summary>The sentence for a child that ended by itself.</summary>
    public LaunchException Death() =>
        new($"{Name} ended with exit code {_process.ExitCode}; its log is {Log.FilePath}.") { LogTail = Log.Tail };

    /// <summary>Asks it to end, then kills it.</summary>
    public async Task Stop(TimeSpan grace)
    {
        await Endings.End(_process, grace);
        _guard.Forget(ProcessId);
    }

    public void Dispose() => _process.Dispose();
}
