using System.Text.Json.Nodes;
using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Core.Queues;
using Microsoft.Extensions.DependencyInjection;
using Xunit;
using static IotHub.Contract.Api.ApiConventions;

namespace IotHub.Contract.Api;

/// <summary>Cloud twins over the API, on every driver.</summary>
public abstract class TwinApiContract : IAsyncLifetime
{
    private TestApi _api = null!;
    private JsonNode _hub = null!;
    private JsonNode _device = null!;

    private string Twin => $"twins/{_device["id"]}";

    private string Current => $"{Twin}/documents/current";

    protected abstract Task<TestApi> NewApi();

    public async Task InitializeAsync()
    {
        _api = await NewApi();
        _hub = await _api.NewHub();
        _device = await _api.NewDevice(_hub);
    }

    public async Task DisposeAsync() => await _api.DisposeAsync();

    [Fact]
    public async Task The_exchanges_of_the_reference_are_answered_as_it_shows()
    {
        AssertDocument(1, """{"alarm_armed":false}""", await _api.Put(Current, """{"data":{"alarm_armed":false}}"""));
        AssertDocument(2, """{"alarm_armed":true}""", await _api.Put(Current, """{"version":1,"data":{"alarm_armed":true}}"""));
        var refused = await _api.Put(Current, """{"version":1,"data":{}}""");
        Assert.Equal(400, refused.Status);
        AssertJson(
            """
            {"details":[{"argument_name":"version","help_message":"document version mismatch: expected 1, actual 2","reason":"constraint"}],
             "message":"invalid argument(s)","type":"invalid_arguments"}
            """,
            refused.Json);
        AssertDocument(3, """{"door":{"open":true}}""", await _api.Patch(Current, """{"data":{"alarm_armed":null,"door":{"open":true}}}"""));
        AssertDocument(3, """{"door":{"open":true}}""", await _api.Get(Current));
        AssertJson("""{"documents":[{"document_name":"current"}]}""", (await _api.Get(Twin)).Ok);
        var deleted = await _api.Delete(Current);
        Assert.Equal((204, "application/json", ""), (deleted.Status, deleted.Headers["Content-Type"], deleted.Text));
        Assert.Equal(204, (await _api.Delete(Twin)).Status);
        AssertJson("""{"documents":[]}""", (await _api.Get(Twin)).Ok);
    }

    [Fact]
    public async Task A_patch_merges_objects_and_replaces_the_rest()
    {
        await _api.Put(Current, """{"data":{"a":{"b":1,"c":[1,2],"d":{"e":"f"}},"g":1.10,"h":"i"}}""");
        AssertDocument(
            2, """{"a":{"b":2,"c":[3],"d":"now text","n":{}},"g":1.10,"h":{"x":{"y":1}}}""",
            await _api.Patch(Current, """{"version":1,"data":{"a":{"b":2,"c":[3],"d":"now text","n":{"z":null}},"h":{"x":{"y":1,"z":null}}}}"""));
        Assert.Contains("1.10", (await _api.Get(Current)).Text, StringComparison.Ordinal);
        AssertDocument(3, """{"g":1.10}""", await _api.Patch(Current, """{"data":{"a":null,"h":null,"unknown":null}}"""));
    }

    [Fact]
    public async Task Every_write_adds_one_to_the_version_and_absent_members_mean_nothing()
    {
        AssertDocument(1, "{}", await _api.Send(HttpMethod.Put, Current));
        AssertDocument(2, "{}", await _api.Put(Current, "{}"));
        AssertDocument(3, "{}", await _api.Put(Current, """{"version":0,"data":null,"unknown":[]}"""));
        AssertDocument(4, "{}", await _api.Patch(Current, """{"version":null}"""));
        AssertDocument(5, """{"a":1}""", await _api.Put(Current, """{"data":{"a":1,"b":null}}"""));
        AssertDocument(6, """{"a":1}""", await _api.Put(Current, """{"version":5,"data":{"a":1}}"""));
    }

    [Theory]
    [InlineData("""{"version":-1}""", "version", "format")]
    [InlineData("""{"version":1.5}""", "version", "format")]
    [InlineData("""{"version":4294967296}""", "version", "format")]
    [InlineData("""{"version":"1"}""", "version", "format")]
    [InlineData("""{"version":{}}""", "version", "format")]
    [InlineData("""{"data":[]}""", "data", "format")]
    [InlineData("""{"data":"x"}""", "data", "format")]
    [InlineData("""{"data":{"a":[1,null]}}""", "data", "constraint")]
    [InlineData("""{"data":{"a":[{"b":[null]}]}}""", "data", "constraint")]
    [InlineData("""{"data":{"_a":1}}""", "data", "constraint")]
    [InlineData("""{"data":{"a":{"_b":1}}}""", "data", "constraint")]
    [InlineData("""{"data":{"a":1,"a":2}}""", "body", "format")]
    [InlineData("""{"data":{"a":1}""", "body", "format")]
    [InlineData("""[]""", "body", "format")]
    [InlineData("""null""", "body", "format")]
    public async Task Bad_bodies_name_the_argument_and_store_nothing(string body, string argument, string reason)
    {
        Assert.Equal([(argument, reason)], (await _api.Put(Current, body)).WrongArguments());
        await _api.Put(Current, """{"data":{"kept":1}}""");
        Assert.Equal([(argument, reason)], (await _api.Patch(Current, body)).WrongArguments());
        AssertDocument(1, """{"kept":1}""", await _api.Get(Current));
    }

    [Fact]
    public async Task Depth_and_size_are_bounded()
    {
        static string Deep(int levels) => string.Concat(Enumerable.Repeat("""{"a":""", levels)) + "1" + new string('}', levels);
        Assert.Equal(200, (await _api.Put(Current, $$"""{"data":{{Deep(32)}}}""")).Status);
        Assert.Equal([("data", "constraint")], (await _api.Put(Current, $$"""{"data":{{Deep(33)}}}""")).WrongArguments());
        Assert.Equal([("body", "format")], (await _api.Put(Current, $$"""{"data":{{Deep(5_000)}}}""")).WrongArguments());
        var full = $$"""{"x":"{{new string('y', (1024 * 1024) - 8)}}"}""";
        Assert.Equal(200, (await _api.Put(Current, $$"""{"data":{{full}}}""")).Status);
        Assert.Equal([("data", "constraint")], (await _api.Put(Current, $$"""{"data":{{full.Replace("x", "xx", StringComparison.Ordinal)}}}""")).WrongArguments());
        Assert.Equal([("data", "constraint")], (await _api.Patch(Current, """{"data":{"z":1}}""")).WrongArguments());
        Assert.Equal([("body", "constraint")], (await _api.Put(Current, new string(' ', (2 * 1024 * 1024) + 1))).WrongArguments());
        Assert.Equal(2, (int)(await _api.Get(Current)).Ok["version"]!);
    }

    [Theory]
    [InlineData("a%20b")]
    [InlineData("a%2Fb")]
    [InlineData("%C3%A9")]
    [InlineData("a+b")]
    public async Task Names_have_only_a_few_characters(string name)
    {
        var path = $"{Twin}/documents/{name}";
        Assert.Equal([("document_name", "constraint")], (await _api.Put(path, "{}")).WrongArguments());
        Assert.Equal([("document_name", "constraint")], (await _api.Get(path)).WrongArguments());
        Assert.Equal([("document_name", "constraint")], (await _api.Delete(path)).WrongArguments());
    }

    [Fact]
    public async Task Names_that_begin_with_an_underscore_are_reserved_but_for_the_configuration()
    {
        Assert.Equal([("document_name", "constraint")], (await _api.Put($"{Twin}/documents/_other", "{}")).WrongArguments());
        const string Config = """{"documents":{"current":{"a":{"_tsdb_trigger":null},"_tags":{"k":"v"}}}}""";
        var stored = await _api.Put($"{Twin}/documents/_config", $$"""{"data":{{Config}}}""");
        AssertJson(Config, stored.Ok["data"]!);
        AssertJson(Config, (await _api.Get($"{Twin}/documents/_config")).Ok["data"]!);
        Assert.Equal(200, (await _api.Put($"{Twin}/documents/{new string('n', 255)}", "{}")).Status);
        Assert.Equal([("document_name", "constraint")], (await _api.Put($"{Twin}/documents/{new string('n', 256)}", "{}")).WrongArguments());
    }

    [Fact]
    public async Task What_is_not_there_is_not_found()
    {
        foreach (var answer in new[]
        {
            await _api.Get(Current), await _api.Delete(Current), await _api.Patch(Current, """{"data":{"a":1}}"""),
        })
        {
            AssertJson(
                """{"message":"resource is not found","resource":"twin_document","resource_id":"current","type":"not_found"}""",
                answer.Problem(404, "not_found"));
        }
        Assert.Equal([("version", "constraint")], (await _api.Put(Current, """{"version":1}""")).WrongArguments());
        Assert.Equal([("twin_id", "format")], (await _api.Get("twins/x")).WrongArguments());
    }

    [Fact]
    public async Task Unknown_and_foreign_twins_answer_alike()
    {
        await _api.Put(Current, "{}");
        var foreign = await _api.NewKey(ApiRole.Administrator, organization: Guid.NewGuid());
        var unknown = Guid.NewGuid();
        foreach (var (method, path) in new[]
        {
            (HttpMethod.Get, ""), (HttpMethod.Delete, ""), (HttpMethod.Get, "/documents/current"), (HttpMethod.Put, "/documents/current"),
            (HttpMethod.Patch, "/documents/current"), (HttpMethod.Delete, "/documents/current"),
        })
        {
            var toForeign = await _api.Send(method, Twin + path, "{}", foreign);
            var toUnknown = await _api.Send(method, $"twins/{unknown}{path}", "{}", foreign);
            Assert.Equal((404, 404), (toForeign.Status, toUnknown.Status));
            Assert.Equal(toUnknown.Text.Replace($"{unknown}", $"{_device["id"]}", StringComparison.Ordinal), toForeign.Text);
        }
        var reader = await _api.NewKey(ApiRole.Reader);
        Assert.Equal(200, (await _api.Get(Current, reader)).Status);
        (await _api.Put(Current, "{}", reader)).Problem(403, "permissions_denied");
        AssertDocument(1, "{}", await _api.Get(Current));
    }

    [Fact]
    public async Task A_twin_has_a_bounded_number_of_documents()
    {
        await Task.WhenAll(Enumerable.Range(0, 4).Select(async lane =>
        {
            for (var i = 0; i < 25; i++)
            {
                Assert.Equal(200, (await _api.Put($"{Twin}/documents/d{lane}-{i}", "{}")).Status);
            }
        }));
        (await _api.Put($"{Twin}/documents/one-more", "{}")).Problem(403, "quotas_exceeded");
        Assert.Equal(200, (await _api.Put($"{Twin}/documents/d0-0", "{}")).Status);
        Assert.Equal(100, (await _api.Get(Twin)).Ok["documents"]!.AsArray().Count);
    }

    [Fact]
    public async Task A_deleted_device_or_hub_takes_its_twins_along()
    {
        var other = await _api.NewDevice(_hub, "other");
        await _api.Put(Current, "{}");
        await _api.Put($"twins/{other["id"]}/documents/a", "{}");
        await _api.Delete($"devices/{_device["id"]}");
        (await _api.Get(Current)).Problem(404, "not_found");
        Assert.Empty(await _api.Twins.Names(Id(_device)));
        await _api.Delete($"hubs/{_hub["id"]}?delete_devices=true");
        Assert.Empty(await _api.Twins.Names(Id(other)));
        Assert.Empty(await _api.Twins.OfHub(Id(_hub)));
    }

    [Fact]
    public async Task Values_that_the_configuration_names_are_queued_for_graphite()
    {
        _api.Settle();
        await _api.Patch($"hubs/{_hub["id"]}", """{"twins_graphite_config":{"push_uri":"http://u:p@graphite.example.com/metrics"}}""");
        await _api.Put(Current, """{"data":{"state":{"t":20.5,"on":true,"name":"x"},"data":{"n":1,"m":[1,2]},"quiet":5}}""");
        Assert.Empty(await Pushed());
        await _api.Put($"{Twin}/documents/_config", """
            {"data":{"documents":{"current":{"state":{"_tsdb_trigger":"on-update"},"data":{"_tsdb_trigger":"on-change"},"_tags":{"source":"test"}}}}}
            """);
        await _api.Patch(Current, """{"data":{"state":{"t":20.5},"data":{"n":2,"m":[1,3]}}}""");
        await _api.Patch(Current, """{"data":{"data":{"n":2}}}""");
        await _api.Put(Current, """{"data":{"state":{"t":21,"on":false},"data":{"n":2}}}""");
        var pushed = await Pushed();
        Assert.Equal(
            ["state.t=20.5", "data.n=2", "data.m.1=3"], pushed[0].Values.Select(value => FormattableString.Invariant($"{value.Path}={value.Value}")));
        Assert.Equal(["state.t=21", "state.on=0"], pushed[1].Values.Select(value => FormattableString.Invariant($"{value.Path}={value.Value}")));
        Assert.Equal(2, pushed.Count);
        Assert.All(pushed[0].Values, value => Assert.Equal("test", value.Tags["source"]));
        Assert.Equal((Id(_hub), Id(_device), "current"), (pushed[0].HubId, pushed[0].TwinId, pushed[0].DocumentName));
    }

    private async Task<List<TwinPushEnvelope>> Pushed()
    {
        var queue = _api.Services.GetRequiredKeyedService<IMessageQueue>(StorageNames.TwinPushesQueue);
        var found = new List<TwinPushEnvelope>();
        foreach (var message in await queue.Receive(32, TimeSpan.FromHours(1)))
        {
            found.Add(EnvelopeJson.Read<TwinPushEnvelope>(message.Body!.Value.Span));
        }
        return found;
    }

    private void AssertDocument(int version, string data, ApiAnswer answer) => AssertJson(
        $$"""{"twin_id":"{{_device["id"]}}","document_name":"current","version":{{version}},"data":{{data}} }""", answer.Ok);

    private static Guid Id(JsonNode json) => Guid.Parse((string)json["id"]!);
}
