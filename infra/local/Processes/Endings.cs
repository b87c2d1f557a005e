using System.Diagnostics;
using System.Globalization;

namespace IotHub.Local.Processes;

/// <summary>How a child is ended: asked first when there is a grace, then killed.</summary>
public static class Endings
{
    private static readonly TimeSpan KillPatience = TimeSpan.FromSeconds(1);

    public static async Task End(Process process, TimeSpan grace)
    {
        try
        {
            if (process.HasExited)
            {
                return;
            }
            if (grace > TimeSpan.Zero && !OperatingSystem.IsWindows() && await AskToEnd(process) && await Ended(process, grace))
            {
                return;
            }
            process.Kill();
            await Ended(process, KillPatience);
        }
        catch (InvalidOperationException)
        {
            // It has ended and was disposed of in the meantime.
        }
    }

    private static async Task<bool> AskToEnd(Process process)
    {
        var pid = process.Id.ToString(CultureInfo.InvariantCulture);
        using var kill = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", "kill -TERM \"$0\"", pid]) { RedirectStandardError = true });
        if (kill is null)
        {
            return false;
        }
        await kill.WaitForExitAsync();
        return kill.ExitCode == 0;
    }

    private static async Task<bool> Ended(Process process, TimeSpan patience)
    {
        try
        {
            await process.WaitForExitAsync().WaitAsync(patience);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }
}
