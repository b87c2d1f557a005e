using IotHub.EndToEnd.Clients;
using IotHub.EndToEnd.Support;
using Xunit;

namespace IotHub.EndToEnd;

[Collection(HubCollection.Name)]
public sealed class RetainedMessagesWillsAndSessions(HubFixture fixture)
{
    public static TheoryData<ClientKind, int> ClientsAndVersions { get; } = new()
    {
        { ClientKind.MqttNet, 4 },
        { ClientKind.MqttNet, 5 },
        { ClientKind.MqttJs, 4 },
        { ClientKind.MqttJs, 5 },
    };

    [Theory]
    [MemberData(nameof(ClientsAndVersions))]
    public async Task A_retained_message_waits_for_later_subscribers_until_an_empty_one_clears_it(ClientKind kind, int version)
    {
        await using var hub = await fixture.Api.NewHub();
        await using var clients = new MqttClients();
        var saying = await clients.Connected(kind, hub.Login(await hub.NewDevice(), version));

        await saying.Publish("door/state", "open", 1, retain: true);
        await saying.Publish("door/state", "shut", 1, retain: true);
        var later = await clients.Connected(kind, hub.Login(await hub.NewDevice(), version));
        await later.Subscribe("door/+", 1);
        var retained = await later.Next();

        await saying.Publish("door/state", "", 1, retain: true);
        var cleared = await later.Next();
        var last = await clients.Connected(kind, hub.Login(await hub.NewDevice(), version));
        await last.Subscribe("door/+", 1);
        await saying.Publish("door/sign", "nothing was retained", 1);
        var first = await last.Next();

        Assert.Equal(("door/state", "shut", true), (retained.Topic, retained.Text, retained.Retain));
        Assert.Equal(("", false), (cleared.Text, cleared.Retain));
        Assert.Equal("nothing was retained", first.Text);
    }

    [Theory]
    [MemberData(nameof(ClientsAndVersions))]
    public async Task A_will_is_published_when_the_connection_breaks_and_not_after_a_goodbye(ClientKind kind, int version)
    {
        await using var hub = await fixture.Api.NewHub();
        await using var clients = new MqttClients();
        var hearing = await clients.OfNewDevice(hub);
        await hearing.Subscribe("wills/#", 1);
        var polite = await clients.Connected(
            kind, hub.Login(await hub.NewDevice(), version) with { Will = new MqttWill("wills/polite", "not wanted", 1) });
        var broken = await clients.Connected(
            kind, hub.Login(await hub.NewDevice(), version) with { Will = new MqttWill("wills/broken", "I am gone", 1) });

        await polite.Disconnect();
        await broken.Drop();
        var heard = await hearing.Next();

        Assert.Equal(("wills/broken", "I am gone"), (heard.Topic, heard.Text));
    }

    [Theory]
    [MemberData(nameof(ClientsAndVersions))]
    public async Task A_session_keeps_subscriptions_and_messages_while_its_client_is_away(ClientKind kind, int version)
    {
        await using var hub = await fixture.Api.NewHub();
        await using var clients = new MqttClients();
        var login = hub.Login(await hub.NewDevice(), version) with { CleanStart = false, SessionExpiry = 600 };
        var saying = await clients.OfNewDevice(hub);

        var first = clients.New(kind);
        var begun = await first.Connect(login);
        await first.Subscribe("jobs/#", 2);
        await first.Disconnect();
        await saying.Publish("jobs/1", "one", 1);
        await saying.Publish("jobs/2", "two", 2);
        var second = clients.New(kind);
        var resumed = await second.Connect(login);
        var heard = new[] { await second.Next(), await second.Next() };
        await saying.Publish("jobs/3", "three", 1);
        var live = await second.Next();
        await second.Disconnect();
        var clean = await clients.New(kind).Connect(login with { CleanStart = true, SessionExpiry = 0 });

        Assert.False(begun.SessionPresent);
        Assert.True(resumed.SessionPresent);
        Assert.Equal([("jobs/1", "one", 1), ("jobs/2", "two", 2)], heard.Select(message => (message.Topic, message.Text, message.Qos)));
        Assert.Equal("three", live.Text);
        Assert.False(clean.SessionPresent);
    }

    [Fact]
    public async Task A_shared_hub_refuses_what_its_plan_does_not_have()
    {
        await using var hub = await fixture.Api.NewHub("plan_shared");
        await using var clients = new MqttClients();
        var hearing = await clients.Connected(ClientKind.MqttNet, hub.Login(await hub.NewDevice()));
        var saying = await clients.Connected(ClientKind.MqttNet, hub.Login(await hub.NewDevice()));

        Assert.Equal(0x80, await hearing.Subscribe("a/#", 1));
        Assert.Equal(0, await hearing.Subscribe("a/#", 0));
        await saying.Publish("a/b", "QoS 1 may be published", 1);
        Assert.Equal("QoS 1 may be published", (await hearing.Next()).Text);

        var unclean = await clients.New(ClientKind.MqttNet).Connect(hub.Login(await hub.NewDevice()) with { CleanStart = false });
        Assert.NotEqual(0, unclean.Code);
        await saying.Publish("a/b", "retained is refused", 0, retain: true);
        await saying.Closed();
    }
}
