using System.Text.Json;
using IotHub.Harness;
using IotHub.Harness.Mqtt;

namespace IotHub.Benchmarks;

/// <summary>Prints the allocation table beside what is allowed, or writes it anew.</summary>
internal static class AllocationTable
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    public static int Run(string[] args)
    {
        var file = RepositoryRoot.Combine("tests", "benchmarks", "allocations.json");
        var allowed = JsonSerializer.Deserialize<Dictionary<string, double>>(File.ReadAllText(file))!;
        var measured = AllocationScenarios.All.ToDictionary(s => s.Key, s => Math.Round(s.Value(), 1));
        Console.WriteLine($"{"hot path",-36} {"bytes",8} {"allowed",8}");
        foreach (var (row, bytes) in measured)
        {
            Console.WriteLine($"{row,-36} {bytes,8:F1} {(allowed.TryGetValue(row, out var limit) ? limit.ToString("F1", null) : "new"),8}");
        }
        if (args.Contains("--update"))
        {
            File.WriteAllText(file, JsonSerializer.Serialize(measured, Indented) + "\n");
        }
        return 0;
    }
}
