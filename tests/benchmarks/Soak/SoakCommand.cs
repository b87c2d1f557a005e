using System.Globalization;
using IotHub.Benchmarks.Compare;
using IotHub.Benchmarks.Load;
using IotHub.Harness;

namespace IotHub.Benchmarks.Soak;

/// <summary><c>soak</c>: our broker under mixed load for a while; a table of verdicts, exit code 1 when one is bad.</summary>
internal static class SoakCommand
{
    public const string Usage =
        """
        soak [--minutes N (20)] [--data]
          mixed load on our broker: every QoS, retained, shared, clients that are cut and return, slow readers; nothing
          lost or doubled beyond what the standard permits, and flat memory; with --data it keeps its state on disk
        """;

    /// <summary>Growth between the third and the last sixth of the time that is still called flat.</summary>
    private const double RelativeGrowth = 0.10;
    private const double AbsoluteGrowthKb = 4 * 1_024;
    private const int FilesGrowth = 20;

    public static async Task<int> Run(string[] args)
    {
        var at = Array.IndexOf(args, "--minutes");
        var duration = TimeSpan.FromMinutes(at >= 0 ? double.Parse(args[at + 1], CultureInfo.InvariantCulture) : 20);
        using var files = new TempFolder("soak");
        var data = args.Contains("--data") ? files.Combine("data") : null;
        await using var broker = await BrokerUnderLoad.StartOurs(files, data: data);
        await using var run = new SoakRun(broker.Port);
        var samples = new List<(long RssKb, int Files)>();
        var largestStore = 0L;
        var before = ProcessFigures.Of(broker.Pid);
        var loadBefore = ProcessFigures.LoadAverage();
        await run.Execute(duration, () =>
        {
            if (!broker.HasEnded)
            {
                samples.Add((ProcessFigures.Of(broker.Pid).RssKb, ProcessFigures.OpenFiles(broker.Pid)));
                largestStore = Math.Max(largestStore, BytesIn(data));
                if (samples.Count % 60 == 0)
                {
                    var (arrived, bad) = (run.Streams.Sum(s => s.Arrived), run.Streams.Sum(s => s.Doubled + s.Reordered));
                    Console.Error.WriteLine($"minute {samples.Count / 60}: {samples[^1].RssKb / 1024} MB, {arrived} arrived, {bad} bad");
                }
            }
        });
        if (broker.HasEnded)
        {
            Console.WriteLine($"the broker ended by itself:\n{broker.Output}");
            return 1;
        }
        var used = ProcessFigures.Of(broker.Pid).CpuSeconds - before.CpuSeconds;
        Console.WriteLine($"""
            {DateTime.UtcNow:yyyy-MM-dd HH:mm} UTC, {duration.TotalMinutes:0.#} minutes, load average {loadBefore} before,
            {ProcessFigures.LoadAverage()} after. {run.Streams.Sum(s => s.Arrived):#,0} messages arrived, {run.Cuts:#,0} cuts,
            {run.Churned:#,0} passing clients, {run.Retained.Looks:#,0} looks at retained messages, {used:0} s CPU of the broker.
            {(data is null ? "Without a store." : $"The store took {largestStore / 1e6:0} MB at most, {BytesIn(data) / 1e6:0} MB at the end.")}

            """);
        WriteStreams(run.Streams);
        return WriteVerdicts(run, samples) ? 0 : 1;
    }

    private static void WriteStreams(IEnumerable<MessageStream> streams)
    {
        Console.WriteLine("""
            | stream | published | lost | doubled | permitted doubles | reordered | first fault |
            |---|---|---|---|---|---|---|
            """);
        foreach (var s in streams)
        {
            var permitted = s.PermittedDoubles;
            Console.WriteLine($"| {s.Name} | {s.Published} | {s.Lost} | {s.Doubled} | {permitted} | {s.Reordered} | {s.FirstFault} |");
        }
        Console.WriteLine();
    }

    private static bool WriteVerdicts(SoakRun run, List<(long RssKb, int Files)> samples)
    {
        var sixth = Math.Max(1, samples.Count / 6);
        var (early, late) = (Median(samples.Skip(2 * sixth).Take(sixth)), Median(samples.TakeLast(sixth)));
        var limit = Math.Max(early.RssKb * (1 + RelativeGrowth), early.RssKb + AbsoluteGrowthKb);
        var faults = run.Faults.ToList();
        var firehose = run.Streams[^1];
        var (lost, doubled, reordered) =
            (run.Streams.Sum(s => s.Lost), run.Streams.Sum(s => s.Doubled), run.Streams.Sum(s => s.Reordered));
        (string What, string Found, bool IsGood)[] verdicts =
        [
            ("nothing lost", $"{lost}", lost == 0),
            ("nothing doubled beyond what is permitted", $"{doubled} ({run.Streams.Sum(s => s.PermittedDoubles)} permitted)", doubled == 0),
            ("nothing reordered", $"{reordered}", reordered == 0),
            ("only the stalled reader is dropped for", $"it took {run.SlowReaderTook} of {firehose.Published}", firehose.Lost == 0),
            ("flat memory", $"{Mb(early.RssKb)}, then {Mb(late.RssKb)}; peak {Mb(samples.Max(s => s.RssKb))}", late.RssKb <= limit),
            ("no descriptors left behind", $"{early.Files}, then {late.Files}", late.Files <= early.Files + FilesGrowth),
            ("no session forgotten, no connection ended, retained messages right", string.Join("; ", faults), faults.Count == 0),
        ];
        Console.WriteLine("| rule | found | verdict |\n|---|---|---|");
        foreach (var (what, found, isGood) in verdicts)
        {
            Console.WriteLine($"| {what} | {found} | {(isGood ? "good" : "**bad**")} |");
        }
        return Array.TrueForAll(verdicts, v => v.IsGood);
    }

    /// <summary>Of all files in the folder; a file that is deleted while we look does not count.</summary>
    private static long BytesIn(string? folder) => folder is null ? 0
        : new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories).Sum(LengthOf);

    private static long LengthOf(FileInfo file)
    {
        try
        {
            return file.Length;
        }
        catch (FileNotFoundException)
        {
            return 0;
        }
    }

    private static string Mb(long kb) => $"{kb / 1024.0:0.0} MB";

    private static (long RssKb, int Files) Median(IEnumerable<(long RssKb, int Files)> samples)
    {
        var taken = samples.ToList();
        var middle = taken.Count / 2;
        return (taken.Select(s => s.RssKb).Order().ElementAt(middle), taken.Select(s => s.Files).Order().ElementAt(middle));
    }
}
