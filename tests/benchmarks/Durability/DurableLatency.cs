using IotHub.Benchmarks.Compare;
using IotHub.Benchmarks.Load;
using static IotHub.Benchmarks.Durability.DurableBrokers;

namespace IotHub.Benchmarks.Durability;

/// <summary>How long a publisher waits for PUBACK when the broker has half of the work that it can do.</summary>
internal static class DurableLatency
{
    /// <summary>
    /// Nanoseconds between two looks of the generator. One that wakes for each message and each acknowledgement takes a whole core at these
    /// rates, and of two cores the broker would have to share one with its own disk.
    /// </summary>
    private const long Tick = 100_000;

    private static readonly DurableLoad[] Loads =
        [new(1, 20, true), new(10, 20, true), new(100, 1, true), new(100, 20, true), new(1_000, 1, true), new(100, 20, false)];

    public static async Task<bool> Run(DurableBrokers brokers, int rounds, double seconds)
    {
        var results = new Dictionary<(DurableLoad Load, string Broker), List<(double Saturation, DiskFlush Flush, LoadResult Result)>>();
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
                foreach (var load in Loads)
                {
                    var saturation = 0.0;
                    foreach (var broker in running)
                    {
                        // In writes of one message, as the paced ones are. Without its disk our broker gets the same work as with it.
                        if (broker.Name != StoreUnderLoad.MemoryName)
                        {
                            saturation = Measure(broker, load.Options(1) with { Batch = 1 }).AckedPerSecond;
                        }
                        var flush = brokers.Flush();
                        var result = Measure(broker, load.Options(seconds) with { Rate = Math.Max(1, saturation / 2), Tick = Tick });
                        results.TryAdd((load, broker.Name), []);
                        results[(load, broker.Name)].Add((saturation, flush, result));
                    }
                }
            }
            return Task.CompletedTask;
        });
        WriteTable(results, rounds);
        return results.Values.SelectMany(r => r).All(r => r.Result.IsSound);
    }

    private static void WriteTable(
        Dictionary<(DurableLoad Load, string Broker), List<(double Saturation, DiskFlush Flush, LoadResult Result)>> results, int rounds)
    {
        Console.WriteLine($"""
            Medians of {rounds} rounds. T: the disk's own write and flush right before, p50 (p99). With 64 or more outstanding p99 must stay within
            5 T + 1 ms and aims at 3 T. Time counts from when a message was due until the generator sees its PUBACK; it looks every {Tick / 1_000} µs.
            Each message is a write of its own.

            | sessions, publishers × window | broker | saturation/s | paced at/s | acknowledged/s | T µs | p50 µs | p99 µs | must | µs CPU each | verdict |
            |---|---|---|---|---|---|---|---|---|---|---|
            """);
        foreach (var load in Loads)
        {
            foreach (var broker in results.Keys.Where(k => k.Load == load).Select(k => k.Broker))
            {
                var all = results[(load, broker)];
                double Of(Func<LoadResult, double> figure) => Median(all.Where(r => r.Result.Problem is null).Select(r => figure(r.Result)));
                var p99 = Of(r => r.AckP99);
                var flush = Median(all.Select(r => r.Flush.DataP50));
                var (must, aims) = ((5 * flush) + 1_000, 3 * flush);
                var verdict = broker != StoreUnderLoad.OursName ? "" : p99 <= aims ? "aim reached" : p99 <= must ? "reached" : "**missed**";
                string[] cells =
                [
                    load.Name, broker, Number(Median(all.Select(r => r.Saturation))), Number(Of(r => r.Rate)), Number(Of(r => r.AckedPerSecond)),
                    $"{Number(flush)} ({Number(Median(all.Select(r => r.Flush.DataP99)))})", Number(Of(r => r.AckP50)), Number(p99), Number(must),
                    Number(Of(r => r.CpuPerMillionAcked)), load.Outstanding >= 64 ? verdict : "",
                ];
                Console.WriteLine($"| {string.Join(" | ", cells)} |");
            }
        }
    }
}
