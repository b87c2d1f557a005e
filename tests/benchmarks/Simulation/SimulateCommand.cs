using System.Diagnostics;
using System.Globalization;
using IotHub.Harness.Simulation;
using Play = IotHub.Harness.Simulation.Simulation;

namespace IotHub.Benchmarks.Simulation;

/// <summary>Plays many seeds of the simulation, or one again with its story.</summary>
internal static class SimulateCommand
{
    public const string Usage =
        """
          simulate --seeds N [--from S] [--steps K]   plays N seeds of the broker with crashes, failing disks and jumping clocks; stops
                                       at the first that fails and tells its shortened story
          simulate --seed S [--steps K] [--whole]     plays one seed again and tells its story, shortened if it fails
        """;

    public static int Run(string[] args)
    {
        var options = new Dictionary<string, int>(StringComparer.Ordinal);
        var isWhole = false;
        for (var i = 0; i < args.Length; i++)
        {
            if (args[i] == "--whole")
            {
                isWhole = true;
            }
            else if (args[i] is "--seeds" or "--from" or "--steps" or "--seed" && i + 1 < args.Length
                && int.TryParse(args[i + 1], NumberStyles.None, CultureInfo.InvariantCulture, out var value))
            {
                options[args[i++]] = value;
            }
            else
            {
                Console.Error.WriteLine(Usage);
                return 2;
            }
        }
        var steps = options.GetValueOrDefault("--steps", 150);
        if (options.TryGetValue("--seed", out var seed))
        {
            return Tell(seed, steps, isWhole);
        }
        return options.TryGetValue("--seeds", out var seeds) ? RunMany(options.GetValueOrDefault("--from", 1), seeds, steps) : Bad();
    }

    private static int Bad()
    {
        Console.Error.WriteLine(Usage);
        return 2;
    }

    private static int RunMany(int from, int seeds, int steps)
    {
        var started = Stopwatch.GetTimestamp();
        var told = started;
        for (var seed = from; seed < from + seeds; seed++)
        {
            if (Play.Play(SimulationSetup.Of(seed), Step.Schedule(seed, steps)) is not null)
            {
                return Tell(seed, steps, isWhole: false);
            }
            if (Stopwatch.GetElapsedTime(told).TotalSeconds > 10)
            {
                told = Stopwatch.GetTimestamp();
                Console.WriteLine($"{seed - from + 1} seeds");
            }
        }
        Console.WriteLine(
            $"{seeds} seeds of {steps} steps from {from} on, nothing found, {Stopwatch.GetElapsedTime(started).TotalSeconds:0.0} s");
        return 0;
    }

    private static int Tell(int seed, int steps, bool isWhole)
    {
        var setup = SimulationSetup.Of(seed);
        var schedule = Step.Schedule(seed, steps);
        var failure = Play.Play(setup, schedule);
        if (failure is not null && !isWhole)
        {
            Console.WriteLine($"seed {seed}, {steps} steps: {failure}");
            schedule = Shortening.Shorten(setup, schedule);
        }
        var story = new List<string>();
        failure = Play.Play(setup, schedule, story);
        story.ForEach(Console.WriteLine);
        Console.WriteLine(failure is null ? "nothing found" : $"seed {seed}, {schedule.Length} of {steps} steps: {failure}");
        return failure is null ? 0 : 1;
    }
}
