using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using IotHub.Functions;
using IotHub.Functions.Hosting;
using IotHub.Harness;
using Xunit;

namespace IotHub.Contract.Hosting;

/// <summary>The files that the Functions host reads, against the code and against the host's rules.</summary>
public sealed partial class FunctionJsonTests
{
    private static readonly JsonElement HostJson = JsonDocument.Parse(File.ReadAllText(RepositoryRoot.Combine("host.json"))).RootElement;

    [GeneratedRegex("^[a-zA-Z][a-zA-Z0-9_-]{0,127}$")]
    private static partial Regex FunctionName { get; }

    [GeneratedRegex("^[a-zA-Z][a-zA-Z0-9]{0,127}$")]
    private static partial Regex BindingName { get; }

    [GeneratedRegex("^[a-z0-9](-?[a-z0-9])+$")]
    private static partial Regex QueueName { get; }

    public static TheoryData<string> Names => [.. FunctionList.All.Select(function => function.Name)];

    private static JsonArray Bindings(string name) =>
        FunctionList.All.Single(function => function.Name == name).FunctionJson()["bindings"]!.AsArray();

    [Theory]
    [MemberData(nameof(Names))]
    public void Names_are_ones_the_host_takes(string name)
    {
        Assert.Matches(FunctionName, name);
        Assert.False(name.Equals("host", StringComparison.OrdinalIgnoreCase));
        var bindings = Bindings(name).Select(binding => binding!["name"]!.GetValue<string>()).ToList();
        Assert.All(bindings, binding => Assert.Matches(BindingName, binding));
        Assert.Equal(bindings.Count, bindings.Distinct(StringComparer.OrdinalIgnoreCase).Count());
    }

    [Fact]
    public void Function_names_are_unique_without_case()
    {
        Assert.Equal(FunctionList.All.Count, FunctionList.All.Select(function => function.Name).Distinct(StringComparer.OrdinalIgnoreCase).Count());
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_function_has_exactly_one_trigger_and_writes_through_no_binding(string name)
    {
        var types = Bindings(name).Select(binding => binding!["type"]!.GetValue<string>()).ToList();
        Assert.Single(types, type => type.EndsWith("Trigger", StringComparison.Ordinal));
        // Exactly these two, or the host sends the JSON form instead of passing the request through.
        Assert.Equal(types.Contains("httpTrigger") ? ["httpTrigger", "http"] : types.Take(1), types);
    }

    [Fact]
    public void Every_route_has_a_fixed_prefix_that_is_no_invocation_path()
    {
        foreach (var function in FunctionList.All.OfType<HttpFunction>())
        {
            var first = function.Route.Split('/')[0];
            Assert.DoesNotContain('{', first);
            Assert.DoesNotContain(FunctionList.All.Where(other => other is not HttpFunction), other =>
                string.Equals(other.Name, first, StringComparison.OrdinalIgnoreCase));
            Assert.All(function.Methods, method => Assert.Equal(method.ToLowerInvariant(), method));
            Assert.Equal("anonymous", Bindings(function.Name)[0]!["authLevel"]!.GetValue<string>());
        }
    }

    [Fact]
    public void Queues_and_schedules_are_ones_the_host_takes()
    {
        Assert.All(FunctionList.All.OfType<QueueFunction>(), function => Assert.Matches(QueueName, function.Queue));
        Assert.All(FunctionList.All.OfType<TimerFunction>(), function => Assert.Equal(6, function.Schedule.Split(' ').Length));
    }

    [Fact]
    public void The_files_of_the_function_list_are_frozen()
    {
        // Names, routes, queues and schedules: changing one loses keys, timer state or messages on their way.
        Assert.Equal(
            [
                "DeliverRoutes queueTrigger deliveries binary", "Health httpTrigger health get", "Ingest httpTrigger ingest/{*path} post",
                "ManagementApi httpTrigger iot/{*path} get,post,put,patch,delete", "PushTwins queueTrigger twin-pushes binary",
                "RecordEvents queueTrigger events binary", "RecordMetrics queueTrigger metrics binary", "RollUpMetrics timerTrigger 0 3 * * * *",
                "TrimChanges timerTrigger 0 7 * * * *", "TrimCreations timerTrigger 0 12 * * * *", "TrimEvents timerTrigger 0 37 3 * * *", "TrimMetrics timerTrigger 0 22 3 * * *",
                "TrimPayloads timerTrigger 0 52 3 * * *",
            ],
            FunctionList.All.Select(function => Describe(function.Name, Bindings(function.Name)[0]!.AsObject())).Order(StringComparer.Ordinal));

        static string Describe(string name, JsonObject trigger) => string.Join(' ', new[]
        {
            name, trigger["type"]!.GetValue<string>(),
            (trigger["route"] ?? trigger["queueName"] ?? trigger["schedule"])!.GetValue<string>(),
            trigger["dataType"]?.GetValue<string>() ?? (trigger["methods"] is JsonArray methods ? string.Join(',', methods.Select(m => m!.ToString())) : ""),
        }).Trim();
    }

    [Fact]
    public void An_app_root_gets_the_folders_of_the_list_and_keeps_no_others()
    {
        using var root = new TempFolder("functions-json");
        Directory.CreateDirectory(Path.Combine(root.Path, "Renamed"));
        File.WriteAllText(Path.Combine(root.Path, "Renamed", "function.json"), "{}");
        Directory.CreateDirectory(Path.Combine(root.Path, "runtimes"));

        FunctionFolders.Write(root.Path, FunctionList.All);

        Assert.Equal(
            FunctionList.All.Select(function => function.Name).Append("runtimes").Order(StringComparer.Ordinal),
            Directory.EnumerateDirectories(root.Path).Select(folder => Path.GetFileName(folder)).Order(StringComparer.Ordinal));
        foreach (var function in FunctionList.All)
        {
            var file = Assert.Single(Directory.EnumerateFiles(Path.Combine(root.Path, function.Name)));
            Assert.Equal("function.json", Path.GetFileName(file));
            Assert.True(JsonNode.DeepEquals(JsonNode.Parse(File.ReadAllText(file)), function.FunctionJson()));
        }
    }

    [Fact]
    public void Writing_again_touches_no_file()
    {
        using var root = new TempFolder("functions-json");
        FunctionFolders.Write(root.Path, FunctionList.All);
        var file = Path.Combine(root.Path, "Ingest", "function.json");
        var before = new DateTime(2026, 1, 2, 3, 4, 5, DateTimeKind.Utc);
        File.SetLastWriteTimeUtc(file, before);
        FunctionFolders.Write(root.Path, FunctionList.All);
        Assert.Equal(before, File.GetLastWriteTimeUtc(file));
    }

    [Fact]
    public void Host_json_starts_this_program_and_passes_requests_through_in_both_generations()
    {
        var handler = HostJson.GetProperty("customHandler");
        Assert.Equal(typeof(FunctionsHost).Assembly.GetName().Name, handler.GetProperty("description").GetProperty("defaultExecutablePath").GetString());
        Assert.True(handler.GetProperty("enableProxyingHttpRequest").GetBoolean());
        Assert.True(handler.GetProperty("enableForwardingHttpRequest").GetBoolean());
        Assert.False(handler.TryGetProperty("http", out _), "host.json routes cannot be combined with function.json files");
        Assert.Equal("", HostJson.GetProperty("extensions").GetProperty("http").GetProperty("routePrefix").GetString());
    }

    [Fact]
    public void Host_json_leaves_a_function_time_to_fail_alone()
    {
        var limit = TimeSpan.Parse(HostJson.GetProperty("functionTimeout").GetString()!, System.Globalization.CultureInfo.InvariantCulture);
        Assert.True(limit >= Invocations.TimeLimit + TimeSpan.FromSeconds(30), "an invocation over the host's limit kills the whole process");
    }

    [Fact]
    public void Host_json_reads_queues_as_our_writers_fill_them()
    {
        var queues = HostJson.GetProperty("extensions").GetProperty("queues");
        Assert.Equal("base64", queues.GetProperty("messageEncoding").GetString());
        Assert.InRange(queues.GetProperty("batchSize").GetInt32(), 1, 32);
        Assert.True(queues.GetProperty("maxDequeueCount").GetInt32() >= 1);
        // Without a pause the tries up to the poison queue take a second, less than a storage account needs to come back.
        Assert.NotEqual("00:00:00", queues.GetProperty("visibilityTimeout").GetString());
    }
}
