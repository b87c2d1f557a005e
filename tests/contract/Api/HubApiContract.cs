using System.Text.Json.Nodes;
using IotHub.Core.Domain;
using Xunit;
using static IotHub.Contract.Api.ApiConventions;

namespace IotHub.Contract.Api;

/// <summary>Hubs over the API, on every driver of the registry.</summary>
public abstract class HubApiContract : IAsyncLifetime
{
    protected TestApi Api { get; private set; } = null!;

    protected abstract Task<TestApi> NewApi();

    public async Task InitializeAsync() => Api = await NewApi();

    public async Task DisposeAsync() => await Api.DisposeAsync();

    [Fact]
    public async Task A_created_hub_has_the_recorded_shape_and_turns_ready_by_itself()
    {
        var hub = (await Api.Post("hubs", $$"""
            {"name":"minimal","project_id":"{{Api.Organization}}","product_plan":"plan_shared","events_topic_prefix":"$SCW/events"}
            """)).Ok;
        var (id, created) = ((string)hub["id"]!, (string)hub["created_at"]!);
        AssertJson(
            $$"""
            {"connected_device_count":0,"created_at":"{{created}}","device_count":0,"disable_events":false,
             "enable_device_auto_provisioning":false,"enabled":true,"endpoint":"iot.example.com","events_topic_prefix":"$SCW/events",
             "has_custom_ca":false,"id":"{{id}}","name":"minimal","organization_id":"{{Api.Organization}}","product_plan":"plan_shared",
             "project_id":"{{Api.Organization}}","region":"fr-par","status":"enabling","updated_at":"{{created}}"}
            """,
            hub);
        Assert.Matches("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z$", created);
        Assert.Matches("^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$", id);
        Api.Settle();
        var ready = (await Api.Get($"hubs/{id}")).Ok;
        Assert.Equal(("ready", created), ((string)ready["status"]!, (string)ready["updated_at"]!));
    }

    [Fact]
    public async Task Null_absent_and_sentinel_all_mean_the_default()
    {
        var hub = (await Api.Post("hubs", $$"""
            {"name":"cli-hub","project_id":"{{Api.Organization}}","product_plan":"plan_unknown","disable_events":null,
             "events_topic_prefix":null,"twins_graphite_config":null}
            """)).Ok;
        Assert.Equal("plan_shared", (string)hub["product_plan"]!);
        Assert.Equal("$SCW/events", (string)hub["events_topic_prefix"]!);
        Api.Settle();
        var changed = (await Api.Patch($"hubs/{hub["id"]}", """{"name":null,"product_plan":"plan_unknown","disable_events":null}""")).Ok;
        Assert.NotEqual((string)hub["updated_at"]!, (string)changed["updated_at"]!);
        changed["updated_at"] = (string)hub["updated_at"]!;
        changed["status"] = "enabling";
        AssertJson(hub.ToJsonString(), changed);
    }

    [Fact]
    public async Task An_update_changes_what_it_names_and_no_more()
    {
        var hub = await Api.NewHub("old");
        var changed = (await Api.Patch($"hubs/{hub["id"]}", """
            {"name":"new","disable_events":true,"events_topic_prefix":"my/events",
             "twins_graphite_config":{"push_uri":"https://u:p@host/metrics"}}
            """)).Ok;
        Assert.Equal("new true my/events", $"{changed["name"]} {changed["disable_events"]} {changed["events_topic_prefix"]}");
        AssertJson("""{"push_uri":"https://u:p@host/metrics"}""", changed["twins_graphite_config"]!);
        var stored = (await Api.Get($"hubs/{hub["id"]}")).Ok;
        AssertJson(changed.ToJsonString(), stored);
        Assert.DoesNotContain("u:p", (await Api.Registry.GetHub(Id(hub)))!.Value.ToString(), StringComparison.Ordinal);
        var unset = (await Api.Patch($"hubs/{hub["id"]}", """{"twins_graphite_config":{"push_uri":""}}""")).Ok;
        Assert.DoesNotContain("twins_graphite_config", TestApi.Members(unset));
    }

    [Theory]
    [InlineData("""{"name":"NAME256"}""", "name")]
    [InlineData("""{"name":""}""", "name")]
    [InlineData("""{"name":"a\u0000b"}""", "name")]
    [InlineData("""{"events_topic_prefix":"a/#"}""", "events_topic_prefix")]
    [InlineData("""{"twins_graphite_config":{"push_uri":"ftp://host"} }""", "twins_graphite_config.push_uri")]
    public async Task A_wrong_argument_is_named_and_changes_nothing(string patch, string argument)
    {
        var hub = await Api.NewHub();
        var answer = await Api.Patch($"hubs/{hub["id"]}", patch.Replace("NAME256", new string('n', 256), StringComparison.Ordinal));
        Assert.Equal(argument, Assert.Single(answer.WrongArguments()).Argument);
        Assert.Equal((string)hub["updated_at"]!, (string)(await Api.Get($"hubs/{hub["id"]}")).Ok["updated_at"]!);
    }

    [Fact]
    public async Task Disable_and_enable_pass_through_their_transient_states()
    {
        var hub = await Api.NewHub();
        var disabling = (await Api.Post($"hubs/{hub["id"]}/disable")).Ok;
        Assert.Equal((false, "disabling"), ((bool)disabling["enabled"]!, (string)disabling["status"]!));
        AssertJson(
            $$"""
            {"current_state":"disabling","message":"resource is in a transient state","resource":"hub","resource_id":"{{hub["id"]}}",
             "type":"transient_state"}
            """,
            (await Api.Patch($"hubs/{hub["id"]}", """{"name":"too early"}""")).Problem(409, "transient_state"));
        Api.Settle();
        var disabled = (await Api.Get($"hubs/{hub["id"]}")).Ok;
        Assert.Equal(("disabled", (string)disabling["updated_at"]!), ((string)disabled["status"]!, (string)disabled["updated_at"]!));
        AssertJson(disabled.ToJsonString(), (await Api.Post($"hubs/{hub["id"]}/disable")).Ok);
        var enabling = (await Api.Post($"hubs/{hub["id"]}/enable")).Ok;
        Assert.Equal((true, "enabling"), ((bool)enabling["enabled"]!, (string)enabling["status"]!));
        Api.Settle();
        Assert.Equal("ready", (string)(await Api.Get($"hubs/{hub["id"]}")).Ok["status"]!);
    }

    [Fact]
    public async Task The_plan_changes_only_while_the_hub_is_disabled()
    {
        var hub = await Api.NewHub();
        var refusal = (await Api.Patch($"hubs/{hub["id"]}", """{"product_plan":"plan_ha"}""")).Problem(412, "precondition_failed");
        Assert.Equal(["help_message", "message", "precondition", "type"], TestApi.Members(refusal));
        await Api.Post($"hubs/{hub["id"]}/disable");
        Api.Settle();
        Assert.Equal("plan_ha", (string)(await Api.Patch($"hubs/{hub["id"]}", """{"product_plan":"plan_ha"}""")).Ok["product_plan"]!);
    }

    [Fact]
    public async Task Auto_provisioning_needs_an_authority_of_ones_own()
    {
        var hub = await Api.NewHub();
        (await Api.Patch($"hubs/{hub["id"]}", """{"enable_device_auto_provisioning":true}""")).Problem(412, "precondition_failed");
    }

    [Fact]
    public async Task A_hub_with_devices_is_deleted_only_when_asked_so_and_is_gone_at_once()
    {
        var hub = await Api.NewHub();
        var device = await Api.NewDevice(hub);
        await Api.Post("networks", $$"""{"name":"n","type":"rest","hub_id":"{{hub["id"]}}"}""");
        Assert.Equal(1, (int)(await Api.Get($"hubs/{hub["id"]}")).Ok["device_count"]!);
        foreach (var query in new[] { "", "?delete_devices=false" })
        {
            var refusal = (await Api.Delete($"hubs/{hub["id"]}{query}")).Problem(412, "precondition_failed");
            Assert.Equal("resource_still_in_use", (string)refusal["precondition"]!);
        }
        Assert.Equal(204, (await Api.Delete($"hubs/{hub["id"]}?delete_devices=true")).Status);
        (await Api.Get($"hubs/{hub["id"]}")).Problem(404, "not_found");
        (await Api.Get($"devices/{device["id"]}")).Problem(404, "not_found");
        (await Api.Delete($"hubs/{hub["id"]}")).Problem(404, "not_found");
        Assert.Equal(0, (int)(await Api.Get("hubs")).Ok["total_count"]!);
    }

    [Fact]
    public async Task A_deletion_that_was_interrupted_is_visible_refuses_newcomers_and_can_be_repeated()
    {
        var hub = await Api.NewHub();
        await Api.NewDevice(hub);
        var stored = (await Api.Registry.GetHub(Id(hub)))!;
        await Api.Registry.ReplaceHub(stored with { Value = stored.Value with { Deleting = true } });
        Assert.Equal("disabling", (string)(await Api.Get($"hubs/{hub["id"]}")).Ok["status"]!);
        foreach (var (path, body) in new[]
        {
            ("devices", ""),
            ("networks", ""","type":"rest" """),
            ("routes", ""","topic":"a","rest_config":{"verb":"get","uri":"http://a"}"""),
        })
        {
            (await Api.Post(path, $$"""{"name":"late","hub_id":"{{hub["id"]}}"{{body}} }""")).Problem(409, "transient_state");
        }
        (await Api.Post($"hubs/{hub["id"]}/enable")).Problem(409, "transient_state");
        Assert.Equal(204, (await Api.Delete($"hubs/{hub["id"]}")).Status);
        (await Api.Get($"hubs/{hub["id"]}")).Problem(404, "not_found");
    }

    [Fact]
    public async Task Lists_filter_by_name_project_and_organization()
    {
        var project = Guid.NewGuid();
        await Api.NewHub("alpha");
        await Api.NewHub("beta", project: project);
        async Task<string> Names(string query) => string.Join(
            ' ', (await Api.Get("hubs?" + query)).Ok["hubs"]!.AsArray().Select(hub => (string)hub!["name"]!));
        Assert.Equal("alpha beta", await Names(""));
        Assert.Equal("alpha beta", await Names($"organization_id={Api.Organization}&name=&order_by=name_asc"));
        Assert.Equal("beta", await Names($"project_id={project}"));
        Assert.Equal("alpha", await Names("name=lph"));
        Assert.Equal("", await Names($"organization_id={Guid.NewGuid()}"));
        Assert.Equal("", await Names($"project_id={Guid.NewGuid()}"));
    }

    [Fact]
    public async Task Lists_sort_by_every_order()
    {
        var made = new List<JsonNode> { await Api.NewHub("b", "plan_ha"), await Api.NewHub("c"), await Api.NewHub("a", "plan_dedicated") };
        await Api.Post($"hubs/{made[0]["id"]}/disable");
        Api.Settle();
        await Api.Patch($"hubs/{made[1]["id"]}", "{}");
        foreach (var (key, ascending) in new[]
        {
            ("name", "a b c"), ("status", "b ? ?"), ("product_plan", "c a b"), ("created_at", "b c a"), ("updated_at", "a b c"),
        })
        {
            foreach (var (direction, expected) in new[] { ("asc", ascending), ("desc", string.Join(' ', ascending.Split(' ').Reverse())) })
            {
                var hubs = (await Api.Get($"hubs?order_by={key}_{direction}")).Ok["hubs"]!.AsArray();
                var names = string.Join(' ', hubs.Select(hub =>
                    key == "status" && (string)hub!["status"]! == "ready" ? "?" : (string)hub!["name"]!));
                Assert.Equal((key, direction, expected), (key, direction, names));
            }
        }
    }

    [Fact]
    public async Task A_key_of_one_project_makes_and_sees_hubs_of_that_project_only()
    {
        var project = Guid.NewGuid();
        var secret = await Api.NewKey(ApiRole.Administrator, project);
        await Api.NewHub("other");
        (await Api.Post("hubs", $$"""{"name":"x","project_id":"{{Api.Organization}}"}""", secret)).Problem(403, "permissions_denied");
        var own = (await Api.Post("hubs", """{"name":"own"}""", secret)).Ok;
        Assert.Equal((project.ToString(), Api.Organization.ToString()), ((string)own["project_id"]!, (string)own["organization_id"]!));
        Assert.Equal(1, (int)(await Api.Get("hubs", secret)).Ok["total_count"]!);
        Assert.Equal(0, (int)(await Api.Get($"hubs?project_id={Api.Organization}", secret)).Ok["total_count"]!);
        Assert.Equal(2, (int)(await Api.Get("hubs")).Ok["total_count"]!);
    }

    [Fact]
    public async Task The_sixth_shared_hub_of_an_organization_exceeds_its_quota()
    {
        for (var i = 0; i < 5; i++)
        {
            await Api.NewHub($"hub {i}");
        }
        var refusal = await Api.Post("hubs", $$"""{"name":"sixth","project_id":"{{Guid.NewGuid()}}"}""");
        AssertJson(
            $$"""
            {"details":[{"resource":"hub_plan_shared","quota":5,"current":5,"scope":"organization",
                         "organization_id":"{{Api.Organization}}"}],
             "message":"quota(s) exceeded","type":"quotas_exceeded"}
            """,
            refusal.Problem(403, "quotas_exceeded"));
        await Api.NewHub("of another plan", "plan_dedicated");
    }

    [Fact]
    public async Task Changes_made_at_the_same_time_all_take_effect()
    {
        var hub = await Api.NewHub();
        var answers = await Task.WhenAll(
            Api.Patch($"hubs/{hub["id"]}", """{"name":"renamed"}"""),
            Api.Patch($"hubs/{hub["id"]}", """{"disable_events":true}"""),
            Api.Patch($"hubs/{hub["id"]}", """{"events_topic_prefix":"e"}"""));
        Assert.All(answers, answer => Assert.Equal(200, answer.Status));
        var stored = (await Api.Get($"hubs/{hub["id"]}")).Ok;
        Assert.Equal("renamed true e", $"{stored["name"]} {stored["disable_events"]} {stored["events_topic_prefix"]}");
    }

    private static Guid Id(JsonNode json) => Guid.Parse((string)json["id"]!);
}
