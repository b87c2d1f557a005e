using System.Diagnostics;
using IotHub.Broker.Durability;

namespace IotHub.Benchmarks.Durability;

/// <summary>What the disk itself takes for one small write into zeros and its flush, in microseconds: T of the design's targets.</summary>
internal sealed record DiskFlush(double DataP50, double DataP99, double FullP50, double FullP99)
{
    public const int Bytes = 256;
    private const int FileBytes = 16 * 1024 * 1024;

    /// <summary>By turns with fdatasync and with fsync, into a file that is gone afterwards.</summary>
    public static DiskFlush Measure(string path, double seconds)
    {
        using var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, options: FileOptions.DeleteOnClose);
        var bytes = new byte[Bytes];
        RandomAccess.Write(file, new byte[FileBytes], 0);
        RandomAccess.FlushToDisk(file);
        var (data, full) = (new List<double>(), new List<double>());
        var start = Stopwatch.GetTimestamp();
        for (var i = 0; Stopwatch.GetElapsedTime(start).TotalSeconds < seconds; i++)
        {
            var began = Stopwatch.GetTimestamp();
            RandomAccess.Write(file, bytes, (long)i * Bytes % FileBytes);
            if (i % 2 == 0)
            {
                DiskSync.Data(file, path);
            }
            else
            {
                RandomAccess.FlushToDisk(file);
            }
            (i % 2 == 0 ? data : full).Add(Stopwatch.GetElapsedTime(began).TotalMicroseconds);
        }
        data.Sort();
        full.Sort();
        return new DiskFlush(Quantile(data, 0.5), Quantile(data, 0.99), Quantile(full, 0.5), Quantile(full, 0.99));
    }

    public static double Quantile(List<double> sorted, double at) =>
        sorted.Count == 0 ? 0 : sorted[Math.Min(sorted.Count - 1, (int)(sorted.Count * at))];
}
