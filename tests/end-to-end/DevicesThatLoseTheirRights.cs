using IotHub.EndToEnd.Clients;
using IotHub.EndToEnd.Support;
using IotHub.Harness;
using Xunit;

namespace IotHub.EndToEnd;

[Collection(HubCollection.Name)]
public sealed class DevicesThatLoseTheirRights(HubFixture fixture)
{
    /// <summary>The promise is one second; the rest is the machine's.</summary>
    private static readonly TimeSpan CutOff = TimeSpan.FromSeconds(3);

    public static TheoryData<ClientKind, int> ClientsAndVersions => RetainedMessagesWillsAndSessions.ClientsAndVersions;

    [Theory]
    [MemberData(nameof(ClientsAndVersions))]
    public async Task A_disabled_device_is_cut_off_and_refused_until_it_is_enabled_again(ClientKind kind, int version)
    {
        await using var hub = await fixture.Api.NewHub();
        await using var clients = new MqttClients();
        var device = await hub.NewDevice();
        var connected = await clients.Connected(kind, hub.Login(device, version));

        await hub.DisableDevice(device);
        await connected.Closed(CutOff);
        var refused = await clients.New(kind).Connect(hub.Login(device, version));
        await hub.EnableDevice(device);
        var back = await clients.New(kind).Connect(hub.Login(device, version));

        Assert.Equal(Refusals.NotAuthorized(version), refused.Code);
        Assert.Equal(0, back.Code);
    }

    [Theory]
    [MemberData(nameof(ClientsAndVersions))]
    public async Task A_deleted_device_is_cut_off_and_unknown(ClientKind kind, int version)
    {
        await using var hub = await fixture.Api.NewHub();
        await using var clients = new MqttClients();
        var device = await hub.NewDevice();
        var connected = await clients.Connected(kind, hub.Login(device, version));

        await hub.DeleteDevice(device);
        await connected.Closed(CutOff);
        var refused = await clients.New(kind).Connect(hub.Login(device, version));

        Assert.Equal(Refusals.NotAuthorized(version), refused.Code);
    }

    [Theory]
    [MemberData(nameof(ClientsAndVersions))]
    public async Task An_unknown_device_is_refused(ClientKind kind, int version)
    {
        await using var hub = await fixture.Api.NewHub();
        await using var clients = new MqttClients();
        var stranger = new TestDevice(Guid.NewGuid(), "", "");

        var byId = await clients.New(kind).Connect(hub.Login(stranger, version));
        var byName = await clients.New(kind).Connect(hub.Login(stranger, version) with { ClientId = "x", UserName = "someone" });

        Assert.Equal(Refusals.NotAuthorized(version), byId.Code);
        Assert.Equal(Refusals.NotAuthorized(version), byName.Code);
    }

    [Fact]
    public async Task A_second_connection_of_a_device_takes_the_place_of_the_first()
    {
        await using var hub = await fixture.Api.NewHub();
        await using var clients = new MqttClients();
        var device = await hub.NewDevice();
        var first = await clients.Connected(ClientKind.MqttJs, hub.Login(device));

        var second = await clients.Connected(ClientKind.MqttNet, hub.Login(device, version: 5));
        await first.Closed();
        await second.Subscribe("me");
        await second.Publish("me", "still here");

        Assert.Equal("still here", (await second.Next()).Text);
    }

    [Fact]
    public async Task The_API_tells_which_devices_are_connected_and_when_they_were_active()
    {
        await using var hub = await fixture.Api.NewHub();
        await using var clients = new MqttClients();
        var device = await hub.NewDevice();
        var client = await clients.Connected(ClientKind.MqttNet, hub.Login(device));

        await Eventually.True(async () => (await hub.Device(device)).GetProperty("is_connected").GetBoolean());
        var active = (await hub.Device(device)).GetProperty("last_activity_at").GetDateTimeOffset();
        var count = (await fixture.Api.Get($"hubs/{hub.Id}")).GetProperty("connected_device_count").GetInt32();
        await client.Disconnect();

        Assert.Equal(1, count);
        Assert.InRange(active, DateTimeOffset.UtcNow.AddMinutes(-1), DateTimeOffset.UtcNow.AddSeconds(1));
        await Eventually.True(async () => !(await hub.Device(device)).GetProperty("is_connected").GetBoolean());
    }

    [Fact]
    public async Task Hubs_do_not_hear_each_other()
    {
        await using var mine = await fixture.Api.NewHub();
        await using var theirs = await fixture.Api.NewHub();
        await using var clients = new MqttClients();
        var hearing = await clients.OfNewDevice(mine);
        await hearing.Subscribe("#", 1);

        await (await clients.OfNewDevice(theirs)).Publish("a", "theirs", 1);
        await (await clients.OfNewDevice(mine)).Publish("a", "mine", 1);

        Assert.Equal("mine", (await hearing.Next()).Text);
    }
}
