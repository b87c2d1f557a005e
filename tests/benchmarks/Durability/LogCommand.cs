using System.Diagnostics;
using System.Globalization;
using IotHub.Broker.Durability;

namespace IotHub.Benchmarks.Durability;

/// <summary>The log alone on a real disk: group commit by records outstanding, what one flush takes, how fast it is read back.</summary>
internal static class LogCommand
{
    public const string Usage = """
          log [--folder DIR] [--seconds 2]
                                     the log without a broker: commits by records outstanding, recovery; DIR is on the disk to measure
        """;

    private const int Body = 256;

    public static int Run(string[] args)
    {
        var parent = Value(args, "--folder") ?? Path.GetTempPath();
        var seconds = double.Parse(Value(args, "--seconds") ?? "2", CultureInfo.InvariantCulture);
        var folder = Directory.CreateDirectory(Path.Combine(parent, $"iot-hub-log-{Environment.ProcessId}"));
        try
        {
            Console.WriteLine($"| outstanding, {Body} B | records/s | commits/s | p50 µs | p99 µs | µs CPU each |");
            Console.WriteLine("|---|---|---|---|---|---|");
            foreach (var outstanding in new[] { 1, 4, 16, 64, 256, 1024 })
            {
                Console.WriteLine(Commits(Path.Combine(folder.FullName, $"n{outstanding}"), outstanding, seconds));
            }
            Console.WriteLine();
            Console.WriteLine(Flush(Path.Combine(folder.FullName, "flush"), seconds));
            Console.WriteLine(Recovery(Path.Combine(folder.FullName, "recovery")));
            return 0;
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    /// <summary>As many records as are outstanding go into each commit: their publishers answer at once.</summary>
    private static string Commits(string folder, int outstanding, double seconds)
    {
        using var store = BrokerStore.Open(folder, 1);
        using var log = ShardLog.Open(store.FilesOf(0), new LogOptions(), (_, _, _) => { });
        Measure(log, outstanding, seconds / 4, []);
        var times = new List<double>();
        var cpu = Process.GetCurrentProcess().TotalProcessorTime;
        var elapsed = Measure(log, outstanding, seconds, times);
        var used = Process.GetCurrentProcess().TotalProcessorTime - cpu;
        var records = (double)times.Count * outstanding;
        times.Sort();
        return string.Create(CultureInfo.InvariantCulture,
            $"| {outstanding:N0} | {records / elapsed:N0} | {times.Count / elapsed:N0} | "
            + $"{DiskFlush.Quantile(times, 0.5):F0} | {DiskFlush.Quantile(times, 0.99):F0} | {used.TotalMicroseconds / records:F2} |");
    }

    private static double Measure(ShardLog log, int outstanding, double seconds, List<double> times)
    {
        var start = Stopwatch.GetTimestamp();
        var preparing = Task.CompletedTask;
        while (Stopwatch.GetElapsedTime(start).TotalSeconds < seconds)
        {
            var began = Stopwatch.GetTimestamp();
            Append(log, outstanding);
            Commit(log);
            times.Add(Stopwatch.GetElapsedTime(began).TotalMicroseconds);
            // Nobody needs the records: the disk does not fill.
            while (log.TakeUnreferenced() is { } segment)
            {
                log.Delete(segment);
            }
            if (preparing.IsCompleted && log.TakePreparing())
            {
                preparing = Task.Run(log.Prepare);
            }
        }
        preparing.Wait();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static string Flush(string path, double seconds)
    {
        var flush = DiskFlush.Measure(path, seconds);
        return string.Create(CultureInfo.InvariantCulture,
            $"write of {DiskFlush.Bytes} B into zeros and flush, p50 / p99 µs: fdatasync {flush.DataP50:F0} / {flush.DataP99:F0}, "
            + $"fsync {flush.FullP50:F0} / {flush.FullP99:F0}");
    }

    private static string Recovery(string folder)
    {
        const int Records = 2_000_000;
        using (var store = BrokerStore.Open(folder, 1))
        using (var log = ShardLog.Open(store.FilesOf(0), new LogOptions(), (_, _, _) => { }))
        {
            for (var i = 0; i < Records / 500; i++)
            {
                Append(log, 500, 64);
                Commit(log);
            }
        }
        using var again = BrokerStore.Open(folder, 1);
        long bytes = 0;
        var start = Stopwatch.GetTimestamp();
        using var opened = ShardLog.Open(again.FilesOf(0), new LogOptions(), (_, _, body) => bytes += body.Length);
        var elapsed = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return string.Create(CultureInfo.InvariantCulture,
            $"recovery: {opened.Recovery.Records:N0} records of 64 B in {elapsed:F2} s, "
            + $"{opened.Recovery.Records / elapsed:N0} a second (in the page cache)");
    }

    private static void Append(ShardLog log, int records, int body = Body)
    {
        for (var i = 0; i < records; i++)
        {
            log.Begin(1);
            log.Take(body).Fill((byte)i);
            log.End();
        }
    }

    private static void Commit(ShardLog log)
    {
        log.BeginCommit(new LogClock(1, 2));
        log.WriteCommit();
        log.EndCommit();
    }

    private static string? Value(string[] args, string name) =>
        Array.IndexOf(args, name) is var at and >= 0 && at + 1 < args.Length ? args[at + 1] : null;
}
