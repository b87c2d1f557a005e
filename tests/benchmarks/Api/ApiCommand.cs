using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using IotHub.Benchmarks.Load;
using IotHub.Harness;

namespace IotHub.Benchmarks.Api;

/// <summary>
/// The management API over an in-memory stand-in of storage, which shows what is our own, and over Azurite: requests per second, and CPU of
/// the function app's process and of Azurite's per request.
/// </summary>
internal static class ApiCommand
{
    public const string Usage = """
          api [--seconds 3] [--connections 4] [--only TEXT]
                                     the management API in memory and over Azurite: requests per second, CPU per request
        """;

    private const int Devices = 100;

    public static async Task<int> Run(string[] args)
    {
        var seconds = double.Parse(Value(args, "--seconds") ?? "3", CultureInfo.InvariantCulture);
        var connections = int.Parse(Value(args, "--connections") ?? "4", CultureInfo.InvariantCulture);
        var only = Value(args, "--only") ?? "";
        await using var broker = await TestHttpServer.Start();
        broker.Answers(202);
        await using var azurite = await AzuriteServer.Start();
        Console.WriteLine($"{connections} connections, {seconds} s each, load average {ProcessFigures.LoadAverage()}");
        Console.WriteLine();
        Console.WriteLine("| request | storage | per second | p50 ms | p99 ms | our CPU ms each | Azurite's CPU ms each |");
        Console.WriteLine("|---|---|---|---|---|---|---|");
        foreach (var (name, storage, pid) in new[] { ("memory", null, 0), ("Azurite", azurite.NewAccount(), azurite.Pid) })
        {
            await using var server = await ApiServer.Start(storage, broker.Url);
            using var http = new HttpClient { BaseAddress = server.Url };
            http.DefaultRequestHeaders.Add("X-Auth-Token", server.Secret);
            var scenarios = await Scenarios(http, server.Organization);
            foreach (var scenario in scenarios.Where(scenario => scenario.Name.Contains(only, StringComparison.Ordinal)))
            {
                await Drive(http, scenario, connections, seconds / 3);
                var (ours, azurites) = (ProcessFigures.Of(server.Pid), ProcessFigures.Of(pid));
                var (times, elapsed) = await Drive(http, scenario, connections, seconds);
                var own = (ProcessFigures.Of(server.Pid).CpuSeconds - ours.CpuSeconds) * 1_000 / times.Count;
                var theirs = (ProcessFigures.Of(pid).CpuSeconds - azurites.CpuSeconds) * 1_000 / times.Count;
                Console.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"| `{scenario.Name}` | {name} | {times.Count / elapsed:N0} | {Quantile(times, 0.5):F1} | {Quantile(times, 0.99):F1} | {own:F2} | "
                    + $"{(pid == 0 ? "–" : theirs.ToString("F2", CultureInfo.InvariantCulture))} |"));
            }
        }
        return 0;
    }

    /// <summary>A call by one connection, or several that follow each other; each request counts.</summary>
    private sealed record Scenario(string Name, Func<int, Func<HttpMethod, string, JsonNode?, Task<JsonNode?>>, Task> Run);

    private static async Task<IReadOnlyList<Scenario>> Scenarios(HttpClient http, Guid organization)
    {
        var hub = await Send(http, HttpMethod.Post, "hubs", new JsonObject { ["name"] = "benchmark", ["project_id"] = $"{organization}" });
        var hubId = $"{hub!["id"]}";
        var devices = new List<string>();
        for (var i = 0; i < Devices; i++)
        {
            var made = await Send(http, HttpMethod.Post, "devices", new JsonObject { ["name"] = $"d{i}", ["hub_id"] = hubId });
            devices.Add($"{made!["device"]!["id"]}");
        }
        var number = 0;
        return
        [
            new("GET /hubs/{hub_id}", (_, send) => send(HttpMethod.Get, $"hubs/{hubId}", null)),
            new("GET /devices/{device_id}", (i, send) => send(HttpMethod.Get, $"devices/{devices[i]}", null)),
            new("GET /devices?hub_id=… (20 of 100)", (_, send) => send(HttpMethod.Get, $"devices?hub_id={hubId}", null)),
            new("PATCH /devices/{device_id}", (i, send) => send(
                HttpMethod.Patch, $"devices/{devices[i]}", new JsonObject { ["description"] = $"{Interlocked.Increment(ref number)}" })),
            new("PUT /twins/{twin_id}/documents/{document_name}", (i, send) => send(
                HttpMethod.Put, $"twins/{devices[i]}/documents/d", new JsonObject { ["data"] = new JsonObject { ["t"] = 20.5 } })),
            new("POST /networks, then DELETE", async (_, send) =>
            {
                var made = await send(HttpMethod.Post, "networks", new JsonObject { ["name"] = "n", ["hub_id"] = hubId, ["type"] = "rest" });
                await send(HttpMethod.Delete, $"networks/{made!["network"]!["id"]}", null);
            }),
            new("POST /devices (makes an RSA key), then DELETE", async (_, send) =>
            {
                var name = $"n{Interlocked.Increment(ref number)}";
                var made = await send(HttpMethod.Post, "devices", new JsonObject { ["name"] = name, ["hub_id"] = hubId });
                await send(HttpMethod.Delete, $"devices/{made!["device"]!["id"]}", null);
            }),
        ];
    }

    private static async Task<(List<double> Milliseconds, double Seconds)> Drive(
        HttpClient http, Scenario scenario, int connections, double seconds)
    {
        var start = Stopwatch.GetTimestamp();
        var each = await Task.WhenAll(Enumerable.Range(0, connections).Select(async i =>
        {
            var times = new List<double>();
            while (Stopwatch.GetElapsedTime(start).TotalSeconds < seconds)
            {
                await scenario.Run(i, async (method, path, body) =>
                {
                    var began = Stopwatch.GetTimestamp();
                    var answer = await Send(http, method, path, body);
                    times.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
                    return answer;
                });
            }
            return times;
        }));
        var elapsed = Stopwatch.GetElapsedTime(start).TotalSeconds;
        var all = each.SelectMany(times => times).Order().ToList();
        return (all, elapsed);
    }

    private static async Task<JsonNode?> Send(HttpClient http, HttpMethod method, string path, JsonNode? body)
    {
        using var request = new HttpRequestMessage(method, path) { Content = body is null ? null : JsonContent.Create(body) };
        using var answer = await http.SendAsync(request);
        var text = await answer.Content.ReadAsStringAsync();
        return answer.IsSuccessStatusCode
            ? text.Length == 0 ? null : JsonNode.Parse(text)
            : throw new InvalidOperationException($"{method} {path} answered {(int)answer.StatusCode}: {text}");
    }

    private static double Quantile(List<double> sorted, double q) => sorted[Math.Min(sorted.Count - 1, (int)(sorted.Count * q))];

    public static string? Value(string[] args, string name) =>
        Array.IndexOf(args, name) is >= 0 and var at && at + 1 < args.Length ? args[at + 1] : null;
}
