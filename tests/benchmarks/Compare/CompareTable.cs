using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using IotHub.Benchmarks.Load;

namespace IotHub.Benchmarks.Compare;

/// <summary>Gathers the rounds and writes medians beside the targets.</summary>
internal sealed class CompareTable(int rounds, string loadBefore)
{
    private readonly Dictionary<(string Scenario, string Broker), List<LoadResult>> _results = [];

    public bool IsSound => _results.Values.SelectMany(r => r).All(r => r.IsSound);

    public void Add(string scenario, string broker, LoadResult result)
    {
        if (!_results.TryGetValue((scenario, broker), out var list))
        {
            _results.Add((scenario, broker), list = []);
        }
        list.Add(result);
    }

    public string Write(IReadOnlyList<string> scenarios, string loadAfter)
    {
        var text = new StringBuilder();
        var system = RuntimeInformation.OSDescription.Split(' ')[0];
        text.AppendLine(CultureInfo.InvariantCulture, $"""
            {DateTime.UtcNow:yyyy-MM-dd HH:mm} UTC, {Environment.ProcessorCount} cores shared with the load, {system}
            {Environment.OSVersion.Version}, .NET {Environment.Version}; medians of {rounds} rounds; load average {loadBefore} before,
            {loadAfter} after.

            | measure | ours | Mosquitto | ratio | must | aims | verdict |
            |---|---|---|---|---|---|---|
            """);
        foreach (var measure in Scenarios.Measures.Where(m => scenarios.Contains(m.Scenario)))
        {
            text.AppendLine(Row(measure));
        }
        text.AppendLine("""

            | load | broker | per second | µs CPU each | of it user | p50 µs | p99 µs | p99.9 µs | peak MB | unsound | problems |
            |---|---|---|---|---|---|---|---|---|---|---|
            """);
        foreach (var scenario in scenarios)
        {
            foreach (var broker in new[] { "ours", "ours, sockets", "Mosquitto" }.Where(b => _results.ContainsKey((scenario, b))))
            {
                text.AppendLine(Row(scenario, broker));
            }
        }
        return text.ToString();
    }

    private string Row(Measure measure)
    {
        var ours = Median(measure.Scenario, "ours", measure.Figure);
        var theirs = Median(measure.Scenario, "Mosquitto", measure.Figure);
        var reference = measure.Against switch
        {
            Against.Mosquitto => theirs,
            Against.Ourselves => Median(measure.Baseline!, "ours", measure.Figure),
            _ => null,
        };
        var ratio = ours / reference;
        var judged = measure.Against == Against.Nothing ? ours : ratio;
        var verdict = (judged, measure.Must) switch
        {
            (null, _) => "not measured",
            (_, null) => "",
            _ when judged <= measure.Aims => "aim reached",
            _ when judged <= measure.Must => "reached",
            _ => "**missed**",
        };
        var of = measure.Against == Against.Ourselves ? " of ours without" : "";
        string[] cells =
        [
            measure.Name, $"{Number(ours)} {measure.Unit}", Number(theirs), Number(ratio) + of, Number(measure.Must), Number(measure.Aims),
            verdict,
        ];
        return $"| {string.Join(" | ", cells)} |";
    }

    private string Row(string scenario, string broker)
    {
        var all = _results[(scenario, broker)];
        var user = Median(scenario, broker, r => 100 * r.CpuUserSeconds / (r.CpuUserSeconds + r.CpuSystemSeconds + 1e-9));
        string Figure(Func<LoadResult, double> figure) => Number(Median(scenario, broker, figure));
        var problems = string.Join("; ", all.Select(r => r.Problem).Where(p => p is not null).Distinct());
        string[] cells =
        [
            scenario, broker, Figure(r => r.PerSecond), Figure(r => r.CpuPerMillion), $"{user:F0} %",
            Figure(r => r.P50), Figure(r => r.P99), Figure(r => r.P999), Figure(r => r.PeakRssKb / 1024.0),
            $"{all.Sum(r => r.Lost)}, {all.Sum(r => r.Doubled)}, {all.Sum(r => r.Reordered)}", problems,
        ];
        return $"| {string.Join(" | ", cells)} |";
    }

    private double? Median(string scenario, string broker, Func<LoadResult, double> figure)
    {
        if (!_results.TryGetValue((scenario, broker), out var all) || all.TrueForAll(r => r.Problem is not null))
        {
            return null;
        }
        var sorted = all.Where(r => r.Problem is null).Select(figure).Order().ToList();
        return (sorted[(sorted.Count - 1) / 2] + sorted[sorted.Count / 2]) / 2;
    }

    private static string Number(double? value) => value is not { } number ? "–" : number switch
    {
        0 => "0",
        >= 100 => number.ToString("#,0", CultureInfo.InvariantCulture),
        >= 10 => number.ToString("0.0", CultureInfo.InvariantCulture),
        _ => number.ToString("0.00#", CultureInfo.InvariantCulture),
    };
}
