using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;

namespace IotHub.Local.Processes;

/// <summary>
/// Ends the processes it was told about when this process is gone, however it went. A small shell waits at a pipe that only this process
/// holds; the kernel closes it even after <c>kill -9</c>. It runs in a session of its own, so that a Ctrl-C does not end it first.
/// On Windows there is none.
/// </summary>
public sealed class OrphanGuard : IDisposable
{
    private const string Script = """
        trap '' INT HUP TERM
        pids=' '
        while read -r verb pid; do
          case $verb in
            watch) pids="$pids$pid " ;;
            forget) pids=$(printf %s "$pids" | sed "s/ $pid / /") ;;
          esac
        done
        for pid in $pids; do kill -TERM "$pid"; done
        turns=25
        while [ $turns -gt 0 ]; do
          turns=$((turns - 1)); left=''
          for pid in $pids; do kill -0 "$pid" && left=yes; done
          [ -z "$left" ] && exit 0
          sleep 0.2
        done
        for pid in $pids; do kill -KILL "$pid"; done
        """;

    private readonly Lock _gate = new();
    private readonly Process? _shell;

    private OrphanGuard(Process? shell) => _shell = shell;

    public static OrphanGuard Start()
    {
        if (OperatingSystem.IsWindows())
        {
            return new OrphanGuard(null);
        }
        var start = OwnSession.Wrap("/bin/sh", ["-c", Script]);
        start.RedirectStandardInput = true;
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        start.WorkingDirectory = "/";
        var shell = Process.Start(start) ?? throw new Win32Exception("cannot start /bin/sh");
        shell.StandardInput.AutoFlush = true;
        shell.BeginOutputReadLine();
        shell.BeginErrorReadLine();
        return new OrphanGuard(shell);
    }

    public void Watch(int pid) => Tell("watch", pid);

    public void Forget(int pid) => Tell("forget", pid);

    /// <summary>Lets the shell end; what is still watched is ended by it.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _shell?.StandardInput.Close();
            _shell?.WaitForExit(TimeSpan.FromSeconds(1));
            _shell?.Dispose();
        }
    }

    private void Tell(string verb, int pid)
    {
        lock (_gate)
        {
            try
            {
                _shell?.StandardInput.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{verb} {pid}"));
            }
            catch (IOException)
            {
                // Someone ended the shell; the children are then only ended by us.
            }
        }
    }
}
