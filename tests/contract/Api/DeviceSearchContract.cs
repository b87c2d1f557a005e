using System.Text.Json.Nodes;
using IotHub.Core.Domain;
using Xunit;

namespace IotHub.Contract.Api;

/// <summary>Tags, search, and what a device may do: extensions, on every driver.</summary>
public abstract class DeviceSearchContract : IAsyncLifetime
{
    private TestApi _api = null!;
    private JsonNode _hub = null!;

    protected abstract Task<TestApi> NewApi();

    public async Task InitializeAsync()
    {
        _api = await NewApi();
        _hub = await _api.NewHub("MyHub", "plan_dedicated");
    }

    public async Task DisposeAsync() => await _api.DisposeAsync();

    [Fact]
    public async Task Devices_are_found_by_tags_and_connection_state()
    {
        var north = await _api.NewDevice(_hub, "north", ""","tags":["site:a","pump"]""");
        var south = await _api.NewDevice(_hub, "south", ""","tags":["site:a"]""");
        var plain = await _api.NewDevice(_hub, "plain");
        Assert.Equal(["site:a", "pump"], north["tags"]!.AsArray().Select(tag => (string)tag!));
        Assert.False(plain.AsObject().ContainsKey("tags"));
        Assert.Equal(["north", "south"], await Found("tags=site%3Aa"));
        Assert.Equal(["north"], await Found("tags=site%3Aa&tags=pump"));
        Assert.Equal(["north"], await Found("tags=site%3Aa&name=nor"));
        Assert.Empty(await Found("tags=site"));

        var run = Guid.NewGuid();
        await _api.Registry.RecordBroker("b", run);
        await _api.Registry.RecordActivity([new DeviceActivity(Id(_hub), Id(south), true, DateTimeOffset.UtcNow, run)]);
        Assert.Equal(["south"], await Found("is_connected=true"));
        Assert.Equal(["north", "plain"], await Found("is_connected=False"));

        await _api.Patch($"devices/{south["id"]}", """{"tags":["moved","moved"]}""");
        Assert.Equal(["south"], await Found("tags=moved"));
        await _api.Patch($"devices/{south["id"]}", """{"description":"x","tags":null}""");
        Assert.Equal(["south"], await Found("tags=moved"));
        var cleared = (await _api.Patch($"devices/{south["id"]}", """{"tags":[]}""")).Ok;
        Assert.False(cleared.AsObject().ContainsKey("tags"));
    }

    [Theory]
    [InlineData("""["a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a"]""")]
    [InlineData("""[""]""")]
    [InlineData("""[null]""")]
    [InlineData("""["a,b"]""")]
    [InlineData("""["a\u0001"]""")]
    [InlineData("""["12345678901234567890123456789012345678901234567890123456789012345"]""")]
    public async Task Tags_out_of_bounds_are_refused(string tags)
    {
        var device = await _api.NewDevice(_hub);
        Assert.Equal([("tags", "constraint")], (await _api.Patch($"devices/{device["id"]}", $$"""{"tags":{{tags}}}""")).WrongArguments());
        var refused = await _api.Post("devices", $$"""{"name":"x","hub_id":"{{_hub["id"]}}","tags":{{tags}}}""");
        Assert.Equal([("tags", "constraint")], refused.WrongArguments());
    }

    [Fact]
    public async Task What_decides_about_a_topic_is_named_with_the_entry()
    {
        var device = await _api.NewDevice(_hub, "d", """
            ,"message_filters":{"publish":{"policy":"accept","topics":["{{ hub.name }}/{{ device.name }}/#","log"]},
                                "subscribe":{"policy":"reject","topics":["secret/#"]} }
            """);
        var listed = await Explain(device, "publish", "MyHub/d/t");
        Assert.Equal(
            (true, "message_filters", "publish", "accept", "{{ hub.name }}/{{ device.name }}/#", "MyHub/d/#"),
            ((bool)listed["allowed"]!, By(listed, "kind"), By(listed, "rule"), By(listed, "policy"), By(listed, "entry"),
                By(listed, "entry_filled_in")));
        var unlisted = await Explain(device, "publish", "MyHub/other/t");
        Assert.Equal((false, "accept", null), ((bool)unlisted["allowed"]!, By(unlisted, "policy"), By(unlisted, "entry")));

        var rejected = await Explain(device, "subscribe", "secret/a/#");
        Assert.Equal((false, "subscribe", "secret/#"), ((bool)rejected["allowed"]!, By(rejected, "rule"), By(rejected, "entry")));
        Assert.False((bool)(await Explain(device, "subscribe", "$share/g/secret/a"))["allowed"]!);
        Assert.True((bool)(await Explain(device, "subscribe", "#"))["allowed"]!);

        foreach (var (action, topic, allowed) in new[]
        {
            ("publish", "$SCW/twins/me/current/get", true), ("publish", $"$SCW/twins/{device["id"]}/current/put", true),
            ("publish", $"$SCW/twins/{Guid.NewGuid()}/current/get", false), ("subscribe", "$SCW/twins/me/#", true),
        })
        {
            var twin = await Explain(device, action, topic);
            Assert.Equal((allowed, "twin"), ((bool)twin["allowed"]!, By(twin, "kind")));
        }

        await _api.Post($"devices/{device["id"]}/disable");
        Assert.Equal("device_status", By(await Explain(device, "publish", "log"), "kind"));
        await _api.Post($"hubs/{_hub["id"]}/disable");
        Assert.Equal("hub_status", By(await Explain(device, "publish", "log"), "kind"));
    }

    [Fact]
    public async Task A_template_that_cannot_be_read_explains_why_nothing_is_allowed()
    {
        var device = await _api.NewDevice(_hub, "d", """
            ,"message_filters":{"publish":{"policy":"reject","topics":["a","{{ nothing }}"]} }
            """);
        var explained = await Explain(device, "publish", "b");
        Assert.Equal((false, "{{ nothing }}"), ((bool)explained["allowed"]!, By(explained, "entry")));
    }

    [Fact]
    public async Task A_question_that_makes_no_sense_names_the_argument()
    {
        var device = await _api.NewDevice(_hub);
        var path = $"devices/{device["id"]}/explain";
        Assert.Equal([("action", "required"), ("topic", "required")], (await _api.Get(path)).WrongArguments());
        Assert.Equal([("action", "constraint")], (await _api.Get(path + "?action=fly&topic=a")).WrongArguments());
        Assert.Equal([("topic", "format")], (await _api.Get(path + "?action=publish&topic=a%2F%23")).WrongArguments());
        Assert.Equal([("topic", "format")], (await _api.Get(path + "?action=subscribe&topic=a%2F%23%2Fb")).WrongArguments());
        (await _api.Get($"devices/{Guid.NewGuid()}/explain?action=publish&topic=a")).Problem(404, "not_found");
    }

    private async Task<IEnumerable<string>> Found(string query) =>
        (await _api.Get($"devices?hub_id={_hub["id"]}&{query}")).Ok["devices"]!.AsArray().Select(device => (string)device!["name"]!);

    private async Task<JsonNode> Explain(JsonNode device, string action, string topic) =>
        (await _api.Get($"devices/{device["id"]}/explain?action={action}&topic={Uri.EscapeDataString(topic)}")).Ok;

    private static string? By(JsonNode explained, string member) => (string?)explained["decided_by"]![member];

    private static Guid Id(JsonNode json) => Guid.Parse((string)json["id"]!);
}
