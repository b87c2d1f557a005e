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
    private TableServiceClient _uncounted = null!;
    private TestApi _api = null!;

    public async Task InitializeAsync()
    {
        var account = (await AzuriteServer.Shared()).NewAccount();
        await StorageAccount.At(account).EnsureCreated();
        _uncounted = StorageAccount.At(account).Tables();
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
    /// Any order and an exact total need every device of the hub, a thousand a call. What is shown of each is read for the page alone, and
    /// no other kind of list costs more for them.
    /// </summary>
    [Fact]
    public async Task A_list_of_devices_costs_a_call_per_thousand_on_the_hub_and_one_per_device_shown()
    {
        var hub = await _api.NewHub();
        await _api.NewDevice(hub, "0");
        await _api.NewDevice(hub, "1");
        var (ofOne, ofTwo) = (await Calls("page_size=1"), await Calls("page_size=2"));
        Assert.Equal(ofOne + 1, ofTwo);
        await Multiply(hub, 1_100);
        foreach (var query in new[] { "page_size=1", "page_size=1&page=900", "page_size=1&order_by=created_at_desc", "page_size=1&status=enabled" })
        {
            Assert.Equal(ofOne + 1, await Calls(query));
        }
        Assert.Equal(ofOne + 1 - 1, await Calls("page_size=100&page=100"));
        Assert.Equal(ofOne + 1 + 99, await Calls("page_size=100"));
        foreach (var other in new[] { $"networks?hub_id={hub["id"]}", $"routes?hub_id={hub["id"]}" })
        {
            Assert.Equal(3, await _calls.Of(() => _api.Get(other)));
        }

        async Task<int> Calls(string query)
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
            shown device costs one call (its activity), and every further thousand devices of the hub one: any order and an exact total need
            all of them. What goes to twins, metrics, recorded events and the broker is not counted.

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

    /// <summary>Makes copies of the hub's device, as many as are missing. Not over the API, which would take minutes.</summary>
    private async Task Multiply(JsonNode hub, int devices)
    {
        var (registry, partition) = (_uncounted.GetTableClient("registry"), $"{hub["id"]}");
        TableEntity? first = null;
        await foreach (var row in registry.QueryAsync<TableEntity>(row => row.PartitionKey == partition))
        {
            first = row.RowKey.StartsWith("device:", StringComparison.Ordinal) ? row : first;
        }
        var (id, data) = (first!.RowKey["device:".Length..], first.GetString("Data"));
        var copies = Enumerable.Range(2, devices - 2).Select(_ => Guid.NewGuid().ToString()).Select(other => new TableTransactionAction(
            TableTransactionActionType.Add,
            new TableEntity(partition, "device:" + other) { ["Data"] = data.Replace(id, other, StringComparison.Ordinal) }));
        foreach (var batch in copies.Chunk(100))
        {
            await registry.SubmitTransactionAsync(batch);
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
