using System.Text;
using System.Text.Json.Nodes;
using Xunit;

namespace IotHub.Contract.Api;

/// <summary>
/// Every bound of an argument: what lies on it is stored and shown again whole, one more is refused with the argument named. So is what
/// is no text at all.
/// </summary>
public sealed class BoundTests : IAsyncLifetime
{
    private TestApi _api = null!;
    private JsonNode _hub = null!;

    /// <summary>On Azure Tables, whose own bounds of a column and a row must lie beyond all of ours.</summary>
    public async Task InitializeAsync()
    {
        _api = await TestApi.InTables();
        _hub = await _api.NewHub(plan: "plan_dedicated");
    }

    public async Task DisposeAsync() => await _api.DisposeAsync();

    [Fact]
    public async Task Hubs()
    {
        var hub = $"hubs/{_hub["id"]}";
        await Holds("PATCH", hub, "name", 255, n => Text(n));
        await Holds("PATCH", hub, "events_topic_prefix", 1024, n => Text(n));
        await Holds("PATCH", hub, "twins_graphite_config.push_uri", 2048, n => "https://u:p@host/" + Text(n - 17), "format");
        await Refused("PATCH", hub, ("name", "", "required"), ("name", "a\tb", "constraint"), ("events_topic_prefix", "a/#", "format"),
            ("twins_graphite_config.push_uri", "ftp://host/", "format"), ("twins_graphite_config.push_uri", "host", "format"));
        Assert.Equal([("name", "required"), ("project_id", "required")], Sorted(await _api.Post("hubs")));
    }

    [Fact]
    public async Task Devices()
    {
        await HoldsOnCreation("devices", "name", 255, n => Text(n));
        var device = $"devices/{(await _api.NewDevice(_hub))["id"]}";
        await Holds("PATCH", device, "description", 10_000, n => new string('\u20ac', n));
        await Holds("PATCH", device, "message_filters.publish.topics", 65_535, n => new JsonArray(Text(n)), "format");
        await Holds("PATCH", device, "message_filters", 1_000, n => Filters(Enumerable.Range(0, n).Select(i => $"t/{i}")));
        await Holds(
            "PATCH", device, "message_filters", 200_000, n => Filters([.. Enumerable.Repeat(Text(50_000), 3), Text(n - 150_000)]));
        foreach (var wrong in new[] { "", "a/#/b", "a+/b", "#/a", "\0" })
        {
            await Refused("PATCH", device, ("message_filters.publish.topics", new JsonArray(wrong), "format"));
        }
        await Refused("PATCH", device, ("message_filters.subscribe.topics", new JsonArray((JsonNode?)null), "format"),
            ("hub_id", "x", "format"));
        Assert.Equal([("hub_id", "required"), ("name", "required")], Sorted(await _api.Post("devices")));
        var shared = await _api.NewHub("shared");
        await Refused("PATCH", $"devices/{(await _api.NewDevice(shared))["id"]}", ("allow_multiple_connections", true, "constraint"));
    }

    [Fact]
    public async Task Networks()
    {
        await HoldsOnCreation("networks", "name", 255, n => Text(n), ("type", "rest"));
        await HoldsOnCreation("networks", "topic_prefix", 65_535, n => Text(n), ("type", "rest"), ("name", "n"), ("reason", "format"));
        foreach (var (argument, value, reason) in new (string, JsonNode?, string)[]
        {
            ("type", null, "required"), ("type", "unknown", "required"), ("topic_prefix", "a/+", "format"), ("topic_prefix", "#", "format"),
        })
        {
            var body = new JsonObject { ["name"] = "n", ["type"] = "rest", ["hub_id"] = $"{_hub["id"]}", [argument] = value };
            Assert.Equal([(argument, reason)], (await _api.Post("networks", body.ToJsonString())).WrongArguments());
        }
        Assert.Equal([("hub_id", "required"), ("name", "required"), ("type", "required")], Sorted(await _api.Post("networks")));
    }

    [Fact]
    public async Task Routes()
    {
        var rest = await NewRoute("rest_config", """{"verb":"get","uri":"http://a"}""");
        await Holds("PATCH", rest, "name", 255, n => Text(n));
        await Holds("PATCH", rest, "topic", 65_535, n => Text(n), "format");
        await Holds("PATCH", rest, "rest_config.uri", 4096, n => "http://host/" + Text(n - 12));
        await Holds("PATCH", rest, "rest_config.headers", 50, n => Headers(Enumerable.Range(0, n).Select(i => ($"X-{i}", "v"))));
        await Holds("PATCH", rest, "rest_config.headers", 4096, n => Headers([("X-Long", Text(n))]), "format");
        await Refused("PATCH", rest, ("topic", "", "required"), ("topic", "a/#/b", "format"), ("rest_config.uri", "ftp://a", "format"),
            ("rest_config.headers", Headers([("a b", "v")]), "format"), ("rest_config.headers", Headers([("", "v")]), "format"),
            ("rest_config.headers", Headers([("a", "v\r\nX: y")]), "format"));

        var s3 = await NewRoute("s3_config", """{"bucket_region":"fr-par","bucket_name":"bucket","strategy":"per_topic"}""");
        await Holds("PATCH", s3, "s3_config.object_prefix", 512, n => Text(n));
        await Holds("PATCH", s3, "s3_config.bucket_name", 63, n => Text(n), "format");
        await Refused("PATCH", s3, ("s3_config.bucket_name", "ab", "format"), ("s3_config.bucket_name", "Bucket", "format"));

        var db = await NewRoute(
            "db_config", """{"host":"h","port":1,"dbname":"d","username":"u","password":"p","query":"q","engine":"mysql"}""");
        foreach (var member in new[] { "host", "dbname", "username" })
        {
            await Holds("PATCH", db, "db_config." + member, 4096, n => Text(n));
            await Refused("PATCH", db, ("db_config." + member, "", "required"));
        }
        await Holds("PATCH", db, "db_config.query", 32_768, n => Text(n));
        await Holds("PATCH", db, "db_config.port", 65_535, n => n);
        await Refused("PATCH", db, ("db_config.port", 0, "constraint"), ("db_config.port", -1, "constraint"), ("db_config.query", "", "required"));

        Assert.Equal(
            [("config", "required"), ("hub_id", "required"), ("name", "required"), ("topic", "required")],
            Sorted(await _api.Post("routes")));
        Assert.Contains(("config", "required"), (await _api.Post("routes", """{"s3_config":{},"rest_config":{}}""")).WrongArguments());
        Assert.Equal(
            [("db_config.dbname", "required"), ("db_config.host", "required"), ("db_config.port", "required"),
                ("db_config.query", "required"), ("db_config.username", "required")],
            Sorted(await _api.Post("routes", $$$"""{"name":"r","topic":"#","hub_id":"{{{_hub["id"]}}}","db_config":{}}""")));
    }

    [Fact]
    public async Task Certificates_and_authorities()
    {
        var device = $"devices/{(await _api.NewDevice(_hub))["id"]}/certificate";
        var pem = (string)(await _api.Get(device)).Ok["certificate_pem"]!;
        (string? Pem, string Reason)[] cases =
        [
            (null, "required"), ("", "required"), ("x", "format"), (pem.Replace('M', 'N'), "format"),
            (pem + "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", "constraint"), (Text(65_537), "constraint"),
        ];
        foreach (var (given, reason) in cases)
        {
            var wrong = (await _api.Put(device, new JsonObject { ["certificate_pem"] = given }.ToJsonString())).WrongArguments();
            Assert.Equal([("certificate_pem", reason)], wrong);
            var body = new JsonObject { ["ca_cert_pem"] = given, ["challenge_cert_pem"] = given };
            Assert.Equal(
                [("ca_cert_pem", reason), ("challenge_cert_pem", reason)], Sorted(await _api.Post($"hubs/{_hub["id"]}/ca", body.ToJsonString())));
        }
    }

    [Fact]
    public async Task Twins()
    {
        var twin = $"twins/{(await _api.NewDevice(_hub))["id"]}/documents/";
        await Holds("PUT", twin + "a", "data", 1024 * 1024, n => new JsonObject { ["a"] = Text(n - 8) });
        await Holds("PUT", twin + "a", "data", 32, n => Nested(n));
        Assert.Equal(200, (await _api.Put(twin + Text(255), "{}")).Status);
        foreach (var name in new[] { Text(256), "a%20b", "_own", "%C3%A9" })
        {
            Assert.Equal([("document_name", "constraint")], (await _api.Put(twin + name, "{}")).WrongArguments());
        }
        foreach (var version in new[] { "-1", "4294967296", "1.5", "\"1\"", "{}" })
        {
            Assert.Equal([("version", "format")], (await _api.Put(twin + "a", $$"""{"version":{{version}}}""")).WrongArguments());
        }
        Assert.Equal([("version", "constraint")], (await _api.Put(twin + "a", """{"version":4294967295}""")).WrongArguments());
        foreach (var data in new[] { """{"_own":1}""", """{"a":[null]}""", """{"a":{"_b":1}}""" })
        {
            Assert.Equal([("data", "constraint")], (await _api.Put(twin + "a", $$"""{"data":{{data}}}""")).WrongArguments());
        }
    }

    [Fact]
    public async Task Api_keys()
    {
        async Task<ApiAnswer> Create(int length) =>
            await _api.Post("api-keys", new JsonObject { ["role"] = "reader", ["description"] = Text(length) }.ToJsonString());
        Assert.Equal(255, ((string)(await Create(255)).Ok["api_key"]!["description"]!).Length);
        Assert.Equal([("description", "constraint")], (await Create(256)).WrongArguments());
        Assert.Equal([("role", "required")], (await _api.Post("api-keys")).WrongArguments());
    }

    [Theory]
    [InlineData("\"\\ud800\"")]
    [InlineData("\"\\udc00\\ud800\"")]
    [InlineData("\"\xff\"")]
    public async Task Text_that_is_no_unicode_is_named(string text)
    {
        var raw = Encoding.Latin1.GetBytes($$"""{"name":{{text}}}""");
        foreach (var path in new[] { "hubs", "devices", "networks", "routes" })
        {
            Assert.Equal([("name", "format")], (await _api.SendBytes(HttpMethod.Post, path, raw)).WrongArguments());
        }
        var device = await _api.NewDevice(_hub);
        var twin = Encoding.Latin1.GetBytes($$$"""{"data":{"a":{{{text}}}}}""");
        Assert.Equal(
            [("body", "format")],
            (await _api.SendBytes(HttpMethod.Put, $"twins/{device["id"]}/documents/current", twin)).WrongArguments());
        var key = Encoding.Latin1.GetBytes($$$"""{"data":{{{{text}}}:1}}""");
        Assert.Equal(
            [("body", "format")],
            (await _api.SendBytes(HttpMethod.Put, $"twins/{device["id"]}/documents/current", key)).WrongArguments());
    }

    private static string Text(int length) => new('a', length);

    private static IEnumerable<(string, string)> Sorted(ApiAnswer answer) => answer.WrongArguments().Order();

    private static JsonObject Filters(IEnumerable<string> topics) => new()
    {
        ["publish"] = new JsonObject { ["topics"] = new JsonArray([.. topics.Select(topic => (JsonNode)topic)]) },
    };

    private static JsonObject Headers(IEnumerable<(string Name, string Value)> headers) =>
        new(headers.Select(header => KeyValuePair.Create(header.Name, (JsonNode?)header.Value)));

    private static JsonObject Nested(int depth) => depth == 1 ? [] : new JsonObject { ["a"] = Nested(depth - 1) };

    private static JsonObject Body(string argument, JsonNode? value) =>
        (JsonObject)argument.Split('.').Reverse().Aggregate(value, (inner, name) => new JsonObject { [name] = inner })!;

    private async Task<string> NewRoute(string kind, string config)
    {
        var body = $$$"""{"name":"r","topic":"#","hub_id":"{{{_hub["id"]}}}","{{{kind}}}":{{{config}}}}""";
        return $"routes/{(await _api.Post("routes", body)).Ok["id"]}";
    }

    /// <summary>The maximum is stored and shown; one more is refused.</summary>
    private async Task Holds(
        string method, string path, string argument, int maximum, Func<int, JsonNode> value, string reason = "constraint")
    {
        var (most, tooMuch) = (Body(argument, value(maximum)), Body(argument, value(maximum + 1)));
        var kept = await _api.Send(new HttpMethod(method), path, most.ToJsonString());
        Assert.True(kept.Status == 200, $"{argument} of {maximum}: {kept.Status} {kept.Text}");
        var shown = (await _api.Get(path)).Ok;
        foreach (var name in argument.Split('.'))
        {
            shown = shown[name]!;
        }
        var given = argument.Split('.').Aggregate((JsonNode)most, (inner, name) => inner[name]!);
        Assert.True(argument == "message_filters" || JsonNode.DeepEquals(given, shown), $"{argument} of {maximum} was stored as something else");
        var refused = await _api.Send(new HttpMethod(method), path, tooMuch.ToJsonString());
        Assert.Equal([(argument, reason)], refused.WrongArguments());
    }

    private async Task HoldsOnCreation(
        string path, string argument, int maximum, Func<int, JsonNode> value, params (string Name, string Value)[] more)
    {
        var reason = more.Where(other => other.Name == "reason").Select(other => other.Value).FirstOrDefault("constraint");
        async Task<ApiAnswer> Create(int length)
        {
            var body = new JsonObject(more.Select(other => KeyValuePair.Create(other.Name, (JsonNode?)other.Value)))
            {
                ["hub_id"] = $"{_hub["id"]}",
                [argument] = value(length),
            };
            return await _api.Post(path, body.ToJsonString());
        }
        var made = (await Create(maximum)).Ok;
        Assert.Equal(maximum, ((string)made[path.TrimEnd('s')]![argument]!).Length);
        Assert.Equal([(argument, reason)], (await Create(maximum + 1)).WrongArguments());
    }

    private async Task Refused(string method, string path, params (string Argument, JsonNode? Value, string Reason)[] cases)
    {
        foreach (var (argument, value, reason) in cases)
        {
            var answer = await _api.Send(new HttpMethod(method), path, Body(argument, value).ToJsonString());
            Assert.Equal([(argument, reason)], answer.WrongArguments());
        }
    }
}
