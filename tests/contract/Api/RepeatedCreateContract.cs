using System.Text.Json.Nodes;
using IotHub.Core.Domain;
using IotHub.Functions.Events;
using Microsoft.Extensions.DependencyInjection;
using Xunit;
using static IotHub.Contract.Api.ApiConventions;

namespace IotHub.Contract.Api;

/// <summary>Creates under an Idempotency-Key, on every driver.</summary>
public abstract class RepeatedCreateContract : IAsyncLifetime
{
    private TestApi _api = null!;
    private JsonNode _hub = null!;

    protected abstract Task<TestApi> NewApi();

    public async Task InitializeAsync()
    {
        _api = await NewApi();
        _hub = await _api.NewHub(plan: "plan_dedicated");
    }

    public async Task DisposeAsync() => await _api.DisposeAsync();

    [Theory]
    [InlineData("hubs", """{"name":"again","project_id":"{project}"}""")]
    [InlineData("devices", """{"name":"again","hub_id":"{hub}"}""")]
    [InlineData("networks", """{"name":"again","hub_id":"{hub}","type":"rest"}""")]
    [InlineData("routes", """
        {"name":"again","hub_id":"{hub}","topic":"#","db_config":{"host":"h","port":1,"dbname":"d","username":"u","password":"p","query":"q"}}
        """)]
    public async Task A_repeat_gets_the_same_answer_with_its_secret_and_creates_nothing(string path, string body)
    {
        body = Filled(body);
        var first = await Create("key", path, body);
        Assert.Equal(200, first.Status);
        var second = await Create("key", path, body);
        AssertJson(first.Ok.ToJsonString(), second.Ok);
        Assert.Equal(1, await CountOf(path));
        var other = await Create("key", path, body.Replace("again", "other", StringComparison.Ordinal));
        Assert.Equal([("Idempotency-Key", "constraint")], other.WrongArguments());
        Assert.Equal(1, await CountOf(path));
    }

    [Fact]
    public async Task Calls_at_the_same_time_create_one()
    {
        foreach (var (path, body) in new[]
        {
            ("devices", """{"name":"d","hub_id":"{hub}"}"""), ("networks", """{"name":"n","hub_id":"{hub}","type":"sigfox"}"""),
        })
        {
            _api.IdempotencyKey = path;
            var answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => _api.Post(path, Filled(body))));
            _api.IdempotencyKey = null;
            Assert.Single(answers.Select(answer => answer.Ok.ToJsonString()).Distinct());
            Assert.Equal(1, (int)(await _api.Get($"{path}?hub_id={_hub["id"]}")).Ok["total_count"]!);
        }
        Assert.Equal(1, (int)(await _api.Get($"hubs/{_hub["id"]}")).Ok["device_count"]!);
    }

    [Fact]
    public async Task A_key_is_known_for_a_day_to_the_caller_who_chose_it()
    {
        var body = Filled("""{"name":"n","hub_id":"{hub}","type":"rest"}""");
        var first = (await Create("key", "networks", body)).Ok;
        _api.IdempotencyKey = "key";
        var other = (await _api.Post("networks", body, await _api.NewKey(ApiRole.Administrator))).Ok;
        Assert.NotEqual((string)first["secret"]!, (string)other["secret"]!);
        _api.Time.Shift += TimeSpan.FromHours(24) - TimeSpan.FromMinutes(1);
        Assert.Equal((string)first["secret"]!, (string)(await Create("key", "networks", body)).Ok["secret"]!);
        _api.Time.Shift += TimeSpan.FromMinutes(2);
        Assert.NotEqual((string)first["secret"]!, (string)(await Create("key", "networks", body)).Ok["secret"]!);
        Assert.Equal(3, await CountOf("networks"));
    }

    [Fact]
    public async Task Refusals_are_not_remembered_and_nonsense_is_named()
    {
        var refused = await Create("key", "devices", Filled("""{"name":"","hub_id":"{hub}"}"""));
        Assert.Equal([("name", "required")], refused.WrongArguments());
        Assert.Equal(200, (await Create("key", "devices", Filled("""{"name":"d","hub_id":"{hub}"}"""))).Status);
        foreach (var key in new[] { new string('k', 256), "" })
        {
            var nonsense = await Create(key, "devices", Filled("""{"name":"e","hub_id":"{hub}"}"""));
            Assert.Equal([("Idempotency-Key", "format")], nonsense.WrongArguments());
        }
        Assert.Equal(1, await CountOf("devices"));
    }

    [Fact]
    public async Task What_was_created_and_deleted_does_not_come_back()
    {
        var body = Filled("""{"name":"d","hub_id":"{hub}"}""");
        var device = (await Create("key", "devices", body)).Ok["device"]!;
        Assert.Equal(204, (await _api.Delete($"devices/{device["id"]}")).Status);
        Assert.Equal(200, (await Create("key", "devices", body)).Status);
        Assert.Equal(0, await CountOf("devices"));
    }

    [Fact]
    public async Task Old_keys_are_forgotten_by_a_timer()
    {
        var body = Filled("""{"name":"n","hub_id":"{hub}","type":"rest"}""");
        await Create("old", "networks", body);
        _api.Time.Shift += TimeSpan.FromHours(47);
        await Create("new", "networks", body);
        _api.Time.Shift += TimeSpan.FromHours(2);
        await _api.Services.GetRequiredService<TrimFunctions>().TrimCreations(default);
        var creations = _api.Services.GetRequiredService<IotHub.Core.Storage.ICreations>();
        var access = Assert.Single(await Storage.Sequences.ToList(_api.Keys.OfOrganization(_api.Organization))).AccessKey;
        Assert.Null(await creations.Find(IotHub.Core.Security.Secrets.Hash($"{access}\nold")));
        Assert.NotNull(await creations.Find(IotHub.Core.Security.Secrets.Hash($"{access}\nnew")));
    }

    private string Filled(string body) => body.Replace("{hub}", $"{_hub["id"]}", StringComparison.Ordinal)
        .Replace("{project}", $"{_api.Organization}", StringComparison.Ordinal);

    private async Task<ApiAnswer> Create(string key, string path, string body)
    {
        _api.IdempotencyKey = key;
        var answer = await _api.Post(path, body);
        _api.IdempotencyKey = null;
        return answer;
    }

    /// <summary>Beside the hub that is there from the beginning.</summary>
    private async Task<int> CountOf(string path) => (int)(await _api.Get($"{path}?name={(path == "hubs" ? "again" : "")}")).Ok["total_count"]!;
}
