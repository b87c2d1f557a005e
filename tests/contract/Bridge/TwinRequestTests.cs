using System.Net;
using System.Text.Json.Nodes;
using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Harness;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Contract.Bridge;

/// <summary>Twins in-band over MQTT: the running broker, raw clients, twins in Azurite.</summary>
public sealed class TwinRequestTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_device_puts_patches_and_gets_its_documents(bool isV5)
    {
        await using var running = await RunningBroker.Start();
        var device = await running.AddDevice(await running.AddHub());
        await using var client = await running.Connect(device, isV5);
        await client.Subscribe("$SCW/twins/me/#", 0);
        await Answers(client, "$SCW/twins/me/current/get", "", "error", """{"error":"document not found"}""");
        await Answers(client, "$SCW/twins/me/current/put", """{"data":{"t":20.50,"s":{"a":1}}}""",
            "success", """{"version":1,"data":{"t":20.50,"s":{"a":1}}}""");
        await Answers(client, "$SCW/twins/me/current/patch", """{"version":1,"data":{"s":{"a":null,"b":"x"}}}""",
            "success", """{"version":2,"data":{"t":20.50,"s":{"b":"x"}}}""");
        await Answers(client, "$SCW/twins/me/current/get", "", "success", """{"version":2,"data":{"t":20.50,"s":{"b":"x"}}}""");
        await Answers(client, "$SCW/twins/me/current/put", """{"version":1,"data":{}}""", "error", $$"""
            {"error":"document version mismatch","twin_id":"{{device.Id}}","document_name":"current","expected_version":1,"actual_version":2}
            """);
        await Answers(client, "$SCW/twins/me/other/patch", """{"data":{}}""", "error", """{"error":"document not found"}""");
        Assert.Equal(2u, (await running.Twins.Get(device.Id, "current"))!.Value.Version);

        // By its own id, the answer comes under its own id.
        await client.Subscribe($"$SCW/twins/{device.Id}/current/get/response/+", 0);
        await Answers(client, $"$SCW/twins/{device.Id}/current/get", "", "success", """{"version":2,"data":{"t":20.50,"s":{"b":"x"}}}""");
    }

    [Theory]
    [InlineData("""{"data":[]}""", "data must be a JSON object")]
    [InlineData("""{"version":"1"}""", "version must be a whole number from 0 to 4294967295")]
    [InlineData("""{"data":{"_a":1}}""", "data must not have keys that start with _: they are reserved")]
    [InlineData("""{"data":{"a":[null]}}""", "data must not have null inside an array")]
    public async Task A_bad_request_is_answered_with_an_error(string payload, string error)
    {
        await using var running = await RunningBroker.Start();
        var device = await running.AddDevice(await running.AddHub());
        await using var client = await running.Connect(device);
        await client.Subscribe("$SCW/twins/me/+/put/response/error", 0);
        await Answers(client, "$SCW/twins/me/a/put", payload, "error", new JsonObject { ["error"] = error }.ToJsonString());
        await client.Send(Packet.Publish("$SCW/twins/me/a/put", "{"));
        Assert.Contains("must be a JSON object", (await client.NextPublish()).Payload, StringComparison.Ordinal);
        Assert.Empty(await running.Twins.Names(device.Id));
    }

    [Fact]
    public async Task The_acknowledgement_of_a_request_leaves_when_it_was_carried_out()
    {
        await using var running = await RunningBroker.Start();
        var device = await running.AddDevice(await running.AddHub());
        await using var client = await running.Connect(device);
        await client.Send(Packet.Publish("$SCW/twins/me/a/put", """{"data":{"n":1}}""", qos: 1, id: 7));
        await client.Expect("40 02 00 07");
        Assert.Equal(1u, (await running.Twins.Get(device.Id, "a"))!.Value.Version);
        await client.Send(Packet.Publish("$SCW/twins/me/a/put", """{"data":{"n":2}}""", qos: 2, id: 8));
        await client.Expect("50 02 00 08");
        Assert.Equal(2u, (await running.Twins.Get(device.Id, "a"))!.Value.Version);
        // Sent again before it was released, it is the same request.
        await client.Send(Packet.Publish("$SCW/twins/me/a/put", """{"data":{"n":2}}""", qos: 2, id: 8, dup: true));
        await client.Expect("50 02 00 08");
        await client.Send(Packet.Ack(6, 8));
        await client.Expect("70 02 00 08");
        await client.ExpectNothing();
        Assert.Equal(2u, (await running.Twins.Get(device.Id, "a"))!.Value.Version);
    }

    [Fact]
    public async Task Requests_of_a_device_keep_their_order()
    {
        await using var running = await RunningBroker.Start();
        var device = await running.AddDevice(await running.AddHub());
        await using var client = await running.Connect(device);
        await client.Subscribe("$SCW/twins/me/#", 0);
        await client.Send([.. Enumerable.Range(1, 8).Select(i => Packet.Publish("$SCW/twins/me/a/put", $$$"""{"data":{"n":{{{i}}}}}"""))]);
        for (var i = 1; i <= 8; i++)
        {
            Assert.Equal($$$"""{"version":{{{i}}},"data":{"n":{{{i}}}}}""", (await client.NextPublish()).Payload);
        }
    }

    [Fact]
    public async Task Only_the_connection_that_asked_gets_the_answer_and_only_if_it_subscribes()
    {
        await using var running = await RunningBroker.Start();
        var hub = await running.AddHub();
        var device = await running.AddDevice(hub, d => d with { AllowMultipleConnections = true });
        await using var listener = await running.Connect(await running.AddDevice(hub));
        await listener.Subscribe("$SCW/#", 0);
        await listener.Subscribe($"$SCW/twins/{device.Id}/#", 0);
        await using var one = await running.Connect(new ConnectOptions { ClientId = "one", UserName = device.Id.ToString() });
        await using var two = await running.Connect(new ConnectOptions { ClientId = "two", UserName = device.Id.ToString() });
        await two.Subscribe("$SCW/twins/me/#", 0);
        await one.Send(Packet.Publish("$SCW/twins/me/a/put", "{}", qos: 1, id: 7));
        await one.Expect("40 02 00 07");
        await one.Subscribe("$share/g/$SCW/twins/me/#", 0);
        await one.Send(Packet.Publish("$SCW/twins/me/a/get", "", qos: 1, id: 8));
        await one.Expect("40 02 00 08");
        await one.ExpectNothing();
        await one.Subscribe("$SCW/twins/me/a/get/response/success", 0, subscriptionId: 5);
        await one.Send(Packet.Publish("$SCW/twins/me/a/get", "", qos: 1, id: 9));
        var answer = await one.NextPublish();
        Assert.Equal(("$SCW/twins/me/a/get/response/success", """{"version":1,"data":{}}"""), (answer.Topic, answer.Payload));
        Assert.Equal([0x0B, 5], answer.Properties);
        await one.Expect("40 02 00 09");
        await two.ExpectNothing();
        await listener.ExpectNothing();
    }

    [Fact]
    public async Task Correlation_data_comes_back_with_the_answer_and_nothing_else_does()
    {
        await using var running = await RunningBroker.Start();
        var device = await running.AddDevice(await running.AddHub());
        await using var client = await running.Connect(device);
        await client.Subscribe("$SCW/twins/me/#", 0);
        byte[] correlation = [0x09, 0, 2, 0xAB, 0xCD];
        byte[] properties = [.. Packet.UserProperty("a", "b"), .. correlation, .. Packet.Property(0x02, 60u), .. Packet.Property(0x08, "a/b")];
        await client.Send(Packet.Publish("$SCW/twins/me/a/put", "{}", properties: properties));
        Assert.Equal(correlation, (await client.NextPublish()).Properties);
        await client.Send(Packet.Publish($"$SCW/twins/{Guid.NewGuid()}/a/put", "{}", properties: properties));
        await client.Subscribe("$SCW/twins/+/a/get/response/#", 0);
        await client.Send(Packet.Publish($"$SCW/twins/{Guid.NewGuid()}/a/get", "", properties: correlation));
        Assert.Equal(correlation, (await client.NextPublish()).Properties);
    }

    [Fact]
    public async Task Another_devices_twin_is_out_of_reach()
    {
        await using var running = await RunningBroker.Start();
        var hub = await running.AddHub();
        var (device, other) = (await running.AddDevice(hub), await running.AddDevice(hub));
        await using var client = await running.Connect(device);
        await client.Subscribe("$SCW/twins/#", 0);
        await client.Subscribe("$SCW/events/#", 0);
        foreach (var id in new[] { other.Id, Guid.NewGuid() })
        {
            await client.Send(Packet.Publish($"$SCW/twins/{id}/a/put", "{}", qos: 1, id: 7));
            var happened = await client.NextPublish();
            Assert.Contains($"unauthorized topic $SCW/twins/{id}/a/put", happened.Payload, StringComparison.Ordinal);
            var answer = await client.NextPublish();
            Assert.Equal($"$SCW/twins/{id}/a/put/response/error", answer.Topic);
            Assert.Equal("""{"error":"a device reaches only its own twin"}""", answer.Payload);
            var acknowledgement = await client.Next();
            Assert.Equal((0x40, 0x87), (acknowledgement[0], acknowledgement[4]));
        }
        Assert.Empty(await running.Twins.Names(other.Id));
    }

    [Fact]
    public async Task Nothing_else_goes_through_the_tree_of_twins()
    {
        await using var running = await RunningBroker.Start();
        var hub = await running.AddHub();
        await running.AddRoute(hub, "$SCW/twins/#");
        var device = await running.AddDevice(hub);
        await using var client = await running.Connect(device);
        await client.Subscribe("$SCW/twins/#", 0);
        const string Forged = "$SCW/twins/me/a/get/response/success";
        await using (var leaving = await running.Connect(new ConnectOptions
        {
            ClientId = (await running.AddDevice(hub)).Id.ToString(),
            Will = new WillOptions(Forged, "forged", Retain: true),
        }))
        {
            await leaving.Send(Packet.Publish(Forged, "forged", qos: 1, id: 7, retain: true));
            Assert.Equal(0x87, (await leaving.Next())[4]);
        }
        using var http = new HttpClient { BaseAddress = running.InternalAddress };
        using var post = new HttpRequestMessage(HttpMethod.Post, $"internal/hubs/{hub.Id}/messages") { Content = new StringContent("forged") };
        post.Headers.Add("X-Broker-Key", RunningBroker.Key);
        post.Headers.Add("X-Message-Id", Guid.NewGuid().ToString());
        post.Headers.Add("X-Topic", Uri.EscapeDataString(Forged));
        post.Headers.Add("X-Source", Guid.NewGuid().ToString());
        post.Headers.Add("X-Received-At", "2026-01-02T03:04:05Z");
        Assert.Equal(HttpStatusCode.BadRequest, (await http.SendAsync(post)).StatusCode);
        await client.ExpectNothing();
        await client.Subscribe("$SCW/twins/me/#", 0);
        await client.ExpectNothing();
        Assert.Empty(await running.Queue(StorageNames.DeliveriesQueue).Receive(32, TimeSpan.FromMinutes(1)));
    }

    [Fact]
    public async Task Message_filters_do_not_stand_between_a_device_and_its_twin()
    {
        await using var running = await RunningBroker.Start();
        var nothing = new MessageFilterRule(MessageFilterPolicy.Accept, []);
        var device = await running.AddDevice(await running.AddHub(), d => d with { Filters = new MessageFilters(nothing, nothing) });
        await using var client = await running.Connect(device);
        await client.Subscribe("$SCW/twins/me/#", 0);
        await Answers(client, "$SCW/twins/me/a/put", "{}", "success", """{"version":1,"data":{}}""");
        await client.Send(Packet.Subscribe(1, true, 0, ("$SCW/#", 0)));
        Assert.Equal(0x87, (await client.Next())[^1]);
    }

    [Fact]
    public async Task While_storage_is_away_requests_get_an_error_and_messages_go_on()
    {
        await using var running = await RunningBroker.Start();
        var device = await running.AddDevice(await running.AddHub());
        await using var client = await running.Connect(device);
        await client.Subscribe("$SCW/twins/me/#", 0);
        await client.Subscribe("a", 0);
        await Answers(client, "$SCW/twins/me/a/put", "{}", "success", """{"version":1,"data":{}}""");
        running.CutStorage();
        await client.Send(Packet.Publish("$SCW/twins/me/a/get", ""), Packet.Publish("a", "goes on"));
        Assert.Equal("goes on", (await client.NextPublish()).Payload);
        Assert.Equal("""{"error":"twins are not available: try again later"}""", (await client.NextPublish()).Payload);
        running.RestoreStorage();
        await Eventually.True(async () =>
        {
            await client.Send(Packet.Publish("$SCW/twins/me/a/get", ""));
            return (await client.NextPublish()).Topic.EndsWith("success", StringComparison.Ordinal);
        });
    }

    [Fact]
    public async Task A_device_that_asks_too_much_at_once_is_told_so()
    {
        await using var running = await RunningBroker.Start();
        var device = await running.AddDevice(await running.AddHub());
        await using var client = await running.Connect(device);
        await client.Subscribe("$SCW/twins/me/#", 0);
        await client.Send([.. Enumerable.Range(0, 200).Select(_ => Packet.Publish("$SCW/twins/me/a/put", "{}"))]);
        var answers = new List<string>();
        for (var i = 0; i < 200; i++)
        {
            answers.Add((await client.NextPublish()).Payload);
        }
        Assert.Contains("""{"error":"too many requests: try again later"}""", answers);
        Assert.Contains("""{"version":1,"data":{}}""", answers);
    }

    private static async Task Answers(RawClient client, string topic, string payload, string outcome, string answer)
    {
        await client.Send(Packet.Publish(topic, payload, isV5: client.IsV5));
        var received = await client.NextPublish();
        Assert.Equal($"{topic}/response/{outcome}", received.Topic);
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(answer), JsonNode.Parse(received.Payload)), $"expected {answer}, got {received.Payload}");
        Assert.Equal((0, false), (received.Qos, received.Retain));
    }
}
