using System.Text;
using System.Text.Json.Nodes;
using IotHub.Contract.Storage;
using IotHub.Core.Security;
using Xunit;
using static IotHub.Contract.Api.ApiConventions;

namespace IotHub.Contract.Api;

/// <summary>Networks and routes over the API, on every driver of the registry.</summary>
public abstract class NetworkAndRouteApiContract : IAsyncLifetime
{
    private TestApi _api = null!;

    protected abstract Task<TestApi> NewApi();

    public async Task InitializeAsync() => _api = await NewApi();

    public async Task DisposeAsync() => await _api.DisposeAsync();

    [Fact]
    public async Task A_created_network_has_the_recorded_shape_and_its_secret_is_given_once()
    {
        var hub = await _api.NewHub();
        var answer = (await _api.Post("networks", $$"""{"name":"default","type":"rest","hub_id":"{{hub["id"]}}","topic_prefix":""}""")).Ok;
        Assert.Equal(["network", "secret"], TestApi.Members(answer));
        var network = answer["network"]!;
        AssertJson(
            $$"""
            {"created_at":"{{network["created_at"]}}","endpoint":"rest.example.com","hub_id":"{{hub["id"]}}","id":"{{network["id"]}}",
             "name":"default","region":"fr-par","topic_prefix":"","type":"rest"}
            """,
            network);
        AssertJson(network.ToJsonString(), (await _api.Get($"networks/{network["id"]}")).Ok);
        var secret = (string)answer["secret"]!;
        Assert.Equal(128, secret.Length);
        var token = JsonNode.Parse(Encoding.UTF8.GetString(Convert.FromBase64String(secret)))!;
        Assert.Equal(["NetID", "NetKey"], TestApi.Members(token));
        Assert.Equal((string)network["id"]!, (string)token["NetID"]!);
        var stored = (await _api.Registry.GetNetwork(Guid.Parse((string)network["id"]!)))!;
        Assert.Equal(Secrets.Hash((string)token["NetKey"]!), stored.KeyHash);
        Assert.DoesNotContain((string)token["NetKey"]!, stored.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Networks_are_listed_by_hub_name_and_prefix_in_every_order()
    {
        var hub = await _api.NewHub();
        foreach (var (name, type, prefix) in new[] { ("b", "sigfox", "foo"), ("c", "rest", ""), ("a", "rest", "foo") })
        {
            await _api.Post("networks", $$"""{"name":"{{name}}","type":"{{type}}","hub_id":"{{hub["id"]}}","topic_prefix":"{{prefix}}"}""");
            _api.Settle();
        }
        async Task<string> Names(string query) => string.Join(
            ' ', (await _api.Get("networks?" + query)).Ok["networks"]!.AsArray().Select(network => (string)network!["name"]!));
        Assert.Equal("a b c", await Names($"hub_id={hub["id"]}&order_by=name_asc"));
        Assert.Equal("c b a", await Names("order_by=name_desc"));
        Assert.Equal("a b", await Names("topic_prefix=foo"));
        Assert.Equal("c", await Names("name=c"));
        Assert.Equal("b c a", await Names("order_by=created_at_asc"));
        Assert.Equal("a c b", await Names("order_by=created_at_desc"));
        Assert.Equal("b", (await Names("order_by=type_desc"))[..1]);
        Assert.Equal("b", (await Names("order_by=type_asc"))[^1..]);
        Assert.Equal("sigfox.example.com", (string)(await _api.Get("networks?name=b")).Ok["networks"]![0]!["endpoint"]!);
    }

    [Fact]
    public async Task A_network_needs_a_type_a_hub_and_a_prefix_without_wildcards()
    {
        var hub = await _api.NewHub();
        Assert.Equal(
            [("hub_id", "required"), ("name", "required"), ("topic_prefix", "format"), ("type", "required")],
            (await _api.Post("networks", """{"type":"unknown","topic_prefix":"a/+"}""")).WrongArguments().Order());
        (await _api.Post("networks", $$"""{"name":"n","type":"rest","hub_id":"{{Guid.NewGuid()}}"}""")).Problem(404, "not_found");
        var lora = await _api.Post("networks", $$"""{"name":"n","type":"lora","hub_id":"{{hub["id"]}}"}""");
        Assert.Equal([("type", "format")], lora.WrongArguments());
    }

    [Fact]
    public async Task A_deleted_network_is_gone_and_the_101st_exceeds_the_quota()
    {
        var hub = await _api.NewHub();
        var id = Guid.Parse((string)hub["id"]!);
        for (var i = 0; i < 99; i++)
        {
            await _api.Registry.CreateNetwork(Samples.Network(id));
        }
        var body = $$"""{"name":"n","type":"rest","hub_id":"{{id}}"}""";
        var network = (await _api.Post("networks", body)).Ok["network"]!;
        (await _api.Post("networks", body)).Problem(403, "quotas_exceeded");
        Assert.Equal(204, (await _api.Delete($"networks/{network["id"]}")).Status);
        (await _api.Get($"networks/{network["id"]}")).Problem(404, "not_found");
        Assert.Equal(200, (await _api.Post("networks", body)).Status);
    }

    [Fact]
    public async Task An_s3_route_has_the_recorded_shape()
    {
        var hub = await _api.NewHub();
        var route = await NewRoute(hub, """
            "s3_config":{"bucket_region":"fr-par","bucket_name":"my-bucket","object_prefix":"foo","strategy":"per_message"}
            """);
        AssertJson(
            $$"""
            {"created_at":"{{route["created_at"]}}","hub_id":"{{hub["id"]}}","id":"{{route["id"]}}","name":"default","region":"fr-par",
             "s3_config":{"bucket_name":"my-bucket","bucket_region":"fr-par","object_prefix":"foo","strategy":"per_message"},
             "topic":"#","type":"s3","updated_at":"{{route["created_at"]}}"}
            """,
            route);
        AssertJson(route.ToJsonString(), (await _api.Get($"routes/{route["id"]}")).Ok);
    }

    [Fact]
    public async Task A_database_route_echoes_its_password_once()
    {
        var hub = await _api.NewHub();
        var route = await NewRoute(hub, """
            "db_config":{"host":"51.159.113.11","port":27931,"dbname":"rdb","username":"root","password":"s3cret","query":"SELECT NOW()",
                         "engine":"unknown"}
            """);
        AssertJson(
            """
            {"dbname":"rdb","engine":"postgresql","host":"51.159.113.11","password":"s3cret","port":27931,"query":"SELECT NOW()",
             "username":"root"}
            """,
            route["db_config"]!);
        Assert.Equal("database", (string)route["type"]!);
        Assert.Equal("", (string)(await _api.Get($"routes/{route["id"]}")).Ok["db_config"]!["password"]!);
        var sealedBefore = await SealedPassword(route);
        Assert.DoesNotContain("s3cret", sealedBefore, StringComparison.Ordinal);
        Assert.Equal("s3cret", new Sealer(new byte[32]).Open(sealedBefore, SealPurposes.RoutePassword(Guid.Parse((string)route["id"]!))));

        var patched = (await _api.Patch($"routes/{route["id"]}", """
            {"db_config":{"engine":"unknown","port":null,"password":null,"query":"SELECT 1"}}
            """)).Ok;
        AssertJson(
            """
            {"dbname":"rdb","engine":"postgresql","host":"51.159.113.11","password":"","port":27931,"query":"SELECT 1","username":"root"}
            """,
            patched["db_config"]!);
        Assert.Equal(sealedBefore, await SealedPassword(route));
        var renewed = (await _api.Patch($"routes/{route["id"]}", """{"db_config":{"password":"new"}}""")).Ok;
        Assert.Equal("new", (string)renewed["db_config"]!["password"]!);
        Assert.NotEqual(sealedBefore, await SealedPassword(route));
    }

    [Fact]
    public async Task A_rest_route_keeps_what_an_update_leaves_out()
    {
        var hub = await _api.NewHub();
        var route = await NewRoute(hub, """
            "rest_config":{"verb":"get","uri":"http://scaleway.com","headers":{"X-terraform-test":"inprogress"}}
            """);
        AssertJson("""{"headers":{"X-terraform-test":"inprogress"},"uri":"http://scaleway.com","verb":"get"}""", route["rest_config"]!);
        var patched = (await _api.Patch($"routes/{route["id"]}", """
            {"name":"n","rest_config":{"verb":"unknown","uri":"http://other","headers":null}}
            """)).Ok;
        AssertJson("""{"headers":{"X-terraform-test":"inprogress"},"uri":"http://other","verb":"get"}""", patched["rest_config"]!);
        Assert.Equal("n", (string)patched["name"]!);
        Assert.NotEqual((string)route["updated_at"]!, (string)patched["updated_at"]!);
        AssertJson(patched.ToJsonString(), (await _api.Get($"routes/{route["id"]}")).Ok);
        var other = await _api.Patch($"routes/{route["id"]}", """{"s3_config":{"bucket_name":"abc"}}""");
        Assert.Equal([("s3_config", "constraint")], other.WrongArguments());
    }

    [Theory]
    [InlineData("", "config")]
    [InlineData(""","s3_config":{"bucket_name":"abc"},"rest_config":{"verb":"get","uri":"http://a"}""", "config")]
    [InlineData(""","s3_config":{}""", "s3_config.bucket_name")]
    [InlineData(""","s3_config":{"bucket_name":"No Bucket"}""", "s3_config.bucket_name")]
    [InlineData(""","rest_config":{"verb":"unknown","uri":"http://a"}""", "rest_config.verb")]
    [InlineData(""","rest_config":{"verb":"get","uri":"file:///etc/passwd"}""", "rest_config.uri")]
    [InlineData(""","rest_config":{"verb":"get","uri":"http://a","headers":{"X-A":"b\r\nX-C: d"}}""", "rest_config.headers")]
    [InlineData(""","rest_config":{"verb":"get","uri":"http://a","headers":{"X A":"b"}}""", "rest_config.headers")]
    [InlineData(""","db_config":{"host":"h","port":70000,"dbname":"d","username":"u","query":"q"}""", "db_config.port")]
    [InlineData(""","db_config":{"host":"h","dbname":"d","username":"u","query":"q"}""", "db_config.port")]
    public async Task A_wrong_route_is_refused_by_the_name_of_the_argument(string config, string argument)
    {
        var hub = await _api.NewHub();
        var answer = await _api.Post("routes", $$"""{"name":"r","hub_id":"{{hub["id"]}}","topic":"a"{{config}} }""");
        Assert.Equal(argument, Assert.Single(answer.WrongArguments()).Argument);
    }

    [Fact]
    public async Task A_topic_must_be_a_topic_filter()
    {
        var hub = await _api.NewHub();
        (string, string)[] cases = [("", "required"), ("a/#/b", "format"), ("a+", "format"), (new string('t', 65_536), "format")];
        foreach (var (topic, reason) in cases)
        {
            var body = $$"""{"name":"r","hub_id":"{{hub["id"]}}","topic":"{{topic}}","rest_config":{"verb":"get","uri":"http://a"} }""";
            Assert.Equal(("topic", reason), Assert.Single((await _api.Post("routes", body)).WrongArguments()));
        }
    }

    [Fact]
    public async Task Lists_show_summaries_in_every_order()
    {
        var hub = await _api.NewHub();
        var rest = """ "rest_config":{"verb":"get","uri":"http://a"} """;
        var first = await NewRoute(hub, rest, "b");
        _api.Settle();
        await NewRoute(hub, """ "s3_config":{"bucket_name":"abc"} """, "a");
        _api.Settle();
        await NewRoute(hub, rest, "a");
        var list = (await _api.Get($"routes?hub_id={hub["id"]}&order_by=name_desc")).Ok;
        Assert.Equal(3, (int)list["total_count"]!);
        AssertJson(
            $$"""
            {"created_at":"{{first["created_at"]}}","hub_id":"{{hub["id"]}}","id":"{{first["id"]}}","name":"b","region":"fr-par",
             "topic":"#","type":"rest","updated_at":"{{first["created_at"]}}"}
            """,
            list["routes"]![0]!);
        async Task<string> Types(string query) => string.Join(
            ' ', (await _api.Get("routes?" + query)).Ok["routes"]!.AsArray().Select(route => (string)route!["type"]!));
        Assert.Equal("rest s3 rest", await Types("order_by=created_at_asc"));
        Assert.Equal("rest rest s3", await Types("order_by=type_asc"));
        Assert.Equal("s3 rest rest", await Types("order_by=type_desc"));
        Assert.Equal("rest", await Types("name=b&order_by=hub_id_desc"));
    }

    [Fact]
    public async Task A_deleted_route_is_gone_and_the_101st_exceeds_the_quota()
    {
        var hub = await _api.NewHub();
        var id = Guid.Parse((string)hub["id"]!);
        for (var i = 0; i < 99; i++)
        {
            await _api.Registry.CreateRoute(Samples.Route(id));
        }
        var route = await NewRoute(hub, """ "rest_config":{"verb":"get","uri":"http://a"} """);
        var refusal = await _api.Post("routes", $$"""{"name":"r","hub_id":"{{id}}","topic":"a","s3_config":{"bucket_name":"abc"} }""");
        refusal.Problem(403, "quotas_exceeded");
        Assert.Equal(204, (await _api.Delete($"routes/{route["id"]}")).Status);
        (await _api.Get($"routes/{route["id"]}")).Problem(404, "not_found");
        (await _api.Delete($"routes/{route["id"]}")).Problem(404, "not_found");
    }

    private async Task<string> SealedPassword(JsonNode route) =>
        (await _api.Registry.GetRoute(Guid.Parse((string)route["id"]!)))!.Value.Database!.SealedPassword;

    private async Task<JsonNode> NewRoute(JsonNode hub, string config, string name = "default") =>
        (await _api.Post("routes", $$"""{"name":"{{name}}","hub_id":"{{hub["id"]}}","topic":"#",{{config}} }""")).Ok;
}
