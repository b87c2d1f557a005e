using IotHub.Benchmarks.Compare;
using IotHub.Benchmarks.Load;
using static IotHub.Benchmarks.Durability.DurableBrokers;

namespace IotHub.Benchmarks.Durability;

/// <summary>Publishers with a window each, and the persistent sessions that they publish to.</summary>
internal sealed record DurableLoad(int Publishers, int Window, bool Offline)
{
    public static readonly IReadOnlyList<(int Publishers, int Window)> Shapes =
        [(1, 1), (1, 20), (10, 1), (10, 20), (100, 1), (100, 20), (1_000, 1), (1_000, 20)];

    public int Outstanding => Publishers * Window;

    public string Name => $"{(Offline ? "offline" : "live")}, {Publishers:N0} × {Window}";

    /// <summary>A session for each publisher. Deliveries on their way are as many as the windows allow: nothing else holds publishers back.</summary>
    public LoadOptions Options(double seconds) => new()
    {
        Mode = LoadMode.Pair,
        Publishers = Publishers,
        Subscribers = Publishers,
        Window = Window,
        Qos = 1,
        Persistent = true,
        Offline = Offline,
        Outstanding = Outstanding + 4_096,
        Warmup = 0.5,
        Seconds = seconds,
    };
}

/// <summary>Acknowledged publishes a second and their CPU, by publishers and windows, beside what the design demands.</summary>
internal static class DurableRates
{
    /// <summary>Outstanding publishes from which the target for many holds.</summary>
    private const int Many = 64;

    public static async Task<bool> Run(DurableBrokers brokers, int rounds, double seconds)
    {
        List<DurableLoad> loads = [.. new[] { true, false }.SelectMany(
            offline => DurableLoad.Shapes.Select(s => new DurableLoad(s.Publishers, s.Window, offline)))];
        var results = new Dictionary<(DurableLoad Load, string Broker), List<LoadResult>>();
        var flushes = loads.ToDictionary(load => load, _ => new List<double>());
        List<StoreUnderLoad> stores = [brokers.Ours(), StoreUnderLoad.Memory];
        if (brokers.HasMosquitto)
        {
            stores.Add(brokers.Mosquitto());
        }
        await brokers.WithAll(stores, running =>
        {
            running.ForEach(broker => Measure(broker, new DurableLoad(10, 20, false).Options(2)));
            for (var round = 0; round < rounds; round++)
            {
                foreach (var load in loads)
                {
                    flushes[load].Add(brokers.Flush().DataP50);
                    foreach (var broker in running)
                    {
                        var result = Measure(broker, load.Options(seconds));
                        results.TryAdd((load, broker.Name), []);
                        results[(load, broker.Name)].Add(result);
                    }
                }
            }
            return Task.CompletedTask;
        });
        Console.WriteLine($"Medians of {rounds} rounds; T is the disk's own write and flush (p50), measured before each load.\n");
        WriteTable(loads, results, flushes);
        return results.Values.SelectMany(r => r).All(r => r.IsSound);
    }

    private static void WriteTable(
        List<DurableLoad> loads, Dictionary<(DurableLoad Load, string Broker), List<LoadResult>> results,
        Dictionary<DurableLoad, List<double>> flushes)
    {
        double Of(DurableLoad load, string broker, Func<LoadResult, double> figure) =>
            results.TryGetValue((load, broker), out var all) ? Median(all.Where(r => r.Problem is null).Select(figure)) : double.NaN;

        const string ours = StoreUnderLoad.OursName, memory = StoreUnderLoad.MemoryName, theirs = StoreUnderLoad.MosquittoName;
        Console.WriteLine("""
            | sessions, publishers × window | T µs | ours/s | in memory/s | Mosquitto/s | must/s | verdict | ours µs CPU | more than in memory | Mosquitto µs CPU | ratio | ours p50, p99 µs | Mosquitto p50, p99 µs | unsound |
            |---|---|---|---|---|---|---|---|---|---|---|---|---|---|
            """);
        foreach (var load in loads)
        {
            var (rate, inMemory) = (Of(load, ours, r => r.AckedPerSecond), Of(load, memory, r => r.AckedPerSecond));
            var (cpu, memoryCpu) = (Of(load, ours, r => r.CpuPerMillionAcked), Of(load, memory, r => r.CpuPerMillionAcked));
            var theirCpu = Of(load, theirs, r => r.CpuPerMillionAcked);
            var flush = Median(flushes[load]);
            var must = Must(load, inMemory, flush);
            var all = results.Where(r => r.Key.Load == load).SelectMany(r => r.Value).ToList();
            var problems = string.Join("; ", all.Select(r => r.Problem).Where(p => p is not null).Distinct());
            string[] cells =
            [
                load.Name, Number(flush), Number(rate), Number(inMemory), Number(Of(load, theirs, r => r.AckedPerSecond)), Number(must),
                double.IsNaN(must) ? "" : rate >= must ? "reached" : "**missed**",
                Number(cpu), Number(cpu - memoryCpu), Number(theirCpu), Number(cpu / theirCpu),
                $"{Number(Of(load, ours, r => r.AckP50))}, {Number(Of(load, ours, r => r.AckP99))}",
                $"{Number(Of(load, theirs, r => r.AckP50))}, {Number(Of(load, theirs, r => r.AckP99))}",
                $"{all.Sum(r => r.Lost)}, {all.Sum(r => r.Doubled)}, {all.Sum(r => r.Reordered)}{(problems.Length > 0 ? $": {problems}" : "")}",
            ];
            Console.WriteLine($"| {string.Join(" | ", cells)} |");
        }
    }

    /// <summary>0.5 / T for one at a time; for many the smaller of 60 % of what memory does and N / 2T. (design, section 6)</summary>
    private static double Must(DurableLoad load, double inMemory, double flush) => load.Outstanding switch
    {
        1 => 0.5e6 / flush,
        >= Many => Math.Min(0.6 * inMemory, load.Outstanding * 1e6 / (2 * flush)),
        _ => double.NaN,
    };
}
