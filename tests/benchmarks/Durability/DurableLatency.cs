using IotHub.Benchmarks.Compare;
using IotHub.Benchmarks.Load;
using static IotHub.Benchmarks.Durability.DurableBrokers;

namespace IotHub.Benchmarks.Durability;

/// <summary>How long a publisher waits for PUBACK when the broker has half of the work that it can do.</summary>
internal static class DurableLatency
{
    private static readonly DurableLoad[] Loads =
        [new(1, 20, true), new(10, 20, true), new(100, 1, true), new(100, 20, true), new(1_000, 1, true), new(100, 20, false)];

    public static async Task<bool> Run(DurableBrokers brokers, int rounds, double seconds)
    {
        var results = new Dictionary<(DurableLoad Load, string Broker), List<(double Saturation, LoadResult Result)>>();
        List<StoreUnderLoad> stores = brokers.HasMosquitto ? [brokers.Ours(), brokers.Mosquitto()] : [brokers.Ours()];
        await brokers.WithAll(stores, running =>
        {
            running.ForEach(broker => Measure(broker, new DurableLoad(10, 20, false).Options(2)));
            for (var round = 0; round < rounds; round++)
            {
                brokers.MeasureFlush();
                foreach (var load in Loads)
                {
                    foreach (var broker in running)
                    {
                        var saturation = Measure(broker, load.Options(1)).AckedPerSecond;
                        var result = Measure(broker, load.Options(seconds) with { Rate = Math.Max(1, saturation / 2) });
                        results.TryAdd((load, broker.Name), []);
                        results[(load, broker.Name)].Add((saturation, result));
                    }
                }
            }
            return Task.CompletedTask;
        });
        WriteTable(results, rounds, brokers.FlushP50);
        return results.Values.SelectMany(r => r).All(r => r.Result.IsSound);
    }

    private static void WriteTable(
        Dictionary<(DurableLoad Load, string Broker), List<(double Saturation, LoadResult Result)>> results, int rounds, double flush)
    {
        var (must, aims) = ((5 * flush) + 1_000, 3 * flush);
        Console.WriteLine($"""
            Medians of {rounds} rounds; T in the same run {Number(flush)} µs, so p99 must stay within 5 T + 1 ms = {Number(must)} µs and aims at
            3 T = {Number(aims)} µs with 64 or more outstanding. Time counts from when a message was due.

            | sessions, publishers × window | broker | saturation/s | paced at/s | acknowledged/s | p50 µs | p99 µs | µs CPU each | verdict |
            |---|---|---|---|---|---|---|---|---|
            """);
        foreach (var load in Loads)
        {
            foreach (var broker in results.Keys.Where(k => k.Load == load).Select(k => k.Broker))
            {
                var all = results[(load, broker)];
                double Of(Func<LoadResult, double> figure) => Median(all.Where(r => r.Result.Problem is null).Select(r => figure(r.Result)));
                var p99 = Of(r => r.AckP99);
                var verdict = broker != StoreUnderLoad.OursName ? "" : p99 <= aims ? "aim reached" : p99 <= must ? "reached" : "**missed**";
                string[] cells =
                [
                    load.Name, broker, Number(Median(all.Select(r => r.Saturation))), Number(Of(r => r.Rate)), Number(Of(r => r.AckedPerSecond)),
                    Number(Of(r => r.AckP50)), Number(p99), Number(Of(r => r.CpuPerMillionAcked)), load.Outstanding >= 64 ? verdict : "",
                ];
                Console.WriteLine($"| {string.Join(" | ", cells)} |");
            }
        }
    }
}
