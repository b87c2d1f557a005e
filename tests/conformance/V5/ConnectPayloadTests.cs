using IotHub.Broker;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.V5;

/// <summary>Section 3.1.3: client identifier, user name (the will has a file of its own).</summary>
public sealed class ConnectPayloadTests
{
    [Fact]
    [Statement("MQTT-3.1.3-2")]
    public async Task A_session_belongs_to_its_client_id_letter_by_letter()
    {
        await using var broker = TestBroker.Start();
        await using var publisher = await broker.Connect("pub");
        foreach (var id in new[] { "dev", "DEV" })
        {
            await using var client = await broker.Connect(Steps.Lasting(id));
            Assert.False(ReceivedAnswer.Read(client.ConnAck).SessionPresent);
            await client.Subscribe($"for/{id}", 1);
            await client.Send("E0 00");
            await client.ExpectClosed();
        }
        foreach (var id in new[] { "dev", "DEV" })
        {
            await publisher.PublishAcked($"for/{id}", id);
        }
        foreach (var id in new[] { "dev", "DEV" })
        {
            await using var client = await broker.Connect(Steps.Lasting(id));
            Assert.True(ReceivedAnswer.Read(client.ConnAck).SessionPresent);
            await client.Receives(id);
            await client.ExpectNothing();
        }
    }

    [Fact]
    [Statement("MQTT-3.1.3-3")]
    public async Task A_CONNECT_without_a_client_id_is_malformed()
    {
        await using var broker = TestBroker.Start();
        await broker.Refuses(Hex.Read("10 0B 0004 4D515454 05 02 003C 00"), 0x81);
    }

    [Theory]
    [InlineData("EDA080")]
    [InlineData("610062")]
    [Statement("MQTT-3.1.3-4")]
    public async Task A_client_id_is_text(string id)
    {
        await using var broker = TestBroker.Start();
        await broker.Refuses(Packet.RawConnect("02", Hex.Write(Packet.Binary(Hex.Read(id)))), 0x81, 0x85);
    }

    [Theory]
    [InlineData("a")]
    [InlineData("0123456789ABCDEFGHIJKLM")]
    [InlineData("NOPQRSTUVWXYZabcdefghij")]
    [InlineData("klmnopqrstuvwxyz")]
    [Statement("MQTT-3.1.3-5")]
    public async Task Client_ids_that_every_server_takes_are_taken(string id)
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect(id);
        Assert.Equal(0, ReceivedAnswer.Read(client.ConnAck).Code);
    }

    [Fact]
    [Statement("MQTT-3.1.3-6", "MQTT-3.2.2-16")]
    public async Task Clients_without_an_id_get_one_each()
    {
        await using var broker = TestBroker.Start();
        var ids = new HashSet<string>(StringComparer.Ordinal);
        var clients = new List<RawClient>();
        for (var i = 0; i < 100; i++)
        {
            var client = await broker.Connect("");
            clients.Add(client);
            Assert.True(ids.Add(ReceivedAnswer.Read(client.ConnAck).Properties.Text(0x12)));
        }
        foreach (var client in clients)
        {
            await client.ExpectNothing();
            await client.DisposeAsync();
        }
        await using var named = await broker.Connect("named");
        Assert.False(ReceivedAnswer.Read(named.ConnAck).Properties.Has(0x12));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Statement("MQTT-3.1.3-7")]
    public async Task An_assigned_id_is_as_good_as_one_of_the_clients_own(bool cleanStart)
    {
        await using var broker = TestBroker.Start();
        await using var nameless = await broker.Connect(Steps.Lasting("", cleanStart: cleanStart));
        var id = ReceivedAnswer.Read(nameless.ConnAck).Properties.Text(0x12);
        await broker.CutOff(nameless, id);
        await using var back = await broker.Connect(Steps.Lasting(id));
        Assert.True(ReceivedAnswer.Read(back.ConnAck).SessionPresent);
    }

    [Fact]
    [Statement("MQTT-3.1.3-8")]
    public async Task An_id_above_the_limit_is_refused()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { ClientIdBytesMaximum = 40 });
        await using var longest = await broker.Connect(new string('x', 40));
        await using var client = await broker.Open();
        await client.Send(Packet.Connect(new ConnectOptions { ClientId = new string('x', 41) }));
        Assert.Equal(0x85, (await client.NextAnswer()).Code);
        await client.ExpectClosed();
    }

    [Fact]
    [Statement("MQTT-3.1.3-12")]
    public async Task A_user_name_is_text_and_a_password_is_bytes()
    {
        await using var broker = TestBroker.Start();
        await broker.Refuses(Packet.RawConnect("82", "0001 63 0003 EDA080"), 0x81);
        await using var client = await broker.Connect(new ConnectOptions { UserName = "u", Password = [0xFF, 0x00, 0xFE] });
        await client.ExpectNothing();
    }
}
