using IotHub.Broker;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.V5;

/// <summary>Sections 3.8 to 3.11 where 5.0 goes beyond 3.1.1: options, identifiers, codes and reasons.</summary>
public sealed class RequestTests : Conversation
{
    [Fact]
    [Statement("MQTT-3.8.3-3")]
    public async Task No_Local_keeps_a_publishers_messages_from_itself_and_holds_after_a_resume()
    {
        var client = await Resume("c", 5);
        await client.Subscribe("t", 0x05);
        var other = await Connect("other", 5);
        for (var i = 0; i < 2; i++)
        {
            await client.Publish("t", "own", 1);
            await client.ExpectNothing();
            await other.Publish("t", "others", 1);
            Assert.Equal("others", (await client.Take()).Payload);
            await Cut(client);
            client = await Resume("c", 5);
        }
    }

    [Fact]
    [Statement("MQTT-3.8.3-3")]
    public async Task Beside_No_Local_another_subscription_still_brings_a_clients_own_message()
    {
        var client = await Connect("c", 5);
        await client.Send(Packet.Subscribe(1, true, 7, ("t", 0x06)), Packet.Subscribe(2, true, 8, ("#", 0x01)));
        await client.Next();
        await client.Next();
        await client.Send(Packet.Publish("t", "own", 2, 9));
        var own = await client.NextPublish();
        Assert.Equal((1, "0B 08"), (own.Qos, Hex.Write(own.Properties)));
        await client.ExpectAck(5, 9);
    }

    [Fact]
    [Statement("MQTT-3.8.3-3")]
    public async Task No_Local_keeps_a_publishers_own_retained_message_from_itself()
    {
        var client = await Connect("c", 5);
        await client.Publish("t", "own", 1, retain: true);
        await client.Subscribe("t", 0x05);
        await client.ExpectNothing();
        await client.Subscribe("t", 0x01);
        Assert.Equal("own", (await client.Take()).Payload);
        var other = await Connect("other", 5);
        await other.Subscribe("t", 0x05);
        Assert.Equal("own", (await other.Take()).Payload);
        await Cut(client);
        client = await Connect("c", 5);
        await client.Subscribe("#", 0x06);
        await client.ExpectNothing();
        await other.Publish("t", "others", 1, retain: true);
        Assert.Equal("others", (await client.Take()).Payload);
    }

    [Theory]
    [InlineData("82 00 0001 00 000A 24736861 72652F67 2F74 04", 0x82)] // No Local on a shared subscription: $share/g/t
    [InlineData("82 07 0001 00 0001 74 40", 0x81)]
    [InlineData("82 07 0001 00 0001 74 80", 0x81)]
    [InlineData("82 07 0001 00 0001 74 C0", 0x81)]
    [InlineData("82 07 0001 00 0001 74 03", 0x82)]
    [InlineData("82 07 0001 00 0001 74 30", 0x82)]
    [InlineData("82 09 0001 02 0B00 0001 74 00", 0x82)] // Subscription Identifier 0
    [InlineData("82 0B 0001 04 0B01 0B02 0001 74 00", 0x82)] // two identifiers
    [InlineData("82 09 0001 02 2301 0001 74 00", 0x81)] // a property of another packet
    [InlineData("A2 08 0001 02 0B01 0001 74", 0x81)]
    [Statement("MQTT-3.8.3-4", "MQTT-3.8.3-5", "MQTT-4.13.1-1", "U5-14")]
    public async Task Options_and_properties_have_their_bounds(string packet, byte reason)
    {
        var client = await Connect("c", 5);
        var bytes = Hex.Read(packet);
        // The length is not what these cases are about.
        bytes[1] = (byte)(bytes.Length - 2);
        await client.Send(bytes);
        await client.ExpectDisconnect(reason);
    }

    [Theory]
    [InlineData(0x00, 2)]
    [InlineData(0x10, 1)]
    [InlineData(0x20, 0)]
    [Statement("MQTT-3.8.4-4", "U5-26")]
    public async Task Retain_Handling_decides_when_retained_messages_come(byte options, int times)
    {
        var publisher = await Connect("pub", 5);
        await publisher.Publish("t", "kept", 1, retain: true);
        var client = await Connect("c", 5);
        var came = 0;
        for (var i = 0; i < 2; i++)
        {
            Assert.Equal([1], await client.SubscribeTo(("t", (byte)(options | 1))));
            if (came + 1 <= times && times - i > 0)
            {
                Assert.True((await client.Take()).Retain);
                came++;
            }
            await client.ExpectNothing();
        }
        Assert.Equal(times, came);
    }

    [Fact]
    [Statement("U5-26")]
    public async Task Retain_As_Published_passes_the_flag_of_live_messages_on()
    {
        var plain = await Connect("plain", 5);
        await plain.Subscribe("t", 0);
        var faithful = await Connect("faithful", 5);
        await faithful.Subscribe("t", 0x08);
        var publisher = await Connect("pub", 5);
        await publisher.Publish("t", "x", retain: true);
        await publisher.Publish("t", "y");
        Assert.Equal([false, false], (await plain.Take(2)).Select(r => r.Retain));
        Assert.Equal([true, false], (await faithful.Take(2)).Select(r => r.Retain));
    }

    [Fact]
    [Statement("MQTT-3.9.3-2", "MQTT-3.8.4-7", "MQTT-3.11.3-2")]
    public async Task Codes_of_SUBACK_and_UNSUBACK_are_those_of_their_tables()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { SubscriptionsPerSessionMaximum = 2 }, new GuardedDoor());
        await using var client = await broker.Connect("c");
        Assert.Equal(
            [0x02, 0x01, 0x97, 0x87, 0x8F, 0x8F],
            await client.SubscribeTo(("a", 2), ("b", 1), ("c", 0), ("denied/x", 0), ("a#", 0), ("$share/g", 0)));
        Assert.Equal([0x00], await client.SubscribeTo(("a", 0)));
        Assert.Equal([0x11, 0x00, 0x11], await client.UnsubscribeFrom("c", "a", "a#"));
    }

    [Fact]
    [Statement("MQTT-3.9.2-1", "MQTT-3.9.2-2", "MQTT-3.11.2-1", "MQTT-3.11.2-2")]
    public async Task A_refused_filter_is_explained_as_far_as_the_client_takes_it()
    {
        foreach (var (properties, hasReason) in new[] { ("", true), ("27 00000014", false), ("17 00", false) })
        {
            var client = await Connect(new ConnectOptions { ClientId = "c", Properties = Hex.Read(properties) });
            await client.Send(Packet.Subscribe(1, true, 0, ("denied/x", 0)));
            var packet = await client.Next();
            var answer = ReceivedAnswer.Read(packet);
            Assert.Equal((0x90, 0x87, hasReason), (answer.FirstByte, answer.Code, answer.Properties.Has(0x1F)));
            Assert.True(!answer.Properties.Has(0x26) && (hasReason || packet.Length <= 20));
            await client.Send(Packet.Unsubscribe(2, true, "unknown"));
            await client.Expect("B0 04 0002 00 11");
        }
    }

    [Fact]
    [Statement("U5-36", "MQTT-3.8.4-1")]
    public async Task Retained_messages_of_two_hundred_topics_all_come()
    {
        var client = await Connect("c", 5);
        for (var i = 0; i < 200; i++)
        {
            await client.Publish($"r/{i}", $"{i}", 0, retain: true);
        }
        await client.Subscribe("r/#", 2);
        var received = await client.Receive(200);
        Assert.Equal(Enumerable.Range(0, 200), received.Select(r => int.Parse(r.Payload, null)).Order());
    }
}
