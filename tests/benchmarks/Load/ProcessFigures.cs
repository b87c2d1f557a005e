using System.Globalization;

namespace IotHub.Benchmarks.Load;

/// <summary>What a process has used, read from /proc by its id.</summary>
internal readonly record struct ProcessFigures(double CpuSeconds, double UserSeconds, double SystemSeconds, long RssKb, long PeakRssKb)
{
    private const double TicksPerSecond = 100;

    /// <summary>Nothing for process 0: a broker elsewhere.</summary>
    public static ProcessFigures Of(int pid)
    {
        if (pid == 0)
        {
            return default;
        }
        var stat = File.ReadAllText($"/proc/{pid}/stat");
        // The name in brackets may hold anything; times are the 14th and 15th field.
        var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        var user = double.Parse(fields[11], CultureInfo.InvariantCulture) / TicksPerSecond;
        var system = double.Parse(fields[12], CultureInfo.InvariantCulture) / TicksPerSecond;
        var memory = File.ReadLines($"/proc/{pid}/status").Where(line => line.StartsWith("Vm", StringComparison.Ordinal)).ToList();
        return new ProcessFigures(Linux.CpuSeconds(pid) ?? (user + system), user, system, Kb(memory, "VmRSS:"), Kb(memory, "VmHWM:"));
    }

    /// <summary>Lets the peak start anew, where the kernel permits it.</summary>
    public static void ResetPeak(int pid)
    {
        if (pid == 0)
        {
            return;
        }
        try
        {
            File.WriteAllText($"/proc/{pid}/clear_refs", "5");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Then the peak is the one since the process started.
        }
    }

    public static int OpenFiles(int pid) => Directory.GetFileSystemEntries($"/proc/{pid}/fd").Length;

    public static string LoadAverage() => string.Join(' ', File.ReadAllText("/proc/loadavg").Split(' ').Take(3));

    private static long Kb(List<string> lines, string key) =>
        lines.Find(line => line.StartsWith(key, StringComparison.Ordinal)) is { } line
            ? long.Parse(line.Split(' ', '\t').First(part => part.Length > 0 && char.IsAsciiDigit(part[0])), CultureInfo.InvariantCulture)
            : 0;
}
