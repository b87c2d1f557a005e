using System.Diagnostics;
using System.Text;

namespace IotHub.Harness;

/// <summary>A program the tests run: its output is kept, and it never outlives the test process.</summary>
public sealed class ChildProcess : IAsyncDisposable
{
    private const int KeptCharacters = 200_000;
    private readonly Process _process;
    private readonly StringBuilder _output = new();
    private readonly StringBuilder _standardOutput = new();
    private readonly StringBuilder _standardError = new();

    private ChildProcess(Process process, string name)
    {
        _process = process;
        Name = name;
    }

    public string Name { get; }
    public int Pid => _process.Id;
    public bool HasExited => _process.HasExited;
    public int ExitCode => _process.ExitCode;

    /// <summary>Standard output and standard error, in the order they came; the end of it when it is long.</summary>
    public string Output => Text(_output);

    public string StandardOutput => Text(_standardOutput);

    public string StandardError => Text(_standardError);

    /// <param name="onLine">Called for each line of standard output, as it comes.</param>
    public static ChildProcess Start(
        string program, IEnumerable<string> arguments, string? workingDirectory = null,
        IReadOnlyDictionary<string, string?>? environment = null, Action<string>? onLine = null, bool keepInputOpen = false)
    {
        var start = new ProcessStartInfo(program)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = workingDirectory ?? RepositoryRoot.Path,
        };
        foreach (var argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }
        foreach (var (key, value) in environment ?? new Dictionary<string, string?>())
        {
            start.Environment[key] = value;
        }

        var process = new Process { StartInfo = start, EnableRaisingEvents = true };
        var child = new ChildProcess(process, Path.GetFileName(program));
        process.OutputDataReceived += (_, line) =>
        {
            child.Keep(line.Data, standard: true);
            if (line.Data is { } text)
            {
                onLine?.Invoke(text);
            }
        };
        process.ErrorDataReceived += (_, line) => child.Keep(line.Data, standard: false);
        try
        {
            process.Start();
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new InvalidOperationException($"cannot start {program}: {e.Message}", e);
        }
        var pid = process.Id;
        Watchdog.Watch(pid);
        process.Exited += (_, _) => Watchdog.Forget(pid);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        if (!keepInputOpen)
        {
            process.StandardInput.Close();
        }
        return child;
    }

    /// <summary>Writes a line to its standard input, which was kept open at the start.</summary>
    public async Task Send(string line)
    {
        await _process.StandardInput.WriteLineAsync(line);
        await _process.StandardInput.FlushAsync();
    }

    /// <summary>Waits for its end and for all of its output.</summary>
    public async Task<int> WaitForExit(TimeSpan deadline)
    {
        using var cancel = new CancellationTokenSource(deadline);
        try
        {
            await _process.WaitForExitAsync(cancel.Token);
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"{Name} did not end within {deadline.TotalSeconds:0} s. Its output:\n{Output}");
        }
        return _process.ExitCode;
    }

    /// <summary>Sends a signal: <c>INT</c> is Ctrl-C.</summary>
    public void Signal(string signal) => Signal(Pid, signal);

    /// <summary>SIGKILL, for it alone and at once.</summary>
    public void Kill() => _process.Kill();

    public static void Signal(int pid, string signal)
    {
        using var kill = Process.Start(new ProcessStartInfo("/bin/kill", [$"-{signal}", $"{pid}"]) { RedirectStandardError = true })!;
        kill.WaitForExit();
    }

    /// <summary>False for a process that has ended, reaped or not.</summary>
    public static bool IsAlive(int pid)
    {
        try
        {
            using var process = Process.GetProcessById(pid);
            return !process.HasExited;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
            await _process.WaitForExitAsync();
        }
        _process.Dispose();
    }

    private void Keep(string? line, bool standard)
    {
        if (line is null)
        {
            return;
        }
        lock (_output)
        {
            Append(_output, line);
            Append(standard ? _standardOutput : _standardError, line);
        }
    }

    private string Text(StringBuilder of)
    {
        lock (_output)
        {
            return of.ToString();
        }
    }

    private static void Append(StringBuilder to, string line)
    {
        if (to.Length > KeptCharacters)
        {
            to.Remove(0, to.Length / 2);
        }
        to.AppendLine(line);
    }
}
