using System.Diagnostics;
using System.Globalization;
using IotHub.Benchmarks.Compare;
using IotHub.Benchmarks.Load;
using static IotHub.Benchmarks.Durability.DurableBrokers;

namespace IotHub.Benchmarks.Durability;

/// <summary>Many messages that wait for 100 sessions: what they cost in memory and on disk, and how soon they are there again after a kill.</summary>
internal static class DurableQueue
{
    private const long LargeMemory = 512L * 1024 * 1024;
    private const int MustBytes = 32, AimsBytes = 12;
    private static readonly TimeSpan SaveDeadline = TimeSpan.FromMinutes(3);

    private static readonly LoadOptions Options = new DurableLoad(100, 20, Offline: true).Options(3_600) with { Warmup = 0 };

    public static async Task<bool> Run(DurableBrokers brokers, long messages)
    {
        List<StoreUnderLoad> stores = brokers.HasMosquitto ? [brokers.Ours(), brokers.Mosquitto()] : [brokers.Ours()];
        Console.WriteLine($"""
            {messages:N0} messages of 64 B in 100 sessions, SIGKILL, start, all fetched. Mosquitto is asked to save (SIGUSR1) before it is killed.

            | | {string.Join(" | ", stores.Select(s => s.Name))} |
            |---|{string.Concat(stores.Select(_ => "---|"))}
            """);
        var isSound = true;
        List<List<(string Name, string Value)>> columns = [];
        foreach (var store in stores)
        {
            var (rows, ok) = await Column(brokers, store, messages);
            columns.Add(rows);
            isSound &= ok;
        }
        for (var row = 0; row < columns[0].Count; row++)
        {
            Console.WriteLine($"| {columns[0][row].Name} | {string.Join(" | ", columns.Select(c => c[row].Value))} |");
        }
        return isSound;
    }

    /// <summary>Ours alone: filled without a limit, killed, and started with little memory.</summary>
    public static async Task<bool> RunLarge(DurableBrokers brokers, long messages)
    {
        var store = brokers.Ours();
        var options = Options with { Nonce = (uint)Random.Shared.Next(), Messages = messages };
        var folder = store.Arguments[1];
        var filled = await Fill(brokers, store, options, afterwards: null);
        var onDisk = DiskBytes(folder);
        using var group = MemoryGroup.Make(LargeMemory);
        var limited = store with { MemoryGroup = group?.Folder };
        var start = Stopwatch.GetTimestamp();
        await using var broker = await brokers.Start(limited);
        var ready = Stopwatch.GetElapsedTime(start).TotalSeconds;
        var atStart = ProcessFigures.Of(broker.Pid);
        var fetched = LoadRun.Fetch(For(broker, options), messages);
        var atEnd = ProcessFigures.Of(broker.Pid);
        var limit = group is null ? "no limit could be set (no control group may be made here)"
            : $"a control group (version {(group.IsOld ? 1 : 2)}) of {LargeMemory / 1024 / 1024} MB, page cache included";
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"""
            {messages:N0} messages of 64 B in 100 sessions; the start under {limit}.

            | what | ours |
            |---|---|
            | filled at | {Number(filled.PerSecond)}/s |
            | on disk | {Number(onDisk / 1048576.0)} MB |
            | ready after the start | {ready:0.00} s |
            | first delivery after the clients came | {fetched.FirstSeconds:0.000} s |
            | resident when ready; peak at the start | {Number(atStart.RssKb / 1024.0)}; {Number(atStart.PeakRssKb / 1024.0)} MB |
            | all fetched at; peak resident | {Number(fetched.PerSecond)}/s; {Number(atEnd.PeakRssKb / 1024.0)} MB |
            | peak of the control group; times it met its limit | {Number((group?.Peak ?? 0) / 1048576.0)} MB; {group?.Met ?? 0:N0} |
            | sessions found, messages found, doubled, reordered | {fetched.Sessions}, {fetched.Received:N0}, {fetched.Doubled}, {fetched.Reordered} |
            """));
        if (fetched.Problem is not null)
        {
            Console.WriteLine($"\nProblem: {fetched.Problem}");
        }
        return fetched.Problem is null && filled.Acked == messages && fetched.Received == messages && fetched.Doubled + fetched.Reordered == 0;
    }

    private static async Task<(List<(string, string)> Rows, bool IsSound)> Column(DurableBrokers brokers, StoreUnderLoad store, long messages)
    {
        var isOurs = store.Name == StoreUnderLoad.OursName;
        var options = Options with { Nonce = (uint)Random.Shared.Next(), Messages = messages };
        var folder = isOurs ? store.Arguments[1] : store.Arguments[1].Split(' ')[1];
        var empty = await TimeToStart(brokers, store);
        var saving = double.NaN;
        var filled = await Fill(brokers, store, options, isOurs ? null : broker => saving = Save(broker, folder));
        var (heap, reading) = isOurs ? QueuedHeap.Read(folder) : (0, double.NaN);
        var onDisk = DiskBytes(folder);
        var start = Stopwatch.GetTimestamp();
        await using var again = await brokers.Start(store);
        var ready = Stopwatch.GetElapsedTime(start).TotalSeconds;
        var figures = ProcessFigures.Of(again.Pid);
        var fetched = LoadRun.Fetch(For(again, options), messages);
        var perMessage = heap / (double)messages;
        var recovery = (ready - empty) * 1e6 / messages;
        List<(string, string)> rows =
        [
            ("filled at, µs CPU each", $"{Number(filled.PerSecond)}/s, {Number(filled.Cpu)}"),
            ("resident bytes more per message when filled", $"{Number(filled.ResidentBytes / (double)messages)} B"),
            ("living objects per message (must 32, aims 12)", isOurs ? $"{Number(perMessage)} B, {Verdict(perMessage, MustBytes, AimsBytes)}" : "–"),
            ("bytes on disk per message", $"{Number(onDisk / (double)messages)} B"),
            ("saving when asked to", isOurs ? "– (it is saved)" : $"{Number(saving)} s"),
            ("ready after the start, empty", $"{empty:0.00} s"),
            ("ready after the start, full", $"{ready:0.00} s"),
            ("recovery of a million messages (must 1 s, aims 0.2 s)", $"{recovery:0.00} s{(isOurs ? $", {Verdict(recovery, 1, 0.2)}" : "")}"),
            ("reading the log in a process that is there", isOurs ? $"{reading:0.00} s" : "–"),
            ("first delivery after the clients came", $"{fetched.FirstSeconds:0.000} s"),
            ("resident when ready", $"{Number(figures.RssKb / 1024.0)} MB"),
            ("fetched at, µs CPU each", $"{Number(fetched.PerSecond)}/s, {Number(fetched.CpuSeconds * 1e6 / Math.Max(1, fetched.Received))}"),
            ("sessions found, messages found, doubled, reordered",
                $"{fetched.Sessions}, {fetched.Received:N0}, {fetched.Doubled}, {fetched.Reordered}{(fetched.Problem is null ? "" : ": " + fetched.Problem)}"),
        ];
        return (rows, !isOurs || (fetched.Problem is null && fetched.Received == messages && fetched.Doubled + fetched.Reordered == 0));
    }

    private static async Task<(double PerSecond, double Cpu, long ResidentBytes, long Acked)> Fill(
        DurableBrokers brokers, StoreUnderLoad store, LoadOptions options, Action<BrokerUnderLoad>? afterwards)
    {
        await using var broker = await brokers.Start(store);
        // So that neither compiled code nor tables that find their size count as messages.
        Measure(broker, new DurableLoad(100, 20, Offline: true).Options(1.5));
        var there = For(broker, options);
        var problem = LoadRun.Subscribe(there);
        var before = ProcessFigures.Of(broker.Pid);
        var result = LoadRun.Publish(there);
        await Console.Error.WriteLineAsync($"{broker.Name} {result.ToJson()}");
        if ((problem ?? result.Problem) is { } failed)
        {
            throw new InvalidOperationException($"{broker.Name}: {failed}");
        }
        var after = ProcessFigures.Of(broker.Pid);
        afterwards?.Invoke(broker);
        return (result.AckedPerSecond, result.CpuPerMillionAcked, (after.RssKb - before.RssKb) * 1024, result.Acked);
    }

    private static string Verdict(double figure, double must, double aims) =>
        figure <= aims ? "aim reached" : figure <= must ? "reached" : "**missed**";

    private static async Task<double> TimeToStart(DurableBrokers brokers, StoreUnderLoad store)
    {
        await using (await brokers.Start(store))
        {
            // The first start makes the folder.
        }
        var start = Stopwatch.GetTimestamp();
        await using var broker = await brokers.Start(store);
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>Asks Mosquitto to save and waits until its file is there.</summary>
    private static double Save(BrokerUnderLoad broker, string folder)
    {
        var file = Path.Combine(folder, "mosquitto.db");
        File.Delete(file);
        var start = Stopwatch.GetTimestamp();
        broker.Signal("USR1");
        while (!File.Exists(file) && Stopwatch.GetElapsedTime(start) < SaveDeadline)
        {
            Thread.Sleep(5);
        }
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static long DiskBytes(string folder) =>
        new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length);
}
