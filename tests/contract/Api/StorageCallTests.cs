using System.Text;
using System.Text.Json.Nodes;
using Azure.Core;
using Azure.Data.Tables;
using IotHub.Contract.Storage;
using IotHub.Core.Domain;
using IotHub.Core.Storage;
using IotHub.Core.Storage.Tables;
using IotHub.Harness;
using Xunit;

namespace IotHub.Contract.Api;

/// <summary>How many calls to storage a request of the management API costs, and that unknown ids cost what strangers' ids cost.</summary>
public sealed class StorageCallTests : IAsyncLifetime
{
    private readonly CountingPipeline _calls = new();
    private TestApi _api = null!;

    public async Task InitializeAsync()
    {
        var account = (await AzuriteServer.Shared()).NewAccount();
        await StorageAccount.At(account).EnsureCreated();
        var options = new TableClientOptions();
        options.AddPolicy(_calls, HttpPipelinePosition.PerRetry);
        var tables = new TableServiceClient(account, options);
        _api = await TestApi.Over(
            time =>
            {
                var changes = new TableChangeFeed(tables, time);
                return new Stores(new TableRegistry(tables, changes, time), new TableApiKeys(tables), changes);
            },
            withKey: true);
    }

    public async Task DisposeAsync() => await _api.DisposeAsync();

    [Theory]
    [InlineData("hubs")]
    [InlineData("devices")]
    [InlineData("networks")]
    [InlineData("routes")]
    public async Task Unknown_and_foreign_ids_cost_the_same_and_answer_alike(string kind)
    {
        var id = await Make(kind);
        var stranger = await _api.NewKey(ApiRole.Administrator, organization: Guid.NewGuid());
        var unknown = Guid.NewGuid().ToString();
        foreach (var method in new[] { HttpMethod.Get, HttpMethod.Delete })
        {
            ApiAnswer? foreign = null, missing = null;
            var foreignCalls = await _calls.Of(async () => foreign = await _api.Send(method, $"{kind}/{id}", null, stranger));
            var missingCalls = await _calls.Of(async () => missing = await _api.Send(method, $"{kind}/{unknown}", null, stranger));
            Assert.Equal(foreignCalls, missingCalls);
            Assert.Equal(404, foreign!.Status);
            Assert.Equal(foreign.Text, missing!.Text.Replace(unknown, id, StringComparison.Ordinal));
        }
    }

    /// <summary>
    /// What is shown of each device is read for the page alone; the rest is remembered, and what changed meanwhile is read anew. On a small
    /// hub the connections of all devices are one call, which is less.
    /// </summary>
    [Fact]
    public async Task A_page_of_devices_costs_no_more_on_a_hub_of_two_thousand_than_its_devices_and_four_calls()
    {
        var costs = new List<IReadOnlyList<int>>();
        foreach (var devices in new[] { 50, 600, 2_000 })
        {
            var hub = await _api.NewHub();
            await Fill(hub, devices);
            await Calls(hub, "page_size=1");
            var calls = new List<int>();
            foreach (var query in new[]
            {
                "page_size=1", "page_size=20", $"page_size=20&page={devices / 20}", "page_size=20&page=200", "name=d7&page_size=5", "name=nobody",
                "status=disabled", "allow_insecure=false", "tags=a", "order_by=created_at_desc", "order_by=updated_at_asc",
                "order_by=status_desc", "order_by=hub_id_asc", "order_by=allow_insecure_desc", "is_connected=true",
            })
            {
                calls.Add(await Calls(hub, query));
            }
            var changed = await _api.NewDevice(hub, "0");
            calls.Add(await Calls(hub, "page_size=20"));
            calls.Add(await _calls.Of(() => _api.Patch($"devices/{changed["id"]}", """{"description":"new"}""")));
            calls.Add(await Calls(hub, "page_size=20"));
            await _api.Delete($"devices/{changed["id"]}");
            calls.Add(await Calls(hub, "page_size=20"));
            costs.Add(calls);
        }
        Assert.Equal(costs[1], costs[2]);
        Assert.Equal([4, 23], costs[2].Take(2));
        Assert.Equal([24, 9, 24, 24], costs[2].TakeLast(4));
        Assert.All(costs[0].Zip(costs[1]), pair => Assert.True(pair.First <= pair.Second));
        Assert.Equal([5, 9, 5, 5], costs[0].TakeLast(4));
        foreach (var other in new[] { "networks", "routes" })
        {
            var hub = await _api.NewHub();
            await Fill(hub, 1);
            Assert.Equal(3, await _calls.Of(() => _api.Get($"{other}?hub_id={hub["id"]}")));
        }

        async Task<int> Calls(JsonNode hub, string query)
        {
            ApiAnswer? answer = null;
            var calls = await _calls.Of(async () => answer = await _api.Get($"devices?hub_id={hub["id"]}&{query}"));
            Assert.Equal(200, answer!.Status);
            return calls;
        }
    }

    [Fact]
    public async Task The_table_of_storage_calls_is_what_the_calls_are()
    {
        var table = new StringBuilder("""
            # Storage calls per request

            Requests to Azure Tables that one request of the management API makes, the look-up of its API key included, on a hub with one
            device, network and route. Made by `StorageCallTests`, which fails when this page is not what it counts. Of a list of devices each
            shown device costs one call (its activity), but all of them together one where the hub has at most 25 devices for each that is
            shown; each device that changed since the list before costs one. How many the hub has does not matter otherwise. A process that
            does not know the hub's devices yet reads them once, a thousand a call, and its first write of a device costs one call more (see
            decisions/d18-device-lists.md). A list by `is_connected` reads the connected devices, a thousand a call. What goes to twins,
            metrics, recorded events and the broker is not counted.

            | request | calls |
            |---|---|

            """);
        string hub = "", device = "", network = "", route = "";
        await Row("POST /hubs", async () => hub = Id(await _api.Post("hubs", $$"""{"name":"h","project_id":"{{_api.Organization}}"}"""), "id"));
        _api.Settle();
        await Row("POST /devices", async () =>
            device = Id(await _api.Post("devices", $$"""{"name":"d","hub_id":"{{hub}}"}"""), "device", "id"));
        await Row("POST /networks", async () =>
            network = Id(await _api.Post("networks", $$"""{"name":"n","hub_id":"{{hub}}","type":"rest"}"""), "network", "id"));
        await Row("POST /routes", async () => route = Id(
            await _api.Post(
                "routes", $$$"""{"name":"r","hub_id":"{{{hub}}}","topic":"#","rest_config":{"verb":"post","uri":"http://example.com"}}"""),
            "id"));
        await _api.Get($"devices?hub_id={hub}");
        foreach (var (kind, id) in new[] { ("hub", hub), ("device", device), ("network", network), ("route", route) })
        {
            await Row($"GET /{kind}s?hub_id=…".Replace("hubs?hub_id=…", "hubs", StringComparison.Ordinal), () => _api.Get($"{kind}s?hub_id={hub}"));
            await Row($"GET /{kind}s/{{{kind}_id}}", () => _api.Get($"{kind}s/{id}"));
        }
        await Row("GET /hubs/{hub_id}/ca", () => _api.Get($"hubs/{hub}/ca"));
        await Row("GET /devices/{device_id}/certificate", () => _api.Get($"devices/{device}/certificate"));
        await Row("PATCH /hubs/{hub_id}", () => _api.Patch($"hubs/{hub}", """{"name":"new"}"""));
        await Row("PATCH /devices/{device_id}", () => _api.Patch($"devices/{device}", """{"description":"new"}"""));
        await Row("PATCH /routes/{route_id}", () => _api.Patch($"routes/{route}", """{"name":"new"}"""));
        await Row("POST /devices/{device_id}/disable", () => _api.Post($"devices/{device}/disable"));
        await Row("POST /devices/{device_id}/enable", () => _api.Post($"devices/{device}/enable"));
        await Row("POST /devices/{device_id}/renew-certificate", () => _api.Post($"devices/{device}/renew-certificate"));
        await Row("POST /hubs/{hub_id}/disable", () => _api.Post($"hubs/{hub}/disable"));
        await Row("DELETE /routes/{route_id}", () => _api.Delete($"routes/{route}"));
        await Row("DELETE /networks/{network_id}", () => _api.Delete($"networks/{network}"));
        await Row("DELETE /devices/{device_id}", () => _api.Delete($"devices/{device}"));
        _api.Settle();
        await Row("DELETE /hubs/{hub_id} (empty)", () => _api.Delete($"hubs/{hub}"));
        await Row("any, with an unknown key", () => _api.Get("hubs", Guid.NewGuid().ToString()));

        var file = RepositoryRoot.Combine("docs", "storage-calls.md");
        var written = File.Exists(file) ? await File.ReadAllTextAsync(file) : "";
        var counted = table.ToString();
        if (written != counted)
        {
            await File.WriteAllTextAsync(file, counted);
        }
        Assert.Equal(counted, written);

        async Task Row(string request, Func<Task> work) => table.Append($"| `{request}` | {await _calls.Of(work)} |\n");
    }

    /// <summary>Not over the API, which would make a key for each.</summary>
    private async Task Fill(JsonNode hub, int devices)
    {
        var hubId = Guid.Parse((string)hub["id"]!);
        var all = Enumerable.Range(0, devices).Select(i => new Device
        {
            Id = Guid.NewGuid(),
            HubId = hubId,
            Name = $"d{i % 10} {i}",
            CreatedAt = _api.Time.GetUtcNow(),
            UpdatedAt = _api.Time.GetUtcNow(),
        });
        foreach (var some in all.Chunk(IRegistry.DevicesAtOnce))
        {
            Assert.True(await _api.Registry.CreateDevices(hubId, some));
        }
    }

    private static string Id(ApiAnswer answer, params string[] path) =>
        (string)path.Aggregate(answer.Ok, (node, name) => node[name]!)!;

    private async Task<string> Make(string kind)
    {
        var hub = await _api.NewHub();
        return kind switch
        {
            "hubs" => $"{hub["id"]}",
            "devices" => $"{(await _api.NewDevice(hub))["id"]}",
            "networks" => Id(await _api.Post("networks", $$"""{"name":"n","hub_id":"{{hub["id"]}}","type":"rest"}"""), "network", "id"),
            _ => Id(
                await _api.Post(
                    "routes",
                    $$$"""{"name":"r","hub_id":"{{{hub["id"]}}}","topic":"#","rest_config":{"verb":"post","uri":"http://example.com"}}"""),
                "id"),
        };
    }
}
