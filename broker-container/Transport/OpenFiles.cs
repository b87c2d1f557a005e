using System.Globalization;

namespace IotHub.Broker.Transport;

/// <summary>
/// How many clients the process has descriptors for. The runtime dies when it cannot open one of its own files, so clients must never
/// take the last ones.
/// </summary>
public static class OpenFiles
{
    /// <summary>For the runtime, its assemblies, listeners, storage and handshakes under way: so many, or a tenth where that is more.</summary>
    private const int Reserve = 256;

    /// <summary>Clients that may be connected at once; <see cref="int.MaxValue"/> where the system tells no limit.</summary>
    public static int LeftForClients()
    {
        const string limits = "/proc/self/limits";
        return File.Exists(limits) ? LeftForClients(File.ReadLines(limits)) : int.MaxValue;
    }

    /// <param name="limits">Lines of /proc/self/limits.</param>
    public static int LeftForClients(IEnumerable<string> limits)
    {
        const string name = "Max open files";
        var line = limits.FirstOrDefault(l => l.StartsWith(name, StringComparison.Ordinal)) ?? "";
        var soft = line.Length > name.Length ? line[name.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries)[0] : "";
        return int.TryParse(soft, NumberStyles.None, CultureInfo.InvariantCulture, out var files)
            ? Math.Max(files - Math.Max(Reserve, files / 10), 1)
            : int.MaxValue;
    }
}
