using System.Diagnostics;

namespace IotHub.Harness;

/// <summary>
/// Ends the processes and deletes the temporary folders of this test process when it is gone, however it went. A shell of its own
/// waits at a pipe that only this process holds: the kernel closes it even after <c>kill -9</c>.
/// </summary>
internal static class Watchdog
{
    private const string Script = """
        trap '' INT HUP TERM
        exec >/dev/null 2>&1
        pids=' '; folders=''
        while read -r verb what; do
          case $verb in
            watch) pids="$pids$what " ;;
            forget) pids=$(printf %s "$pids" | sed "s/ $what / /") ;;
            folder) folders="$folders
        $what" ;;
          esac
        done
        for pid in $pids; do kill -TERM "$pid"; done
        for turn in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
          left=''
          for pid in $pids; do kill -0 "$pid" && left=yes; done
          [ -z "$left" ] && break
          sleep 0.2
        done
        for pid in $pids; do kill -KILL "$pid"; done
        printf '%s\n' "$folders" | while read -r folder; do
          case $folder in */iot-hub-test-*) rm -rf -- "$folder" ;; esac
        done
        """;

    private static readonly Lock Gate = new();
    private static Process? _shell;

    public static void Watch(int pid) => Tell($"watch {pid}");

    public static void Forget(int pid) => Tell($"forget {pid}");

    public static void Folder(string path) => Tell($"folder {path}");

    private static void Tell(string line)
    {
        lock (Gate)
        {
            if (_shell is null)
            {
                var start = new ProcessStartInfo("/bin/sh") { RedirectStandardInput = true, WorkingDirectory = "/" };
                start.ArgumentList.Add("-c");
                start.ArgumentList.Add(Script);
                _shell = Process.Start(start) ?? throw new InvalidOperationException("cannot start /bin/sh");
                _shell.StandardInput.AutoFlush = true;
            }
            _shell.StandardInput.WriteLine(line);
        }
    }
}
