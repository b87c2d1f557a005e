using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using IotHub.Core.Domain;
using Xunit;

namespace IotHub.Contract.Api;

/// <summary>
/// Every operation with input that is wrong, made from what the OpenAPI document says about it: the answer names the argument, and nothing
/// changes. What is wrong for a single operation stands in <see cref="OutOfBounds"/>.
/// </summary>
public sealed class BadInputTests : IAsyncLifetime
{
    private const int MaximumBodyBytes = 256 * 1024;
    private const int MaximumTwinBytes = 2 * 1024 * 1024;
    private readonly Dictionary<string, string> _ids = [];
    private TestApi _api = null!;
    private DescribedApi _described = null!;
    private string _before = "";

    public async Task InitializeAsync()
    {
        _api = await TestApi.InMemory();
        _described = await DescribedApi.Of(_api);
        var hub = await _api.NewHub(plan: "plan_dedicated");
        var device = await _api.NewDevice(hub);
        var route = await _api.Post("routes", $$$"""
            {"name":"r","topic":"#","hub_id":"{{{hub["id"]}}}","rest_config":{"verb":"get","uri":"http://a"}}
            """);
        var network = await _api.Post("networks", $$"""{"name":"n","type":"rest","hub_id":"{{hub["id"]}}"}""");
        await _api.Put($"twins/{device["id"]}/documents/current", """{"data":{"kept":1}}""");
        _ids["hub_id"] = $"{hub["id"]}";
        _ids["device_id"] = _ids["twin_id"] = $"{device["id"]}";
        _ids["route_id"] = $"{route.Ok["id"]}";
        _ids["network_id"] = $"{network.Ok["network"]!["id"]}";
        _ids["document_name"] = "current";
        _ids["access_key"] = "SCW0";
        _before = await Everything();
    }

    public async Task DisposeAsync()
    {
        // Whatever a test sent was refused: nothing of it may be there.
        Assert.Equal(_before, await Everything());
        await _api.DisposeAsync();
    }

    public static IReadOnlyList<(string Operation, string Body, string Argument, string Reason)> OutOfBounds { get; } =
    [
        ("POST hubs", """{"name":""}""", "name", "required"),
        ("POST hubs", """{"name":null}""", "name", "required"),
        ("POST hubs", $$"""{"name":"{{new string('n', 256)}}"}""", "name", "constraint"),
        ("POST hubs", """{"name":"a\u0000b"}""", "name", "constraint"),
        ("POST hubs", """{"name":"a\nb"}""", "name", "constraint"),
        ("POST hubs", """{"name":"half a \ud800 pair"}""", "name", "format"),
        ("POST hubs", """{"project_id":"not-a-uuid"}""", "project_id", "format"),
        ("POST hubs", """{"product_plan":"plan_free"}""", "product_plan", "format"),
        ("POST hubs", """{"product_plan":2}""", "product_plan", "format"),
        ("POST hubs", """{"events_topic_prefix":"a/#"}""", "events_topic_prefix", "format"),
        ("POST hubs", $$"""{"events_topic_prefix":"{{new string('p', 1025)}}"}""", "events_topic_prefix", "constraint"),
        ("POST hubs", """{"twins_graphite_config":{"push_uri":"ftp://a"}}""", "twins_graphite_config.push_uri", "format"),
        ("PATCH hubs/{hub_id}", """{"name":""}""", "name", "required"),
        ("PATCH hubs/{hub_id}", """{"product_plan":"none"}""", "product_plan", "format"),
        ("PATCH hubs/{hub_id}", """{"twins_graphite_config":{"push_uri":"x"}}""", "twins_graphite_config.push_uri", "format"),
        ("POST hubs/{hub_id}/ca", "{}", "ca_cert_pem", "required"),
        ("POST hubs/{hub_id}/ca", """{"ca_cert_pem":"x","challenge_cert_pem":"y"}""", "challenge_cert_pem", "format"),
        ("POST devices", """{"hub_id":"{hub_id}","name":""}""", "name", "required"),
        ("POST devices", """{"name":"x"}""", "hub_id", "required"),
        ("POST devices", """{"name":"x","hub_id":"pl-waw/{hub_id}"}""", "hub_id", "format"),
        ("POST devices", """{"name":"x","hub_id":"{hub_id} "}""", "hub_id", "format"),
        ("POST devices", $$"""{"description":"{{new string('d', 10_001)}}"}""", "description", "constraint"),
        ("POST devices", """{"message_filters":{"publish":{"policy":"maybe"}}}""", "message_filters.publish.policy", "format"),
        ("POST devices", """{"message_filters":{"publish":{"topics":["a#"]}}}""", "message_filters.publish.topics", "format"),
        ("POST devices", """{"message_filters":{"subscribe":{"topics":[""]}}}""", "message_filters.subscribe.topics", "format"),
        ("POST devices", """{"message_filters":{"subscribe":{"topics":[null]}}}""", "message_filters.subscribe.topics", "format"),
        ("POST devices", $$$$"""{"message_filters":{"publish":{"topics":[{{{{Many(1_001)}}}}]}}}""", "message_filters", "constraint"),
        ("PATCH devices/{device_id}", """{"hub_id":"x"}""", "hub_id", "format"),
        ("PATCH devices/{device_id}", """{"hub_id":""}""", "hub_id", "format"),
        ("PATCH devices/{device_id}", """{"message_filters":{"publish":{"topics":["a/#/b"]}}}""", "message_filters.publish.topics", "format"),
        ("PUT devices/{device_id}/certificate", "{}", "certificate_pem", "required"),
        ("PUT devices/{device_id}/certificate", """{"certificate_pem":"-----BEGIN CERTIFICATE-----"}""", "certificate_pem", "format"),
        ("PUT devices/{device_id}/certificate", $$"""{"certificate_pem":"{{new string('x', 65_537)}}"}""", "certificate_pem", "constraint"),
        ("POST networks", """{"name":"x","hub_id":"{hub_id}"}""", "type", "required"),
        ("POST networks", """{"name":"x","hub_id":"{hub_id}","type":"unknown"}""", "type", "required"),
        ("POST networks", """{"name":"x","hub_id":"{hub_id}","type":"lora"}""", "type", "format"),
        ("POST networks", """{"topic_prefix":"a/+"}""", "topic_prefix", "format"),
        ("POST routes", """{"name":"x","hub_id":"{hub_id}","topic":"#"}""", "config", "required"),
        ("POST routes", """{"s3_config":{},"rest_config":{}}""", "config", "required"),
        ("POST routes", """{"rest_config":{"verb":"get","uri":"http://a"}}""", "topic", "required"),
        ("POST routes", """{"topic":"a/#/b"}""", "topic", "format"),
        ("POST routes", $$"""{"topic":"{{new string('t', 65_536)}}"}""", "topic", "format"),
        ("POST routes", """{"rest_config":{"uri":"http://a"}}""", "rest_config.verb", "required"),
        ("POST routes", """{"rest_config":{"verb":"trace"}}""", "rest_config.verb", "format"),
        ("POST routes", """{"rest_config":{"verb":"get","uri":"file:///etc"}}""", "rest_config.uri", "format"),
        ("POST routes", """{"rest_config":{"headers":{"a b":"c"}}}""", "rest_config.headers", "format"),
        ("POST routes", """{"rest_config":{"headers":{"a":"b\r\nc: d"}}}""", "rest_config.headers", "format"),
        ("POST routes", """{"rest_config":{"headers":{"a":1}}}""", "rest_config.headers.a", "format"),
        ("POST routes", """{"s3_config":{"bucket_name":"A"}}""", "s3_config.bucket_name", "format"),
        ("POST routes", """{"s3_config":{"strategy":"per_day"}}""", "s3_config.strategy", "format"),
        ("POST routes", """{"db_config":{"port":0}}""", "db_config.port", "constraint"),
        ("POST routes", """{"db_config":{"port":65536}}""", "db_config.port", "constraint"),
        ("POST routes", """{"db_config":{"port":1.5}}""", "db_config.port", "format"),
        ("POST routes", """{"db_config":{"engine":"oracle"}}""", "db_config.engine", "format"),
        ("PATCH routes/{route_id}", """{"s3_config":{}}""", "s3_config", "constraint"),
        ("PATCH routes/{route_id}", """{"rest_config":{"uri":""}}""", "rest_config.uri", "required"),
        ("PATCH routes/{route_id}", """{"topic":""}""", "topic", "required"),
        ("POST api-keys", """{"role":"owner"}""", "role", "format"),
        ("POST api-keys", """{"role":"reader","project_id":"x"}""", "project_id", "format"),
        ("POST api-keys", $$"""{"role":"reader","description":"{{new string('d', 256)}}"}""", "description", "constraint"),
    ];

    [Fact]
    public async Task A_value_out_of_bounds_names_its_argument()
    {
        foreach (var (operation, body, argument, reason) in OutOfBounds)
        {
            var answer = await Send(Operation(operation), body);
            Assert.True(
                answer.Status == 400 && answer.WrongArguments().Contains((argument, reason)),
                $"{operation} with {body}: {answer.Status} {answer.Text}");
        }
    }

    [Fact]
    public async Task A_member_of_the_wrong_type_is_named_by_its_path()
    {
        var tried = 0;
        foreach (var operation in WithBody())
        {
            foreach (var (path, schema) in MembersOf("", operation.BodySchema!))
            {
                foreach (var wrong in WrongFor(schema))
                {
                    var answer = await Send(operation, Nested(path, wrong));
                    Assert.True(answer.Status == 400, $"{operation.Name} with {Nested(path, wrong)}: {answer.Status} {answer.Text}");
                    Assert.Equal([(path, "format")], answer.WrongArguments());
                    tried++;
                }
            }
        }
        Assert.True(tried > 100, $"{tried} bodies were tried");
    }

    [Fact]
    public async Task A_body_that_is_no_JSON_object_is_refused_by_every_operation_that_takes_one()
    {
        string[] texts =
        [
            "{", "}", "[]", "7", "\"text\"", "true", "{\"a\"}", "{\"a\":1,}", "{\"a\":1}}", "{} {}", "{'a':1}", "{\"a\":01}", "{\"a\":NaN}",
            "// {}", "\0",
        ];
        foreach (var operation in WithBody())
        {
            foreach (var text in texts)
            {
                var answer = await Send(operation, text);
                Assert.True(answer.Status == 400, $"{operation.Name} with {text}: {answer.Status} {answer.Text}");
                var (argument, reason) = Assert.Single(answer.WrongArguments());
                Assert.True(reason == "format" && argument is "body" or "a", $"{operation.Name} with {text}: {argument} {reason}");
            }
        }
    }

    [Fact]
    public async Task A_member_that_stands_there_twice_is_refused()
    {
        foreach (var operation in WithBody())
        {
            var (path, _) = MembersOf("", operation.BodySchema!).First();
            var answer = await Send(operation, $$"""{"{{path}}":null,"{{path}}":null}""");
            var (argument, reason) = Assert.Single(answer.WrongArguments());
            Assert.Equal("format", reason);
            Assert.Contains(argument, new[] { path, "body" });
        }
    }

    [Fact]
    public async Task Deep_nesting_is_refused_wherever_it_stands()
    {
        foreach (var operation in WithBody())
        {
            foreach (var (open, close) in new[] { ("[", "]"), ("{\"x\":", "}") })
            {
                foreach (var levels in new[] { 100, 20_000 })
                {
                    var deep = new StringBuilder().Insert(0, open, levels).Append('1').Insert(open.Length * levels, "").ToString()
                        + new StringBuilder().Insert(0, close, levels);
                    foreach (var body in new[] { $$"""{"unknown":{{deep}}}""", deep })
                    {
                        var answer = await Send(operation, body);
                        Assert.True(answer.Status == 400, $"{operation.Name} with {levels} levels: {answer.Status}");
                        Assert.Equal("format", Assert.Single(answer.WrongArguments()).Reason);
                    }
                }
            }
        }
    }

    [Fact]
    public async Task An_oversized_body_is_refused_by_every_operation_that_takes_one()
    {
        foreach (var operation in WithBody())
        {
            var maximum = operation.Path.StartsWith("twins/", StringComparison.Ordinal) ? MaximumTwinBytes : MaximumBodyBytes;
            var answer = await Send(operation, $$"""{"unknown":"{{new string('x', maximum)}}"}""");
            Assert.Equal([("body", "constraint")], answer.WrongArguments());
        }
    }

    [Fact]
    public async Task An_id_in_a_path_that_is_no_uuid_is_named()
    {
        var tried = 0;
        foreach (var operation in _described.Operations)
        {
            foreach (var parameter in operation.Parameters("path").Select(parameter => (string)parameter["name"]!))
            {
                if (!parameter.EndsWith("_id", StringComparison.Ordinal))
                {
                    continue;
                }
                foreach (var wrong in new[] { "x", "0", Guid.NewGuid().ToString("N"), $"%7B{Guid.NewGuid()}%7D", $"fr-par%2F{Guid.NewGuid()}" })
                {
                    var answer = await _api.Send(new HttpMethod(operation.Method), Filled(operation.Path, parameter, wrong));
                    Assert.Equal([(parameter, "format")], answer.WrongArguments());
                    tried++;
                }
            }
        }
        Assert.True(tried > 100, $"{tried} paths were tried");
    }

    [Fact]
    public async Task A_query_that_makes_no_sense_is_named_by_every_operation_that_asks_it()
    {
        var tried = 0;
        foreach (var operation in _described.Operations)
        {
            foreach (var parameter in operation.Parameters("query"))
            {
                var name = (string)parameter["name"]!;
                foreach (var wrong in WrongQueries(name, parameter["schema"]!))
                {
                    var answer = await _api.Send(new HttpMethod(operation.Method), $"{Filled(operation.Path)}?{name}={wrong}");
                    Assert.True(answer.Status == 400, $"{operation.Name}?{name}={wrong}: {answer.Status} {answer.Text}");
                    Assert.Contains(name, answer.WrongArguments().Select(argument => argument.Argument));
                    tried++;
                }
            }
        }
        Assert.True(tried > 60, $"{tried} queries were tried");
    }

    private IEnumerable<DescribedOperation> WithBody() => _described.Operations.Where(operation => operation.BodySchema is not null);

    private DescribedOperation Operation(string name) => _described.Operations.Single(operation => operation.Name == name);

    private Task<ApiAnswer> Send(DescribedOperation operation, string body) =>
        _api.Send(new HttpMethod(operation.Method), Filled(operation.Path), Filled(body));

    private string Filled(string text, string? instead = null, string wrong = "") => _ids.Aggregate(text, (filled, id) =>
        filled.Replace($"{{{id.Key}}}", id.Key == instead ? wrong : id.Value, StringComparison.Ordinal));

    /// <summary>All members of a body by their path, those of objects inside it too.</summary>
    private IEnumerable<(string Path, JsonNode Schema)> MembersOf(string before, JsonNode schema)
    {
        foreach (var (name, member) in _described.Resolve(schema)["properties"]?.AsObject() ?? [])
        {
            yield return (before + name, member!);
            foreach (var inner in MembersOf(before + name + ".", member!))
            {
                yield return inner;
            }
        }
    }

    private static IEnumerable<string> WrongFor(JsonNode schema)
    {
        var types = schema["type"] is JsonArray several ? several.Select(type => (string)type!).ToList() : [(string?)schema["type"] ?? "string"];
        if (!types.Contains("object"))
        {
            yield return """{"x":1}""";
        }
        if (!types.Contains("array"))
        {
            yield return """["x"]""";
        }
        if (!types.Contains("string"))
        {
            yield return "\"a text\"";
        }
        if (!types.Contains("integer"))
        {
            yield return "7";
        }
        if (!types.Contains("boolean"))
        {
            yield return "true";
        }
        if (schema["enum"] is not null)
        {
            yield return "\"nothing like it\"";
        }
    }

    private static IEnumerable<string> WrongQueries(string name, JsonNode schema) => ((string)schema["type"]!, (string?)schema["format"]) switch
    {
        ("integer", _) when name == "page" => ["0", "-1", "x", "1.5", "2147483648", "%2B1"],
        ("integer", _) => ["0", "-1", "x", "101", "1e1"],
        ("boolean", _) => ["yes", "1", "x"],
        (_, "uuid") => ["x", "1", Guid.NewGuid().ToString("N")],
        (_, "date-time") => ["yesterday", "1700000000", "2025-01-01", "2025-13-01T00:00:00Z"],
        _ when schema["enum"] is not null => ["x", "name", "NAME_ASC;"],
        _ when name == "page_token" => ["%00", "not-a-token"],
        _ => [],
    };

    private static string Nested(string path, string value)
    {
        var names = path.Split('.');
        return string.Concat(names.Select(name => $"{{\"{name}\":")) + value + new string('}', names.Length);
    }

    private static string Many(int topics) => string.Join(',', Enumerable.Range(0, topics).Select(i => $"\"t{i}\""));

    private async Task<string> Everything()
    {
        var all = new List<object>();
        await foreach (var hub in _api.Registry.HubsOfOrganization(_api.Organization))
        {
            all.Add(hub);
            all.AddRange(await Storage.Sequences.ToList(_api.Registry.DevicesOfHub(hub.Id)));
            all.AddRange(await Storage.Sequences.ToList(_api.Registry.NetworksOfHub(hub.Id)));
            all.AddRange(await Storage.Sequences.ToList(_api.Registry.RoutesOfHub(hub.Id)));
        }
        all.AddRange((await Storage.Sequences.ToList(_api.Keys.OfOrganization(_api.Organization))).Cast<ApiKey>());
        all.Add((await _api.Twins.Get(Guid.Parse(_ids["twin_id"]), "current"))!.Value);
        return JsonSerializer.Serialize(all);
    }
}
