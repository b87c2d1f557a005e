using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using IotHub.EndToEnd.Clients;
using IotHub.EndToEnd.Support;
using IotHub.Harness;
using Xunit;

namespace IotHub.EndToEnd;

/// <summary>One twin, written by an application over REST and by its device over MQTT; its values reach a Graphite target.</summary>
[Collection(HubCollection.Name)]
public sealed class TwinsOfDevices(HubFixture fixture)
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(90);

    [Theory]
    [InlineData(ClientKind.MqttNet)]
    [InlineData(ClientKind.MqttJs)]
    public async Task Application_and_device_share_documents(ClientKind kind)
    {
        await using var hub = await fixture.Api.NewHub("plan_shared");
        await using var clients = new MqttClients();
        var device = await hub.NewDevice();
        var client = await clients.Connected(kind, hub.Login(device));
        await client.Subscribe("$SCW/twins/me/#");
        await fixture.Api.Put($"twins/{device.Id}/documents/desired", new JsonObject { ["data"] = new JsonObject { ["lamp"] = "on" } });
        await client.Publish("$SCW/twins/me/desired/get", "");
        var answer = await client.Next();
        Assert.Equal("$SCW/twins/me/desired/get/response/success", answer.Topic);
        AssertJson("""{"version":1,"data":{"lamp":"on"}}""", answer.Text);
        await client.Publish("$SCW/twins/me/current/put", """{"data":{"lamp":"on","since":12.5}}""", 1);
        AssertJson("""{"version":1,"data":{"lamp":"on","since":12.5}}""", (await client.Next()).Text);
        AssertJson(
            $$"""{"twin_id":"{{device.Id}}","document_name":"current","version":1,"data":{"lamp":"on","since":12.5} }""",
            (await fixture.Api.Get($"twins/{device.Id}/documents/current")).GetRawText());
        await hub.DeleteDevice(device);
        await Assert.ThrowsAsync<InvalidOperationException>(() => fixture.Api.Get($"twins/{device.Id}"));
    }

    [Fact]
    public async Task Numbers_of_a_twin_are_pushed_to_the_hubs_graphite_target()
    {
        await using var target = await TestHttpServer.Start();
        await using var hub = await fixture.Api.NewHub();
        await using var clients = new MqttClients();
        var uri = new UriBuilder(target.Url) { UserName = "user", Password = "to%20ken", Path = "/metrics" }.Uri;
        await fixture.Api.Patch($"hubs/{hub.Id}", new JsonObject { ["twins_graphite_config"] = new JsonObject { ["push_uri"] = uri.AbsoluteUri } });
        var device = await hub.NewDevice();
        await fixture.Api.Put($"twins/{device.Id}/documents/_config", JsonNode.Parse("""
            {"data":{"documents":{"current":{"state":{"_tsdb_trigger":"on-update"},"_tags":{"source":"test"}}}}}
            """)!.AsObject());
        var client = await clients.Connected(ClientKind.MqttNet, hub.Login(device));
        target.Answers(503);
        var sentAt = DateTimeOffset.UtcNow;
        await client.Publish("$SCW/twins/me/current/put", """{"data":{"state":{"t":20.5,"on":true,"name":"x"},"other":1}}""", 1);
        await Eventually.True(() => target.Received.Count > 0, Deadline, () => fixture.Local.Logs);
        target.Answers(200);
        await Eventually.True(() => target.Accepted.Count > 0, Deadline, () => fixture.Local.Logs);
        var call = target.Accepted[0];
        Assert.Equal(("POST", "/metrics", "application/json"), (call.Method, call.Target, call.Header("Content-Type")));
        Assert.Equal($"Basic {Convert.ToBase64String(Encoding.UTF8.GetBytes("user:to ken"))}", call.Header("Authorization"));
        var series = JsonDocument.Parse(call.Text).RootElement.EnumerateArray().ToList();
        Assert.Equal([("t", 20.5), ("on", 1)], series.Select(one => (one.GetProperty("name").GetString()!, one.GetProperty("value").GetDouble())));
        Assert.InRange(series[0].GetProperty("time").GetInt64(), sentAt.ToUnixTimeSeconds() - 2, DateTimeOffset.UtcNow.ToUnixTimeSeconds());
        Assert.Equal(
            ["source=test", "json_path=state.t", $"twin_id={device.Id}", "document=current"],
            series[0].GetProperty("tags").EnumerateArray().Select(tag => tag.GetString()!));
    }

    [Fact]
    public async Task What_happened_on_a_hub_can_be_read_back()
    {
        await using var hub = await fixture.Api.NewHub();
        await using var clients = new MqttClients();
        var strict = await hub.NewDevice(allowInsecure: false);
        var client = clients.New(ClientKind.MqttNet);
        Assert.NotEqual(0, (await client.Connect(hub.Login(strict))).Code);
        await Eventually.True(
            async () => (await Events()).Any(text => text == "mutual TLS authentication is required"), Deadline, () => fixture.Local.Logs);

        async Task<List<string>> Events() =>
            [.. (await fixture.Api.Get($"hubs/{hub.Id}/events")).GetProperty("events").EnumerateArray().Select(e => e.GetProperty("msg").GetString()!)];
    }

    private static void AssertJson(string expected, string actual) =>
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(expected), JsonNode.Parse(actual)), $"expected {expected}, got {actual}");
}
