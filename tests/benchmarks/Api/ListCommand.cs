using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json.Nodes;
using IotHub.Benchmarks.Load;
using IotHub.Harness;

namespace IotHub.Benchmarks.Api;

/// <summary>What lists of devices cost on a small and on a full hub over Azurite: calls to storage, time, CPU.</summary>
internal static class ListCommand
{
    public const string Usage = """
          lists [--devices 100,10000] [--repeats 15]
                                     lists of devices on hubs of these sizes over Azurite: storage calls, time and CPU of a page
        """;

    private static readonly string[] Orders = ["created_at_desc", "updated_at_asc", "status_asc", "hub_id_asc", "allow_insecure_desc"];

    public static async Task<int> Run(string[] args)
    {
        var sizes = (ApiCommand.Value(args, "--devices") ?? "100,10000").Split(',').Select(int.Parse).ToList();
        var repeats = int.Parse(ApiCommand.Value(args, "--repeats") ?? "15", CultureInfo.InvariantCulture);
        await using var broker = await TestHttpServer.Start();
        broker.Answers(202);
        await using var azurite = await AzuriteServer.Start();
        Console.WriteLine($"medians of {repeats}, one request at a time, load average {ProcessFigures.LoadAverage()}");
        Console.WriteLine();
        Console.WriteLine("| devices | list | storage calls | ms | our CPU ms | Azurite's CPU ms |");
        Console.WriteLine("|---|---|---|---|---|---|");
        foreach (var size in sizes)
        {
            await Size(azurite, broker.Url, size, repeats);
        }
        return 0;
    }

    private static async Task Size(AzuriteServer azurite, Uri broker, int size, int repeats)
    {
        var storage = azurite.NewAccount();
        string query;
        await using (var maker = await ApiServer.Start(storage, broker))
        {
            using var http = Client(maker);
            query = await Fill(http, maker.Organization, size);
        }
        // Another process of the function app, which knows nothing of what the first one did.
        await using var server = await ApiServer.Start(storage, broker);
        using var client = Client(server);
        var hub = JsonNode.Parse(query)!;
        client.DefaultRequestHeaders.Remove("X-Auth-Token");
        client.DefaultRequestHeaders.Add("X-Auth-Token", (string)hub["secret"]!);
        var (list, device) = ($"devices?hub_id={hub["id"]}", (string)hub["device"]!);
        var meter = new Meter(server, azurite, size);
        await Get(client, "hubs");
        await meter.Of("20, the first of a new process", 1, () => Get(client, list));
        await Repeat(5, () => Get(client, list));
        await meter.Of("20, by name", repeats, () => Get(client, list));
        foreach (var order in Orders)
        {
            await meter.Of($"20, `{order}`", repeats, () => Get(client, $"{list}&order_by={order}"));
        }
        await meter.Of("20, the last page", repeats, () => Get(client, $"{list}&page={Math.Max(1, size / 20)}"));
        await meter.Of("20, `name=99`", repeats, () => Get(client, $"{list}&name=99"));
        await meter.Of("20, `status=disabled`, which none is", repeats, () => Get(client, $"{list}&status=disabled"));
        await meter.Of("20, `is_connected=true`, which none is", repeats, () => Get(client, $"{list}&is_connected=true"));
        await meter.Of("20, after a change of a device", repeats, () => Get(client, list), before: () => Change(client, device));
        await meter.Of("a change of a device", repeats, () => Change(client, device));
        await meter.Of("all, in pages of 100", 1, async () =>
        {
            for (var page = 1; page <= (size + 99) / 100; page++)
            {
                await Get(client, $"{list}&page_size=100&page={page}");
            }
        });
    }

    /// <summary>Makes a hub full of devices; returns what the next process has to know.</summary>
    private static async Task<string> Fill(HttpClient http, Guid organization, int size)
    {
        using var made = await http.PostAsJsonAsync("hubs", new { name = "lists", project_id = organization, product_plan = "plan_dedicated" });
        var hub = (string)JsonNode.Parse(await made.Content.ReadAsStringAsync())!["id"]!;
        var lines = new StringBuilder();
        for (var i = 0; i < size; i++)
        {
            lines.Append(CultureInfo.InvariantCulture, $"{{\"name\":\"sensor-{i * 7919 % size:D5}\",\"description\":\"in hall {i % 17}\"}}\n");
        }
        var start = Stopwatch.GetTimestamp();
        using var body = new StringContent(lines.ToString(), Encoding.UTF8, "application/x-ndjson");
        using var report = await http.PostAsync(new Uri($"hubs/{hub}/import-devices", UriKind.Relative), body);
        var text = await report.Content.ReadAsStringAsync();
        if (!text.Contains($"\"created\":{size}", StringComparison.Ordinal))
        {
            throw new InvalidOperationException($"the import ended with {text[Math.Max(0, text.Length - 300)..]}");
        }
        var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {size:N0} | (their import) | | {seconds * 1_000:N0} | | |"));
        var first = await Get(http, $"devices?hub_id={hub}&page_size=1");
        return new JsonObject
        {
            ["id"] = hub,
            ["device"] = (string)first["devices"]![0]!["id"]!,
            ["secret"] = http.DefaultRequestHeaders.GetValues("X-Auth-Token").Single(),
        }.ToJsonString();
    }

    private static HttpClient Client(ApiServer server)
    {
        var http = new HttpClient { BaseAddress = server.Url, Timeout = TimeSpan.FromMinutes(10) };
        http.DefaultRequestHeaders.Add("X-Auth-Token", server.Secret);
        return http;
    }

    private static async Task<JsonNode> Get(HttpClient http, string path)
    {
        using var answer = await http.GetAsync(new Uri(path, UriKind.Relative));
        var text = await answer.Content.ReadAsStringAsync();
        return answer.IsSuccessStatusCode ? JsonNode.Parse(text)! : throw new InvalidOperationException($"GET {path}: {text}");
    }

    private static async Task Change(HttpClient http, string device)
    {
        using var body = JsonContent.Create(new { description = Guid.NewGuid().ToString() });
        using var answer = await http.PatchAsync(new Uri($"devices/{device}", UriKind.Relative), body);
        answer.EnsureSuccessStatusCode();
    }

    private static async Task Repeat(int times, Func<Task> work)
    {
        for (var i = 0; i < times; i++)
        {
            await work();
        }
    }

    private sealed class Meter(ApiServer server, AzuriteServer azurite, int size)
    {
        public async Task Of(string name, int repeats, Func<Task> work, Func<Task>? before = null)
        {
            var (calls, times, ours, theirs) = (new List<double>(), new List<double>(), 0.0, 0.0);
            for (var i = 0; i < repeats; i++)
            {
                await (before?.Invoke() ?? Task.CompletedTask);
                var (callsBefore, cpu, azurites) = (await server.Calls(), Cpu(server.Pid), Cpu(azurite.Pid));
                var start = Stopwatch.GetTimestamp();
                await work();
                times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
                ours += Cpu(server.Pid) - cpu;
                theirs += Cpu(azurite.Pid) - azurites;
                calls.Add(await server.Calls() - callsBefore);
            }
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"| {size:N0} | {name} | {Median(calls):N0} | {Median(times):N1} | {ours / repeats:N1} | {theirs / repeats:N1} |"));
        }

        private static double Cpu(int pid) => ProcessFigures.Of(pid).CpuSeconds * 1_000;

        private static double Median(List<double> values)
        {
            values.Sort();
            return values[values.Count / 2];
        }
    }
}
