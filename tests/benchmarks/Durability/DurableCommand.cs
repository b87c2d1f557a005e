using System.Globalization;
using System.Runtime.InteropServices;
using IotHub.Benchmarks.Load;
using IotHub.Harness;

namespace IotHub.Benchmarks.Durability;

/// <summary><c>durable</c>: what it costs our broker, and Mosquitto with persistence, to keep what they acknowledge, as tables in Markdown.</summary>
internal static class DurableCommand
{
    public const string Usage =
        """
        durable [rates] [latency] [kept] [queue] [large] [--rounds N (3)] [--seconds N (2)] [--folder DIR] [--messages N] [--ours]
          QoS 1 publishing that has to survive: our broker with a log, the same in memory, and Mosquitto with persistence, in turn
          rates: by publishers and windows, to sessions of nobody there and of somebody   latency: of PUBACK at half the saturation rate
          kept: what is left after SIGKILL   queue: a million messages that wait (--messages): memory, restart, first delivery
          large: ten million of them (--messages) and a start with 512 MB of memory; only when it is named
          --folder: where logs and databases lie, on the disk to measure   --ours: without Mosquitto
        """;

    private static readonly string[] Sections = ["rates", "latency", "kept", "queue", "large"];

    public static async Task<int> Run(string[] args)
    {
        var named = args.TakeWhile(a => !a.StartsWith("--", StringComparison.Ordinal)).ToList();
        if (named.Except(Sections).Any())
        {
            await Console.Error.WriteLineAsync($"durable: no section \"{named.Except(Sections).First()}\"\n{Usage}");
            return 2;
        }
        var sections = named.Count > 0 ? named : [.. Sections[..^1]];
        var rounds = int.Parse(Value(args, "--rounds") ?? "3", CultureInfo.InvariantCulture);
        var seconds = double.Parse(Value(args, "--seconds") ?? "2", CultureInfo.InvariantCulture);
        var messages = Value(args, "--messages") is { } text ? long.Parse(text, CultureInfo.InvariantCulture) : (long?)null;
        using var files = new TempFolder("durable");
        var parent = Value(args, "--folder") is { } folder ? Directory.CreateDirectory(folder).FullName : files.Path;
        using var brokers = new DurableBrokers(files, parent, !args.Contains("--ours"));
        Console.WriteLine(Machine());
        var isSound = true;
        foreach (var section in Sections.Where(sections.Contains))
        {
            Console.WriteLine($"\n### {section}\n");
            isSound &= section switch
            {
                "rates" => await DurableRates.Run(brokers, rounds, seconds),
                "latency" => await DurableLatency.Run(brokers, rounds, seconds),
                "kept" => await DurableKept.Run(brokers, rounds),
                "queue" => await DurableQueue.Run(brokers, messages ?? 1_000_000),
                _ => await DurableQueue.RunLarge(brokers, messages ?? 10_000_000),
            };
        }
        Console.WriteLine($"\nLoad average at the end {ProcessFigures.LoadAverage()}.");
        return isSound ? 0 : 1;
    }

    private static string Machine() => string.Create(
        CultureInfo.InvariantCulture,
        $"{DateTime.UtcNow:yyyy-MM-dd HH:mm} UTC, {Environment.ProcessorCount} cores shared with the load, {RuntimeInformation.OSDescription}, "
        + $".NET {Environment.Version}; load average {ProcessFigures.LoadAverage()} before.");

    private static string? Value(string[] args, string name) =>
        Array.IndexOf(args, name) is var at and >= 0 && at + 1 < args.Length ? args[at + 1] : null;
}
