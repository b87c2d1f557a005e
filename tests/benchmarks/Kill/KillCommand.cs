using System.Globalization;
using IotHub.Harness;
using IotHub.Harness.Kill;

namespace IotHub.Benchmarks.Kill;

/// <summary><c>kill</c>: our broker is killed under load and started again, many times; exit code 1 when it broke a promise.</summary>
internal static class KillCommand
{
    public const string Usage =
        """
        kill [--kills N (100)] [--seed S] [--data DIR] [--stop-at-fault] [--without-data] [--program FILE]
          the broker is killed (SIGKILL) at random moments under publishers and subscribers of every kind, and started again on
          the same folder; counts what was lost, doubled, reordered or forgotten
          --data: keep the log there, and leave it
          --without-data: without a log, to see that losses are found   --program: another build of the broker
        """;

    public static async Task<int> Run(string[] args)
    {
        var seed = Number(args, "--seed") ?? Random.Shared.Next();
        var told = 0;
        using var files = new TempFolder("kill");
        var options = new KillOptions
        {
            Program = Value(args, "--program") ?? BrokerProgram.Path,
            DataFolder = args.Contains("--without-data") ? null : Value(args, "--data") ?? files.Combine("data"),
            Kills = Number(args, "--kills") ?? 100,
            Seed = seed,
            StopAtFault = args.Contains("--stop-at-fault"),
            OnKill = report =>
            {
                foreach (var text in report.Texts.Skip(told))
                {
                    Console.Error.WriteLine(text);
                }
                told = report.Texts.Count;
                if (report.Kills % 20 == 0)
                {
                    Console.Error.WriteLine(string.Create(
                        CultureInfo.InvariantCulture,
                        $"{report.Took.TotalSeconds:0} s: {report.Kills} kills, {report.Deliveries:#,0} deliveries, {report.Faults.Values.Sum()} faults, last start {report.StartMs[^1]:0} ms"));
                }
            },
        };
        await Console.Error.WriteLineAsync($"seed {seed}");
        var result = await KillTest.Run(options);
        Console.WriteLine(result.Write());
        return result.IsFaultless ? 0 : 1;
    }

    private static int? Number(string[] args, string name) =>
        Value(args, name) is { } text ? int.Parse(text, CultureInfo.InvariantCulture) : null;

    private static string? Value(string[] args, string name)
    {
        var at = Array.IndexOf(args, name);
        return at >= 0 && at + 1 < args.Length ? args[at + 1] : null;
    }
}
