using System.Text.Json.Nodes;
using IotHub.Core.Domain;
using Xunit;

namespace IotHub.Contract.Api;

/// <summary>API keys over the API, and what failing with one costs, on every driver.</summary>
public abstract class KeyApiContract : IAsyncLifetime
{
    private TestApi _api = null!;

    protected abstract Task<TestApi> NewApi();

    public async Task InitializeAsync() => _api = await NewApi();

    public async Task DisposeAsync() => await _api.DisposeAsync();

    [Fact]
    public async Task A_key_is_made_shown_once_used_listed_and_revoked()
    {
        var project = Guid.NewGuid();
        var created = (await _api.Post("api-keys", $$"""{"role":"operator","project_id":"{{project}}","description":"for x"}""")).Ok;
        Assert.Equal(["api_key", "secret_key"], TestApi.Members(created));
        var (key, secret) = (created["api_key"]!, (string)created["secret_key"]!);
        Assert.Matches("^SCW[A-Z0-9]{17}$", (string)key["access_key"]!);
        Assert.Equal(
            (_api.Organization.ToString(), project.ToString(), "operator", "for x"),
            ((string)key["organization_id"]!, (string)key["project_id"]!, (string)key["role"]!, (string)key["description"]!));

        Assert.Equal(200, (await _api.Get("hubs", secret)).Status);
        var list = await _api.Get("api-keys?order_by=access_key_desc");
        Assert.Equal(2, (int)list.Ok["total_count"]!);
        var listed = list.Json["api_keys"]!.AsArray().Select(found => (string)found!["access_key"]!).ToList();
        Assert.Equal(listed.OrderDescending(StringComparer.Ordinal), listed);
        Assert.Contains((string)key["access_key"]!, listed);
        Assert.DoesNotContain(secret, list.Text, StringComparison.Ordinal);
        Assert.Equal(1, (int)(await _api.Get($"api-keys?project_id={project}")).Ok["total_count"]!);

        Assert.Equal(204, (await _api.Delete($"api-keys/{key["access_key"]}")).Status);
        (await _api.Get("hubs", secret)).Problem(401, "denied_authentication");
        (await _api.Delete($"api-keys/{key["access_key"]}")).Problem(404, "not_found");
    }

    [Fact]
    public async Task A_key_that_is_bound_to_a_project_sees_and_makes_keys_of_that_project_only()
    {
        var project = Guid.NewGuid();
        var bound = await _api.NewKey(ApiRole.Administrator, project);
        (await _api.Post("api-keys", $$"""{"role":"reader","project_id":"{{Guid.NewGuid()}}"}""", bound)).Problem(403, "permissions_denied");
        var made = (await _api.Post("api-keys", """{"role":"reader"}""", bound)).Ok["api_key"]!;
        Assert.Equal(project.ToString(), (string)made["project_id"]!);
        Assert.Equal(2, (int)(await _api.Get("api-keys", bound)).Ok["total_count"]!);
        foreach (JsonNode? other in (await _api.Get("api-keys")).Ok["api_keys"]!.AsArray())
        {
            if (other!["project_id"] is null)
            {
                (await _api.Delete($"api-keys/{other["access_key"]}", bound)).Problem(404, "not_found");
            }
        }
        var stranger = await _api.NewKey(ApiRole.Administrator, organization: Guid.NewGuid());
        (await _api.Delete($"api-keys/{made["access_key"]}", stranger)).Problem(404, "not_found");
        Assert.Equal(1, (int)(await _api.Get("api-keys", stranger)).Ok["total_count"]!);
    }

    [Fact]
    public async Task Keys_are_a_matter_of_administrators()
    {
        foreach (var role in new[] { ApiRole.Reader, ApiRole.Operator })
        {
            var secret = await _api.NewKey(role);
            var denied = (await _api.Get("api-keys", secret)).Problem(403, "permissions_denied");
            Assert.Equal(("read", "api_key"), ((string)denied["details"]![0]!["action"]!, (string)denied["details"]![0]!["resource"]!));
            (await _api.Post("api-keys", """{"role":"administrator"}""", secret)).Problem(403, "permissions_denied");
            (await _api.Delete("api-keys/SCWAAAAAAAAAAAAAAAAA", secret)).Problem(403, "permissions_denied");
        }
    }

    [Fact]
    public async Task What_is_wrong_with_a_new_key_is_named()
    {
        Assert.Equal([("role", "required")], (await _api.Post("api-keys")).WrongArguments());
        Assert.Equal([("role", "format")], (await _api.Post("api-keys", """{"role":"owner"}""")).WrongArguments());
        var wrong = await _api.Post("api-keys", $$"""{"role":"reader","project_id":"x","description":"{{new string('d', 256)}}"}""");
        Assert.Equal([("project_id", "format"), ("description", "constraint")], wrong.WrongArguments());
        Assert.Equal([("order_by", "constraint")], (await _api.Get("api-keys?order_by=role_asc")).WrongArguments());
    }

    [Fact]
    public async Task Too_many_failures_from_one_address_are_told_to_wait()
    {
        _api.Address = "203.0.113.7";
        Assert.Equal(200, (await _api.Get("hubs")).Status);
        for (var i = 0; i < 20; i++)
        {
            (await _api.Get("hubs", i % 2 == 0 ? Guid.NewGuid().ToString() : "x")).Problem(401, "denied_authentication");
        }
        var refused = await _api.Get("hubs", Guid.NewGuid().ToString());
        var body = refused.Problem(429, "too_many_requests");
        Assert.InRange((int)body["reset_seconds"]!, 1, 60);
        Assert.Equal((20, 60), ((int)body["limit"]!["quota"]!, (int)body["limit"]!["window_seconds"]!));
        Assert.Equal((string?)body["reset_seconds"]!.ToString(), refused.Headers["Retry-After"]);

        // Also for a right key that was not seen before, but not for one that works here, nor for another address.
        var fresh = await _api.NewKey(ApiRole.Reader);
        (await _api.Get("hubs", fresh)).Problem(429, "too_many_requests");
        Assert.Equal(200, (await _api.Get("hubs")).Status);
        _api.Address = "203.0.113.7, 203.0.113.8:4711";
        Assert.Equal(200, (await _api.Get("hubs", fresh)).Status);
        _api.Address = "203.0.113.7";
        _api.Time.Shift += TimeSpan.FromSeconds(61);
        (await _api.Get("hubs", Guid.NewGuid().ToString())).Problem(401, "denied_authentication");
    }
}

public sealed class MemoryKeyApiTests : KeyApiContract
{
    protected override Task<TestApi> NewApi() => TestApi.InMemory();
}

public sealed class TableKeyApiTests : KeyApiContract
{
    protected override Task<TestApi> NewApi() => TestApi.InTables();
}
