using IotHub.Benchmarks.Compare;
using IotHub.Benchmarks.Load;

namespace IotHub.Benchmarks.Durability;

/// <summary>What each broker has on disk when it acknowledges: killed right behind the last PUBACK, started again, and asked for all of it.</summary>
internal static class DurableKept
{
    private const int Messages = 20_000;

    private static readonly LoadOptions Options = new DurableLoad(10, 20, Offline: true).Options(60) with { Messages = Messages, Warmup = 0 };

    public static async Task<bool> Run(DurableBrokers brokers, int rounds)
    {
        Console.WriteLine("""
            10 publishers fill 10 sessions; SIGKILL right behind the last PUBACK, a start, and the subscribers come back.

            | broker | acknowledged | a second | sessions found | messages found | doubled | reordered | what was on disk |
            |---|---|---|---|---|---|---|---|
            """);
        List<Func<StoreUnderLoad>> stores = [brokers.Ours];
        if (brokers.HasMosquitto)
        {
            stores.AddRange([brokers.Mosquitto, brokers.Saving]);
        }
        var isSound = true;
        foreach (var make in stores)
        {
            var (acked, sessions, found, doubled, reordered, name) = (0L, 0, 0L, 0L, 0L, "");
            var rates = new List<double>();
            for (var round = 0; round < rounds; round++)
            {
                var store = make();
                name = store.Name;
                var (published, fetched) = await Once(brokers, store);
                rates.Add(published.AckedPerSecond);
                (acked, sessions, found) = (acked + published.Acked, sessions + fetched.Sessions, found + fetched.Received - fetched.Doubled);
                (doubled, reordered) = (doubled + fetched.Doubled, reordered + fetched.Reordered);
            }
            isSound &= name != StoreUnderLoad.OursName || (found == acked && doubled + reordered == 0 && sessions == rounds * Options.Subscribers);
            Console.WriteLine(
                $"| {name} | {acked:N0} | {DurableBrokers.Number(DurableBrokers.Median(rates))} | {sessions} of {rounds * Options.Subscribers} | "
                + $"{found:N0} | {doubled} | {reordered} | {OnDisk(name)} |");
        }
        return isSound;
    }

    private static async Task<(LoadResult Published, Fetched Fetched)> Once(DurableBrokers brokers, StoreUnderLoad store)
    {
        var options = Options with { Nonce = (uint)Random.Shared.Next() };
        LoadResult published;
        await using (var broker = await brokers.Start(store))
        {
            var there = DurableBrokers.For(broker, options);
            if (LoadRun.Subscribe(there) is { } problem)
            {
                throw new InvalidOperationException($"{broker.Name}: {problem}");
            }
            published = LoadRun.Publish(there);
        }
        await using var again = await brokers.Start(store);
        return (published, LoadRun.Fetch(DurableBrokers.For(again, options), published.Acked));
    }

    private static string OnDisk(string broker) => broker switch
    {
        StoreUnderLoad.OursName => "everything, at each acknowledgement (group commit, fdatasync)",
        StoreUnderLoad.MosquittoName => "nothing: it saves every 1,800 s (its default), at its end and at SIGUSR1",
        _ => "what it saved last: all of it anew after each round of its loop, behind the acknowledgement",
    };
}
