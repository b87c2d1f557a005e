using System.Globalization;

namespace IotHub.Benchmarks.Durability;

/// <summary>A memory control group of its own, so that a broker has so much memory and no more: what it maps, its heap, its page cache.</summary>
internal sealed class MemoryGroup : IDisposable
{
    private const string Old = "/sys/fs/cgroup/memory";
    private const string New = "/sys/fs/cgroup";

    private MemoryGroup(string folder, bool isOld) => (Folder, IsOld) = (folder, isOld);

    public string Folder { get; }

    /// <summary>Version 1 of control groups.</summary>
    public bool IsOld { get; }

    /// <summary>Most bytes that were in use at once, page cache included.</summary>
    public long Peak => Read(IsOld ? "memory.max_usage_in_bytes" : "memory.peak");

    /// <summary>Times the limit was met: the kernel took page cache back then.</summary>
    public long Met => IsOld ? Read("memory.failcnt") : 0;

    /// <summary>Null where this process may not make one.</summary>
    public static MemoryGroup? Make(long bytes)
    {
        var isOld = Directory.Exists(Old);
        var folder = Path.Combine(isOld ? Old : New, $"iot-hub-{Environment.ProcessId}");
        var file = Path.Combine(folder, isOld ? "memory.limit_in_bytes" : "memory.max");
        try
        {
            Directory.CreateDirectory(folder);
            if (File.Exists(file))
            {
                File.WriteAllText(file, bytes.ToString(CultureInfo.InvariantCulture));
                return new MemoryGroup(folder, isOld);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Then there is none.
        }
        return null;
    }

    public void Dispose()
    {
        try
        {
            Directory.Delete(Folder);
        }
        catch (IOException)
        {
            // A process in it is still ending; an empty group costs nothing.
        }
    }

    private long Read(string name) => File.Exists(Path.Combine(Folder, name))
        ? long.Parse(File.ReadAllText(Path.Combine(Folder, name)), CultureInfo.InvariantCulture) : 0;
}
