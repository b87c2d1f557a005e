using System.Collections;
using System.Globalization;
using System.Reflection;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using IotHub.Functions.Api;
using Microsoft.AspNetCore.Routing;
using Xunit;

namespace IotHub.Contract.Api;

/// <summary>
/// What is no good in a request is answered 400 with the argument named, in every operation: the cases are made from the operations
/// themselves, so that a new one is tried as well. None of it changes anything.
/// </summary>
public sealed partial class MalformedInputTests : IAsyncLifetime
{
    private static readonly Dictionary<Type, string[]> WrongValues = new()
    {
        [typeof(string)] = ["7", "true", "{}", "[]"],
        [typeof(bool?)] = ["7", "\"maybe\"", "{}", "[]"],
        [typeof(long?)] = ["true", "\"x\"", "1.5", "1e99", "{}", "[]"],
    };
    private static readonly string[] WrongChoices = ["7", "0", "true", "\"no_such_value\"", "\"\"", "{}", "[]"];
    private static readonly string[] WrongObjects = ["7", "true", "\"x\"", "[]", "[{}]"];
    private static readonly string[] WrongLists = ["7", "true", "\"x\"", "{}"];

    private static readonly Dictionary<string, string[]> WrongQueries = new()
    {
        ["page"] = ["0", "-1", "x", "1.5", "99999999999", "%2B1", "%201"],
        ["page_size"] = ["0", "-1", "101", "x", "1e1"],
        ["order_by"] = ["x", "name", "name_ascending", "NAME_ASC"],
        ["project_id"] = ["x", "123"],
        ["organization_id"] = ["x"],
        ["hub_id"] = ["x", "nl-ams/00000000-0000-4000-8000-000000000000"],
        ["allow_insecure"] = ["maybe", "1"],
        ["delete_devices"] = ["maybe", "1"],
        ["status"] = ["x", "1"],
        ["start_date"] = ["yesterday", "2025-01-01", "2025-13-01T00:00:00Z", "1735689600"],
        ["page_token"] = ["x"],
    };

    /// <summary>Whatever text stands there is looked for.</summary>
    private static readonly string[] FreeQueries = ["name", "topic_prefix"];

    private readonly Dictionary<string, string> _ids = [];
    private readonly List<string> _failures = [];
    private TestApi _api = null!;
    private List<ApiOperation> _operations = null!;

    public async Task InitializeAsync()
    {
        _api = await TestApi.InMemory();
        _operations = [.. _api.Endpoints.OfType<RouteEndpoint>()
            .Select(route => route.Metadata.GetMetadata<ApiOperation>()).OfType<ApiOperation>()];
        var hub = await _api.NewHub(plan: "plan_dedicated");
        var device = await _api.NewDevice(hub);
        _ids["hub_id"] = $"{hub["id"]}";
        _ids["device_id"] = _ids["twin_id"] = $"{device["id"]}";
        _ids["document_name"] = "current";
        _ids["network_id"] = $"{(await _api.Post("networks", $$"""{"name":"n","type":"rest","hub_id":"{{hub["id"]}}"}""")).Ok["network"]!["id"]}";
        _ids["route_id"] = $"{(await _api.Post("routes", Route("""{"verb":"get","uri":"http://a"}"""))).Ok["id"]}";
        _ids["access_key"] = "SCW00000000000000000";
        await _api.Put($"twins/{device["id"]}/documents/current", """{"data":{"a":1}}""");
    }

    public async Task DisposeAsync() => await _api.DisposeAsync();

    [Fact]
    public async Task A_member_of_the_wrong_type_is_named()
    {
        var before = await State();
        var tried = 0;
        foreach (var operation in _operations.Where(operation => operation.Body is not null))
        {
            foreach (var (path, wrong) in WrongMembers(operation.Body!, []))
            {
                tried++;
                var body = path.Reverse().Aggregate(wrong, (inner, name) => $$"""{"{{name}}":{{inner}}}""");
                await Expect(operation, body, string.Join('.', path), "format", path.Length > 0);
            }
        }
        AssertNoFailures();
        Assert.True(tried > 200, $"only {tried} cases");
        Assert.Equal(before, await State());
    }

    [Fact]
    public async Task What_is_no_object_or_too_much_or_too_deep_is_the_bodys_fault()
    {
        var before = await State();
        var deep = string.Concat(Enumerable.Repeat("[", 50_000));
        foreach (var operation in WithBodies())
        {
            foreach (var body in new[]
            {
                "[]", "7", "\"x\"", "true", "{", "{]", "{\"name\"", "{\"name\":}", "{}{}", "{} x", "{'name':1}", "{\"a\":1,}", "// c\n{}",
                "nul", "\u0000", deep, $$"""{"unknown":{{deep}}""",
            })
            {
                await Expect(operation, body, "body", "format");
            }
            var limit = operation.Path.Contains("documents", StringComparison.Ordinal) ? 2 * 1024 * 1024 : 256 * 1024;
            await Expect(operation, $$"""{"unknown":"{{new string('x', limit)}}"}""", "body", "constraint");
        }
        AssertNoFailures();
        Assert.Equal(before, await State());
    }

    [Fact]
    public async Task A_member_that_stands_there_twice_is_named()
    {
        var before = await State();
        foreach (var operation in _operations.Where(operation => operation.Body is not null))
        {
            var name = ApiName(operation.Body!.GetProperties()[0]);
            await Expect(operation, $$"""{"{{name}}":null,"{{name}}":null}""", name, "format");
        }
        await Expect(Operation("PATCH", "/devices/{device_id}"),
            """{"message_filters":{"publish":{"policy":"accept","policy":"reject"}}}""", "message_filters.publish.policy", "format");
        await Expect(Operation("PUT", "/twins/{twin_id}/documents/{document_name}"), """{"data":{"a":1,"a":2}}""", "body", "format");
        AssertNoFailures();
        Assert.Equal(before, await State());
    }

    [Theory]
    [InlineData("\"\\ud800\"")]
    [InlineData("\"\\udc00\\ud800\"")]
    [InlineData("\"\xff\"")]
    public async Task Text_that_is_no_unicode_is_named(string text)
    {
        var before = await State();
        var raw = Encoding.Latin1.GetBytes($$"""{"name":{{text}}}""");
        foreach (var path in new[] { "hubs", "devices", "networks", "routes" })
        {
            Assert.Equal([("name", "format")], (await _api.SendBytes(HttpMethod.Post, path, raw)).WrongArguments());
        }
        var twin = Encoding.Latin1.GetBytes($$$"""{"data":{"a":{{{text}}}}}""");
        Assert.Equal(
            [("body", "format")],
            (await _api.SendBytes(HttpMethod.Put, $"twins/{_ids["twin_id"]}/documents/current", twin)).WrongArguments());
        var key = Encoding.Latin1.GetBytes($$$"""{"data":{{{{text}}}:1}}""");
        Assert.Equal(
            [("body", "format")],
            (await _api.SendBytes(HttpMethod.Put, $"twins/{_ids["twin_id"]}/documents/current", key)).WrongArguments());
        Assert.Equal(before, await State());
    }

    [Fact]
    public async Task Members_that_nobody_knows_are_ignored()
    {
        var nested = string.Concat(Enumerable.Repeat("{\"a\":", 50)) + "1" + new string('}', 50);
        foreach (var operation in _operations.Where(operation => operation.Body is not null))
        {
            var bare = await Send(operation, "{}");
            foreach (var unknown in new[] { "7", "\"x\"", "null", "[1,{}]", nested })
            {
                var more = await Send(operation, $$"""{"unknown":{{unknown}},"Name":7}""");
                if (more.Status != bare.Status)
                {
                    _failures.Add($"{operation.Method} {operation.Path} with {unknown}: {more.Status} instead of {bare.Status}: {more.Text}");
                }
            }
        }
        AssertNoFailures();
    }

    [Fact]
    public async Task A_query_that_makes_no_sense_is_named()
    {
        var before = await State();
        foreach (var operation in _operations)
        {
            foreach (var name in operation.Query.Except(FreeQueries))
            {
                Assert.True(WrongQueries.ContainsKey(name), $"no wrong values are known for {name} of {operation.Path}");
                foreach (var value in WrongQueries[name])
                {
                    await Expect(operation, null, name, null, query: $"?{name}={value}");
                }
                // An empty one counts as absent.
                var empty = operation.Method == "GET" ? await Send(operation, null, $"?{name}=") : null;
                Assert.True(empty is null or { Status: 200 }, $"{operation.Path}?{name}=: {empty?.Text}");
            }
        }
        AssertNoFailures();
        Assert.Equal(before, await State());
    }

    [Fact]
    public async Task An_id_in_the_path_that_is_none_is_named()
    {
        foreach (var operation in _operations)
        {
            foreach (var name in PathParameter().Matches(operation.Path).Select(match => match.Groups[1].Value)
                .Where(name => name.EndsWith("_id", StringComparison.Ordinal)))
            {
                foreach (var wrong in new[] { "x", Guid.NewGuid().ToString("N"), $"{{{Guid.NewGuid()}}}", "%20", "fr-par%2F" + Guid.NewGuid() })
                {
                    await Expect(operation, "{}", name, "format", replace: (name, wrong));
                }
            }
        }
        AssertNoFailures();
    }

    private void AssertNoFailures() => Assert.True(_failures.Count == 0, string.Join('\n', _failures.Take(30)));

    private ApiOperation Operation(string method, string path) =>
        _operations.Single(operation => operation.Method == method && operation.Path.EndsWith("{region}" + path, StringComparison.Ordinal));

    private IEnumerable<ApiOperation> WithBodies() => _operations.Where(operation => operation.Body is not null
        || (operation.Path.Contains("documents", StringComparison.Ordinal) && operation.Method is "PUT" or "PATCH"));

    private static string ApiName(PropertyInfo member) => JsonNamingPolicy.SnakeCaseLower.ConvertName(member.Name);

    /// <summary>Every member of a body, however deep, with what it must not be.</summary>
    private static IEnumerable<(string[] Path, string Wrong)> WrongMembers(Type type, string[] path)
    {
        foreach (var member in type.GetProperties(BindingFlags.Public | BindingFlags.Instance))
        {
            string[] inside = [.. path, ApiName(member)];
            var own = member.PropertyType;
            var isChoice = Nullable.GetUnderlyingType(own)?.IsEnum ?? false;
            var isList = own != typeof(string) && own.IsAssignableTo(typeof(IEnumerable));
            var isMap = isList && own.Name.Contains("Dictionary", StringComparison.Ordinal);
            var wrong = isChoice ? WrongChoices : isMap ? WrongObjects : isList ? WrongLists : WrongValues.GetValueOrDefault(own, WrongObjects);
            foreach (var value in wrong)
            {
                yield return (inside, value);
            }
            if (!isChoice && !isList && !WrongValues.ContainsKey(own))
            {
                Assert.True(own.Namespace!.StartsWith("IotHub", StringComparison.Ordinal), $"no wrong values are known for a {own}");
                foreach (var deeper in WrongMembers(own, inside))
                {
                    yield return deeper;
                }
            }
        }
    }

    private Task<ApiAnswer> Send(ApiOperation operation, string? body, string query = "", (string Name, string Value)? replace = null)
    {
        var path = PathParameter().Replace(operation.Path["/iot/v1/regions/{region}/".Length..], match =>
            replace is { } other && other.Name == match.Groups[1].Value ? other.Value : _ids[match.Groups[1].Value]);
        return _api.Send(new HttpMethod(operation.Method), path + query, body);
    }

    private async Task Expect(
        ApiOperation operation, string? body, string argument, string? reason, bool alsoInside = false, string query = "",
        (string Name, string Value)? replace = null)
    {
        var answer = await Send(operation, body, query, replace);
        var wrong = answer.Status == 400 ? answer.WrongArguments().ToList() : [];
        if (!wrong.Exists(detail => (reason is null || detail.Reason == reason)
            && (detail.Argument == argument || (alsoInside && detail.Argument.StartsWith(argument + "[", StringComparison.Ordinal)))))
        {
            var sent = body is { Length: > 100 } ? string.Concat(body.AsSpan(0, 100), "…") : body;
            _failures.Add(string.Create(
                CultureInfo.InvariantCulture, $"{operation.Method} {operation.Path}{query} {replace} {sent}: {answer.Status} {answer.Text}"));
        }
    }

    /// <summary>All that a reader can see.</summary>
    private async Task<string> State()
    {
        var seen = new StringBuilder();
        foreach (var path in new[] { "hubs", "devices", "networks", "routes", "api-keys", $"twins/{_ids["twin_id"]}" })
        {
            seen.AppendLine((await _api.Get(path)).Ok.ToJsonString());
        }
        seen.AppendLine((await _api.Get($"twins/{_ids["twin_id"]}/documents/current")).Ok.ToJsonString());
        return seen.AppendLine((await _api.Get($"routes/{_ids["route_id"]}")).Ok.ToJsonString()).ToString();
    }

    private string Route(string rest) => $$"""{"name":"r","topic":"#","hub_id":"{{_ids["hub_id"]}}","rest_config":{{rest}}}""";

    [GeneratedRegex(@"\{([a-z_]+)\}")]
    private static partial Regex PathParameter();
}
