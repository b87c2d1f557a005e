using System.Net;
using IotHub.EndToEnd.Clients;
using IotHub.EndToEnd.Support;
using IotHub.Harness;
using Xunit;

namespace IotHub.EndToEnd;

/// <summary>Ingest goes on while the broker is away; what was accepted is delivered when it is back, once.</summary>
public sealed class BrokerStopped(OwnBrokerFixture fixture) : IClassFixture<OwnBrokerFixture>
{
    [Fact]
    public async Task Posts_are_accepted_and_delivered_once_when_the_broker_is_back()
    {
        await using var target = await TestHttpServer.Start();
        await using var hub = await fixture.Api.NewHub();
        await using var clients = new MqttClients();
        await hub.NewRestRoute("#", target.Url);
        var network = await hub.NewNetwork("sigfox");
        var device = await hub.NewDevice();

        await fixture.Local.KillBroker();
        var answers = new List<IngestAnswer>();
        foreach (var body in new[] { "one", "two", "three" })
        {
            answers.Add(await network.Post("while/away", body));
        }
        await fixture.Local.StartBroker();
        Assert.Equal(HttpStatusCode.OK, (await network.Post("after", "back")).Status);

        Assert.All(answers, answer => Assert.Equal(HttpStatusCode.OK, answer.Status));
        await Eventually.True(() => target.Accepted.Count >= 4, TimeSpan.FromSeconds(120), () => fixture.Local.Logs);
        // A second effect of any of them would be on its way in front of this one, which comes through the same queues.
        var hearing = await clients.Connected(ClientKind.MqttNet, hub.Login(device));
        await hearing.Subscribe("#");
        Assert.Equal(HttpStatusCode.OK, (await network.Post("last", "last")).Status);
        Assert.Equal(("last", "last"), await hearing.Next() is var heard ? (heard.Topic, heard.Text) : default);
        await Eventually.True(() => target.Accepted.Any(call => call.Text == "last"), TimeSpan.FromSeconds(60), () => fixture.Local.Logs);
        Assert.Equal(["back", "last", "one", "three", "two"], target.Accepted.Select(call => call.Text).Order());
    }

    [Fact]
    public async Task A_broker_that_hangs_gets_a_post_once_though_it_was_sent_twice()
    {
        await using var hub = await fixture.Api.NewHub();
        await using var clients = new MqttClients();
        var network = await hub.NewNetwork("rest");
        var hearing = await clients.OfNewDevice(hub);
        await hearing.Subscribe("#");

        fixture.Local.SignalBroker("STOP");
        var accepted = await network.Post("a", "while it hung");
        fixture.Local.SignalBroker("CONT");
        var first = await hearing.Next();
        await network.Post("b", "afterwards");
        var second = await hearing.Next();

        Assert.Equal(HttpStatusCode.OK, accepted.Status);
        Assert.Equal(("a", "while it hung"), (first.Topic, first.Text));
        Assert.Equal(("b", "afterwards"), (second.Topic, second.Text));
    }

    [Fact]
    public async Task What_devices_did_shows_in_the_metrics_and_a_killed_broker_leaves_no_device_connected()
    {
        await using var hub = await fixture.Api.NewHub();
        await using var clients = new MqttClients();
        var (one, two) = (await hub.NewDevice(), await hub.NewDevice());
        var hearing = await clients.Connected(ClientKind.MqttNet, hub.Login(one));
        await hearing.Subscribe("#", 1);
        var saying = await clients.Connected(ClientKind.MqttNet, hub.Login(two));
        await saying.Publish("a", "x", 1);
        Assert.Equal("x", (await hearing.Next()).Text);
        await saying.Disconnect();
        await Eventually.True(async () => (await hub.Device(one)).GetProperty("is_connected").GetBoolean(), TimeSpan.FromSeconds(60));

        // A broker that is asked to stop sends what it has counted.
        fixture.Local.SignalBroker("TERM");
        await Eventually.True(
            async () => await Total($"hubs/{hub.Id}", "messages_count") >= 11, TimeSpan.FromSeconds(90), () => fixture.Local.Logs);
        await fixture.Local.KillBroker();
        // CONNECT, CONNACK, SUBSCRIBE, SUBACK, PUBLISH, PUBACK, and what the stop takes; CONNECT, CONNACK, PUBLISH, PUBACK, DISCONNECT.
        Assert.InRange(await Total($"devices/{one.Id}", "messages_count"), 6, 7);
        Assert.Equal(5, await Total($"devices/{two.Id}", "messages_count"));
        Assert.Equal(1, await Total($"devices/{one.Id}", "device_activity"));
        Assert.Equal(2, await Total($"hubs/{hub.Id}", "active_devices"));

        await fixture.Local.StartBroker();
        var again = await clients.Connected(ClientKind.MqttNet, hub.Login(one));
        await again.Subscribe("#");
        await Eventually.True(async () => (await hub.Device(one)).GetProperty("is_connected").GetBoolean(), TimeSpan.FromSeconds(60));
        await fixture.Local.KillBroker();
        await fixture.Local.StartBroker();
        await Eventually.True(
            async () => !(await hub.Device(one)).GetProperty("is_connected").GetBoolean(), TimeSpan.FromSeconds(60), () => fixture.Local.Logs);
        Assert.Equal(0, (await fixture.Api.Get($"hubs/{hub.Id}")).GetProperty("connected_device_count").GetInt64());
    }

    [Fact]
    public async Task A_killed_broker_remembers_sessions_and_messages_but_not_the_will_of_a_device_deleted_meanwhile()
    {
        await using var hub = await fixture.Api.NewHub();
        await using var clients = new MqttClients();
        var (away, dying, deleted) = (await hub.NewDevice(), await hub.NewDevice(), await hub.NewDevice());
        var keeping = hub.Login(away, 5) with { CleanStart = false, SessionExpiry = 3600 };
        var client = await clients.Connected(ClientKind.MqttNet, keeping);
        await client.Subscribe("#", 1);
        await client.Drop();
        await clients.Connected(
            ClientKind.MqttNet, hub.Login(dying, 5) with { SessionExpiry = 3600, Will = new MqttWill("wills/dying", "cut off", 1) });
        await clients.Connected(
            ClientKind.MqttNet, hub.Login(deleted, 5) with { SessionExpiry = 3600, Will = new MqttWill("wills/deleted", "not mine to say", 1) });
        var saying = await clients.OfNewDevice(hub);
        await saying.Publish("a", "while it was away", 1, retain: true);

        await fixture.Local.KillBroker();
        await hub.DeleteDevice(deleted);
        await fixture.Local.StartBroker();

        var back = clients.New(ClientKind.MqttNet);
        Assert.Equal(new MqttConnected(0, SessionPresent: true), await back.Connect(keeping));
        Assert.Equal("while it was away", (await back.Next()).Text);
        Assert.Equal("cut off", (await back.Next()).Text);
        saying = await clients.OfNewDevice(hub);
        await saying.Publish("b", "still subscribed", 1);
        Assert.Equal("still subscribed", (await back.Next()).Text);
        var later = await clients.OfNewDevice(hub);
        await later.Subscribe("a");
        Assert.Equal("while it was away", (await later.Next()).Text);
    }

    /// <summary>Of the last day; devices are counted once however many points show them.</summary>
    private async Task<long> Total(string path, string name)
    {
        var metrics = await fixture.Api.Get($"{path}/metrics?start_date={DateTimeOffset.UtcNow.AddHours(-5):yyyy-MM-ddTHH:mm:ssZ}");
        var points = metrics.GetProperty("metrics").EnumerateArray().Single(series => series.GetProperty("name").GetString() == name)
            .GetProperty("points").EnumerateArray().Select(point => point[1].GetInt64()).ToList();
        return name == "messages_count" ? points.Sum() : points.Max();
    }
}
