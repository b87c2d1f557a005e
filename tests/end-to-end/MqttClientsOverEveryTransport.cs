using IotHub.EndToEnd.Clients;
using IotHub.EndToEnd.Support;
using Xunit;

namespace IotHub.EndToEnd;

/// <summary>MQTT.js and MQTTnet, MQTT 3.1.1 and 5.0, over TCP, WebSocket and TLS: what one device says another one hears.</summary>
[Collection(HubCollection.Name)]
public sealed class MqttClientsOverEveryTransport(HubFixture fixture)
{
    public static TheoryData<ClientKind, int, MqttTransport> Everything()
    {
        var data = new TheoryData<ClientKind, int, MqttTransport>();
        foreach (var client in Enum.GetValues<ClientKind>())
        {
            foreach (var version in new[] { 4, 5 })
            {
                foreach (var transport in Enum.GetValues<MqttTransport>())
                {
                    data.Add(client, version, transport);
                }
            }
        }
        return data;
    }

    [Theory]
    [MemberData(nameof(Everything))]
    public async Task Wildcard_subscriptions_at_every_quality_get_what_another_device_publishes(
        ClientKind kind, int version, MqttTransport transport)
    {
        await using var hub = await fixture.Api.NewHub();
        await using var clients = new MqttClients();
        var ca = fixture.ServerCaPem();
        var hearing = await clients.Connected(kind, hub.Login(await hub.NewDevice(), version, transport) with { ServerCaPem = ca });
        var saying = await clients.Connected(kind, hub.Login(await hub.NewDevice(), version, transport) with { ServerCaPem = ca });

        Assert.Equal(0, await hearing.Subscribe("qos0/+/state", 0));
        Assert.Equal(1, await hearing.Subscribe("qos1/#", 1));
        Assert.Equal(2, await hearing.Subscribe("+/exactly/once", 2));
        await saying.Publish("elsewhere/kitchen/state", "not for me", 1);
        await saying.Publish("qos0/kitchen/state", "zero", 0);
        await saying.Publish("qos1/a/b/c", "one", 1);
        await saying.Publish("qos2/exactly/once", "two", 2);
        await saying.Publish("qos0/hall/state", "zero again", 2);

        var heard = new[] { await hearing.Next(), await hearing.Next(), await hearing.Next(), await hearing.Next() };
        // Topics are compared without their order: a client may hand a message of QoS 2 over when its exchange ends.
        Assert.Equal(
            [
                ("qos0/hall/state", "zero again", 0), ("qos0/kitchen/state", "zero", 0),
                ("qos1/a/b/c", "one", 1), ("qos2/exactly/once", "two", 2),
            ],
            heard.Select(message => (message.Topic, message.Text, message.Qos)).Order());
        Assert.DoesNotContain(heard, message => message.Retain);
    }

    [Theory]
    [InlineData(ClientKind.MqttNet, 4)]
    [InlineData(ClientKind.MqttNet, 5)]
    [InlineData(ClientKind.MqttJs, 4)]
    [InlineData(ClientKind.MqttJs, 5)]
    public async Task A_device_that_needs_mutual_TLS_gets_in_with_its_certificate_only(ClientKind kind, int version)
    {
        await using var hub = await fixture.Api.NewHub();
        await using var clients = new MqttClients();
        var device = await hub.NewDevice(allowInsecure: false);
        var login = hub.Login(device, version, MqttTransport.Tls) with { ServerCaPem = fixture.ServerCaPem() };

        var without = await clients.New(kind).Connect(login);
        var plain = await clients.New(kind).Connect(hub.Login(device, version));
        var with = await clients.New(kind).Connect(login with { CertificatePem = device.CertificatePem, KeyPem = device.KeyPem });

        Assert.Equal(Refusals.NotAuthorized(version), without.Code);
        Assert.Equal(Refusals.NotAuthorized(version), plain.Code);
        Assert.Equal(0, with.Code);
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task A_device_is_known_by_its_user_name_when_its_client_id_is_something_else(int version)
    {
        await using var hub = await fixture.Api.NewHub();
        await using var clients = new MqttClients();
        var device = await hub.NewDevice();

        var answer = await clients.New(ClientKind.MqttJs).Connect(
            hub.Login(device, version) with { ClientId = "short", UserName = $"{device.Id}" });

        Assert.Equal(0, answer.Code);
    }
}
