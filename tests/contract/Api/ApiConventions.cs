using System.Text.Json.Nodes;
using IotHub.Core.Domain;
using IotHub.Core.Storage;
using IotHub.Harness;
using Xunit;

namespace IotHub.Contract.Api;

/// <summary>What holds for every call: headers, authentication, regions, errors, paging.</summary>
public sealed class ApiConventions : IAsyncLifetime
{
    private TestApi _api = null!;

    public async Task InitializeAsync() => _api = await TestApi.InMemory();

    public async Task DisposeAsync() => await _api.DisposeAsync();

    [Fact]
    public async Task Every_answer_has_the_recorded_headers_and_the_bare_content_type()
    {
        var hub = await _api.NewHub();
        var device = await _api.NewDevice(hub);
        ApiAnswer[] answers =
        [
            await _api.Get("hubs"), await _api.Get($"hubs/{Guid.NewGuid()}"),
            await _api.Get("hubs", "wrong"), await _api.Get("hubs?page=0"),
            await _api.Delete($"devices/{device["id"]}"), await _api.Get("nothing/here"), await _api.Get("../nl-ams/hubs"),
        ];
        Assert.Equal([200, 404, 401, 400, 204, 404, 501], answers.Select(answer => answer.Status));
        Assert.All(answers, answer =>
        {
            Assert.Equal("application/json", answer.Headers["Content-Type"]);
            Assert.Equal("default-src 'none'; frame-ancestors 'none'", answer.Headers["Content-Security-Policy"]);
            Assert.Equal("max-age=63072000", answer.Headers["Strict-Transport-Security"]);
            Assert.Equal("nosniff", answer.Headers["X-Content-Type-Options"]);
            Assert.Equal("DENY", answer.Headers["X-Frame-Options"]);
            Assert.True(Guid.TryParseExact(answer.Headers["X-Request-Id"], "D", out _));
            Assert.DoesNotContain("X-Total-Count", answer.Headers.Keys);
            Assert.Equal(answer.Status != 204, answer.Headers.ContainsKey("Content-Length"));
            Assert.Equal(answer.Status == 204, answer.Text.Length == 0);
        });
        Assert.Equal(answers.Length, answers.Select(answer => answer.Headers["X-Request-Id"]).Distinct().Count());
    }

    [Fact]
    public async Task Without_a_valid_key_the_answer_says_how_it_was_tried()
    {
        (string Secret, string Method, string Reason)[] cases =
        [
            ("", "unknown_method", "not_found"),
            ("not a uuid", "api_key", "invalid_argument"),
            (Guid.NewGuid().ToString(), "api_key", "not_found"),
        ];
        foreach (var (secret, method, reason) in cases)
        {
            var answer = await _api.Get("hubs", secret);
            Assert.Equal(401, answer.Status);
            AssertJson(
                $$"""{"message":"authentication is denied","method":"{{method}}","reason":"{{reason}}","type":"denied_authentication"}""",
                answer.Json);
        }
    }

    [Theory]
    [InlineData("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl", "not_found")]
    [InlineData("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.", "invalid_argument")]
    [InlineData("11111111-1111-4111-8111-111111111111", "invalid_argument")]
    [InlineData("", "invalid_argument")]
    public async Task A_session_token_opens_nothing_and_takes_nothing_away_from_a_key(string token, string reason)
    {
        _api.SessionToken = token;
        var answer = await _api.Get("hubs", "");
        Assert.Equal(401, answer.Status);
        AssertJson(
            $$"""{"message":"authentication is denied","method":"jwt","reason":"{{reason}}","type":"denied_authentication"}""",
            answer.Json);
        Assert.Equal(200, (await _api.Get("hubs")).Status);
        AssertJson(
            """{"message":"authentication is denied","method":"api_key","reason":"not_found","type":"denied_authentication"}""",
            (await _api.Get("hubs", Guid.NewGuid().ToString())).Problem(401, "denied_authentication"));
    }

    [Fact]
    public async Task A_revoked_key_opens_nothing()
    {
        var key = Assert.Single(await Storage.Sequences.ToList(_api.Keys.OfOrganization(_api.Organization)));
        await _api.Keys.Delete(key.AccessKey);
        (await _api.Get("hubs")).Problem(401, "denied_authentication");
    }

    [Fact]
    public async Task Other_regions_do_not_have_the_service()
    {
        foreach (var secret in new[] { null, "" })
        {
            var answer = await _api.Get("/iot/v1/regions/pl-waw/hubs", secret);
            Assert.Equal(501, answer.Status);
            AssertJson("""{"message":"unknown service"}""", answer.Json);
        }
    }

    [Fact]
    public async Task Not_found_names_the_resource()
    {
        var id = Guid.NewGuid();
        foreach (var resource in new[] { "hub", "device", "network", "route" })
        {
            var answer = await _api.Get($"{resource}s/{id}");
            Assert.Equal(404, answer.Status);
            AssertJson(
                $$"""{"message":"resource is not found","resource":"{{resource}}","resource_id":"{{id}}","type":"not_found"}""",
                answer.Json);
        }
    }

    [Fact]
    public async Task An_id_that_is_no_uuid_is_an_invalid_argument() =>
        Assert.Equal([("hub_id", "format")], (await _api.Get("hubs/x")).WrongArguments());

    [Fact]
    public async Task Roles_bound_what_a_key_may_do()
    {
        var hub = await _api.NewHub();
        var device = await _api.NewDevice(hub);
        var (reader, operates) = (await _api.NewKey(ApiRole.Reader), await _api.NewKey(ApiRole.Operator));
        Assert.Equal(200, (await _api.Get($"devices/{device["id"]}", reader)).Status);
        AssertJson(
            """{"details":[{"action":"write","resource":"device"}],"message":"insufficient permissions","type":"permissions_denied"}""",
            (await _api.Post($"devices/{device["id"]}/disable", "{}", reader)).Problem(403, "permissions_denied"));
        Assert.Equal(200, (await _api.Post($"devices/{device["id"]}/disable", "{}", operates)).Status);
        (await _api.Delete($"hubs/{hub["id"]}", operates)).Problem(403, "permissions_denied");
        (await _api.Post("routes", "{}", operates)).Problem(403, "permissions_denied");
    }

    [Fact]
    public async Task Foreign_and_unknown_ids_answer_alike()
    {
        var hub = await _api.NewHub();
        var device = await _api.NewDevice(hub);
        var network = (await _api.Post("networks", $$"""{"name":"n","type":"rest","hub_id":"{{hub["id"]}}"}""")).Ok["network"]!;
        var route = (await _api.Post("routes", $$"""
            {"name":"r","topic":"#","hub_id":"{{hub["id"]}}","rest_config":{"verb":"get","uri":"http://a"} }
            """)).Ok;
        var foreign = await _api.NewKey(ApiRole.Administrator, organization: Guid.NewGuid());
        var otherProject = await _api.NewKey(ApiRole.Administrator, project: Guid.NewGuid());
        foreach (var secret in new[] { foreign, otherProject })
        {
            foreach (var (path, known) in new[]
            {
                ("hubs", hub), ("devices", device), ("networks", network), ("routes", route),
            })
            {
                var unknown = Guid.NewGuid().ToString();
                foreach (var method in new[] { HttpMethod.Get, HttpMethod.Delete, HttpMethod.Patch })
                {
                    if (path == "networks" && method == HttpMethod.Patch)
                    {
                        continue;
                    }
                    var toKnown = await _api.Send(method, $"{path}/{known["id"]}", "{}", secret);
                    var toUnknown = await _api.Send(method, $"{path}/{unknown}", "{}", secret);
                    Assert.Equal((404, 404), (toKnown.Status, toUnknown.Status));
                    Assert.Equal(toUnknown.Text.Replace(unknown, $"{known["id"]}", StringComparison.Ordinal), toKnown.Text);
                }
                Assert.Equal(0, (int)(await _api.Get(path, secret)).Ok["total_count"]!);
                Assert.Equal(0, (int)(await _api.Get($"{path}?hub_id={hub["id"]}", secret)).Ok["total_count"]!);
            }
            var refusal = await _api.Post("devices", $$"""{"name":"intruder","hub_id":"{{hub["id"]}}"}""", secret);
            refusal.Problem(404, "not_found");
        }
    }

    [Fact]
    public async Task A_body_that_cannot_be_read_names_the_member()
    {
        Assert.Equal([("body", "format")], (await _api.Post("hubs", "{")).WrongArguments());
        Assert.Equal([("body", "format")], (await _api.Post("hubs", "[]")).WrongArguments());
        Assert.Equal([("product_plan", "format")], (await _api.Post("hubs", """{"product_plan":"plan_huge"}""")).WrongArguments());
        Assert.Equal([("disable_events", "format")], (await _api.Post("hubs", """{"disable_events":7}""")).WrongArguments());
        Assert.Equal(
            [("message_filters.publish.policy", "format")],
            (await _api.Post("devices", """{"message_filters":{"publish":{"policy":"maybe"}}}""")).WrongArguments());
        Assert.Equal([("body", "constraint")], (await _api.Post("hubs", new string(' ', 300_000))).WrongArguments());
    }

    [Fact]
    public async Task All_wrong_arguments_are_told_at_once() =>
        Assert.Equal(
            [("project_id", "format"), ("name", "required")],
            (await _api.Post("hubs", """{"project_id":"x"}""")).WrongArguments().OrderByDescending(wrong => wrong.Argument));

    [Fact]
    public async Task Requests_of_all_clients_are_understood()
    {
        // curl's default content type; Python's body on GET and DELETE; JavaScript's charset; nothing at all.
        var body = $$"""{"name":"a","project_id":"{{_api.Organization}}","unknown_member":{"x":[]} }""";
        var hub = (await _api.Send(HttpMethod.Post, "hubs", body, contentType: "application/x-www-form-urlencoded")).Ok;
        Assert.Equal(200, (await _api.Send(HttpMethod.Get, $"hubs/{hub["id"]}", "{}")).Status);
        _api.Settle();
        var marked = await _api.Send(HttpMethod.Patch, $"hubs/{hub["id"]}", "\uFEFF{}", contentType: "application/json; charset=utf-8");
        Assert.Equal(200, marked.Status);
        Assert.Equal(200, (await _api.Send(HttpMethod.Post, $"hubs/{hub["id"]}/disable")).Status);
        Assert.Equal(204, (await _api.Send(HttpMethod.Delete, $"hubs/{hub["id"]}?delete_devices=True", "{}")).Status);
    }

    [Fact]
    public async Task Pages_are_full_in_order_and_empty_past_the_end()
    {
        var hub = await _api.NewHub();
        for (var i = 0; i < 25; i++)
        {
            await _api.Registry.CreateDevice(Storage.Samples.Device(Guid.Parse((string)hub["id"]!), $"d{i:D2}"));
        }
        async Task<IEnumerable<string>> Names(string query)
        {
            var list = (await _api.Get($"devices?hub_id={hub["id"]}{query}")).Ok;
            Assert.Equal(25, (int)list["total_count"]!);
            return list["devices"]!.AsArray().Select(device => (string)device!["name"]!);
        }
        var all = Enumerable.Range(0, 25).Select(i => $"d{i:D2}").ToList();
        Assert.Equal(all.Take(20), await Names(""));
        Assert.Equal(all.Skip(20), await Names("&page=2"));
        Assert.Empty(await Names("&page=3"));
        Assert.Empty(await Names("&page=2147483647&page_size=100"));
        Assert.Equal(all.Skip(14).Take(7), await Names("&page=3&page_size=7&order_by=name_asc"));
        Assert.Equal(Enumerable.Reverse(all), await Names("&page_size=100&order_by=name_desc"));
    }

    [Theory]
    [InlineData("page=0", "page")]
    [InlineData("page=-1", "page")]
    [InlineData("page=x", "page")]
    [InlineData("page_size=0", "page_size")]
    [InlineData("page_size=101", "page_size")]
    [InlineData("order_by=size_asc", "order_by")]
    [InlineData("project_id=x", "project_id")]
    public async Task A_query_that_makes_no_sense_is_an_invalid_argument(string query, string argument) =>
        Assert.Equal(argument, Assert.Single((await _api.Get("hubs?" + query)).WrongArguments()).Argument);

    [Fact]
    public async Task Every_change_is_told_to_the_broker_with_its_key()
    {
        await using var broker = await TestHttpServer.Start();
        broker.Answers(202);
        await using var api = await TestApi.InMemory(broker.Url);
        var hub = await api.NewHub();
        var device = await api.NewDevice(hub);
        await api.Post($"devices/{device["id"]}/disable");
        await api.Delete($"devices/{device["id"]}");
        var nudges = broker.Received.Select(request => JsonNode.Parse(request.Text)!).ToList();
        Assert.Equal(
            [("hub", $"{hub["id"]}"), ("device", $"{device["id"]}"), ("device", $"{device["id"]}"), ("device", $"{device["id"]}")],
            nudges.Select(nudge => ((string)nudge["kind"]!, (string)nudge["id"]!)));
        Assert.All(nudges, nudge => Assert.Equal((string)hub["id"]!, (string)nudge["hub_id"]!));
        Assert.All(broker.Received, request => Assert.Equal(("POST", "/internal/changes"), (request.Method, request.Target)));
        Assert.All(broker.Received, request => Assert.Equal("broker key", request.Header("X-Broker-Key")));
    }

    [Fact]
    public async Task A_registry_that_does_not_answer_is_a_503()
    {
        var account = StorageAccount.At(
            "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=AAAA;TableEndpoint=http://127.0.0.1:1/a;"
            + "QueueEndpoint=http://127.0.0.1:1/a;BlobEndpoint=http://127.0.0.1:1/a");
        await using var api = await TestApi.Over(time => Storage.Stores.InTables(account, time), withKey: false);
        (await api.Get("hubs", Guid.NewGuid().ToString())).Problem(503, "unavailable");
    }

    [Fact]
    public async Task What_devices_trust_the_broker_by_can_be_downloaded_without_a_key()
    {
        var none = await _api.Get("/iot/server-ca.pem", "");
        Assert.Equal("server_ca", (string)none.Problem(404, "not_found")["resource"]!);
        using var authority = TestPki.Authority("CN=server");
        await using var api = await TestApi.InMemory(serverCaPem: authority.ExportCertificatePem());
        var answer = await api.Get("/iot/server-ca.pem", "");
        Assert.Equal((200, "application/x-x509-ca-cert"), (answer.Status, answer.Headers["Content-Type"]));
        Assert.Equal(authority.ExportCertificatePem(), answer.Text);
    }

    internal static void AssertJson(string expected, JsonNode actual) =>
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(expected), actual), $"expected {expected}\nactual   {actual.ToJsonString()}");
}
