using IotHub.Broker;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.V311;

/// <summary>3.1.1, sections 3.8 to 3.14 where they differ from 5.0, and 3.1.1 clients beside 5.0 ones.</summary>
public sealed class RequestTests : Conversation
{
    [Theory]
    [InlineData("03")]
    [InlineData("04")]
    [InlineData("08")]
    [InlineData("10")]
    [InlineData("80")]
    [InlineData("FF")]
    [Statement("MQTT-3.8.3-4", "MQTT-4.8.0-1", Version = 4)]
    public async Task The_quality_byte_has_no_other_bits(string options)
    {
        var client = await Connect("c", 4);
        await client.Send($"82 06 0001 0001 74 {options}");
        await client.ExpectClosed();
    }

    [Fact]
    [Statement("MQTT-3.9.3-2", Version = 4)]
    public async Task Every_refusal_in_SUBACK_is_80()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { SubscriptionsPerSessionMaximum = 1 }, new GuardedDoor());
        await using var client = await broker.Connect("c", 4);
        Assert.Equal(
            [2, 0x80, 0x80, 0x80, 0x80], await client.SubscribeTo(("a", 2), ("b", 1), ("denied/#", 0), ("a+", 0), ("$share/g", 0)));
    }

    [Fact]
    [Statement("MQTT-3.8.4-3", Version = 4)]
    public async Task Retained_messages_come_again_with_every_SUBSCRIBE()
    {
        var client = await Connect("c", 4);
        await client.Publish("t", "kept", retain: true);
        for (var i = 0; i < 3; i++)
        {
            await client.Subscribe("t", 0);
            Assert.True((await client.Take()).Retain);
        }
        await client.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.14.4-3", Version = 4)]
    public async Task DISCONNECT_has_no_body()
    {
        var watcher = await Connect("watcher", 4);
        await watcher.Subscribe("w", 0);
        var client = await Connect(new ConnectOptions { ClientId = "c", Level = 4, Will = new WillOptions("w", "gone") });
        await client.Send("E0 01 00");
        await client.ExpectClosed();
        Assert.Equal("gone", (await watcher.Take()).Payload);
    }

    [Fact]
    [Statement("MQTT-2.2.2-2", "MQTT-4.8.0-1", Version = 4)]
    public async Task Packet_type_15_is_reserved()
    {
        var client = await Connect("c", 4);
        await client.Send("F0 00");
        await client.ExpectClosed();
    }

    [Fact]
    [Statement("MQTT-7.0.0-2", Version = 4)]
    public async Task Clients_of_both_versions_exchange_messages_without_properties_in_between()
    {
        var old = await Connect("old", 4);
        var modern = await Connect("modern", 5);
        await old.Subscribe("t", 1);
        await modern.Subscribe("t", 1);
        var properties = (byte[])[.. Packet.Property(0x03, "text/plain"), .. Packet.Property(0x02, 100u), .. Packet.UserProperty("a", "b")];
        var publisher = await Connect("pub", 5);
        await publisher.Publish("t", "from 5", 1, properties: properties);
        await old.Expect("32 0B 0001 74 0001 66726F6D2035");
        await old.Send("40 02 0001");
        Assert.Equal(properties.Length, (await modern.Take()).Properties.Length);
        await old.Publish("t", "from 4");
        Assert.Equal("", Hex.Write((await modern.Take()).Properties));
        Assert.Equal("from 4", (await old.Take()).Payload);
    }
}
