using IotHub.Broker;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.V5;

/// <summary>Sections 3.4 to 3.7 and what 4.3 and 4.4 say of 5.0 alone: reason codes, refused deliveries, expiry.</summary>
public sealed class AcknowledgementTests : Conversation
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [Statement("MQTT-3.4.2-1", "MQTT-3.5.2-1", "U5-25", "U5-23")]
    public async Task Acknowledgements_carry_only_codes_of_their_table(byte qos)
    {
        await using var broker = TestBroker.Start(new BrokerLimits { RetainedMessagesPerHubMaximum = 1 }, new GuardedDoor());
        await using var client = await broker.Connect("c");
        await using var subscriber = await broker.Connect("s");
        await subscriber.Subscribe("heard", 0);
        var first = qos == 1 ? 0x40 : 0x50;
        foreach (var (topic, code, retain, properties) in new[]
        {
            ("heard", 0x00, true, ""), ("unheard", 0x10, false, ""), ("denied/x", 0x87, false, ""), ("other", 0x97, true, ""),
            ("t", 0x99, false, "01 01"),
        })
        {
            var packet = Packet.Publish(topic, "x", qos, 5, retain, properties: Hex.Read(properties));
            if (code == 0x99)
            {
                packet[^1] = 0xFF;
            }
            await client.Send(packet);
            var answer = await client.NextAnswer();
            Assert.Equal((first, code), (answer.FirstByte, answer.Code));
            if (qos == 2 && code < 0x80)
            {
                await client.Send("62 02 0005");
                await client.Expect("70 02 0005");
            }
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [Statement("MQTT-3.4.2-2", "MQTT-3.4.2-3", "MQTT-3.5.2-2", "MQTT-3.5.2-3")]
    public async Task A_refusal_says_why_as_far_as_the_client_takes_it(byte qos)
    {
        await CheckReason(client => client.Send(Packet.Publish("denied/x", "x", qos, 5)), qos == 1 ? 0x40 : 0x50, 0x87);
    }

    [Fact]
    [Statement("MQTT-3.6.2-1", "MQTT-3.6.2-2", "MQTT-3.6.2-3", "U5-21")]
    public async Task An_unknown_PUBREC_is_answered_with_92_and_the_connection_stays() =>
        await CheckReason(client => client.Send("50 02 1234"), 0x62, 0x92);

    [Fact]
    [Statement("MQTT-3.7.2-1", "MQTT-3.7.2-2", "MQTT-3.7.2-3", "U5-20")]
    public async Task An_unknown_PUBREL_is_answered_with_92_and_the_connection_stays() =>
        await CheckReason(client => client.Send("62 02 1234"), 0x70, 0x92);

    [Fact]
    [Statement("U5-22")]
    public async Task Acknowledgements_of_nothing_are_ignored_and_raise_no_quota()
    {
        var client = await Connect(new ConnectOptions { ClientId = "c", Properties = Packet.Property(0x21, (ushort)1) });
        await client.Subscribe("t", 1);
        for (ushort i = 1; i < 10; i++)
        {
            await client.Send(Packet.Ack(4, i), Packet.Ack(7, i));
        }
        await client.ExpectNothing();
        var publisher = await Connect("pub", 5);
        await publisher.Publish("t", "one", 1);
        await publisher.Publish("t", "two", 1);
        Assert.Equal("one", (await client.NextPublish()).Payload);
        await client.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-4.3.3-4", "MQTT-4.3.3-1")]
    public async Task PUBREC_leads_to_PUBREL_unless_it_says_that_something_failed()
    {
        var subscriber = await Resume("sub", 5);
        await subscriber.Subscribe("t", 2);
        var publisher = await Connect("pub", 5);
        foreach (var code in new byte[] { 0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99 })
        {
            await publisher.Publish("t", "x", 2);
            var id = (await subscriber.NextPublish()).Id;
            await subscriber.Send(Packet.Ack(5, id, code));
            if (code < 0x80)
            {
                await subscriber.Expect(Packet.Ack(6, id));
                await subscriber.Send(Packet.Ack(7, id));
            }
            await subscriber.ExpectNothing();
        }
        await Cut(subscriber);
        subscriber = await Resume("sub", 5);
        await subscriber.ExpectNothing();
    }

    [Theory]
    [InlineData(4, 0x92)]
    [InlineData(4, 0x01)]
    [InlineData(5, 0x92)]
    [InlineData(6, 0x80)]
    [InlineData(7, 0x10)]
    [Statement("MQTT-3.4.2-1", "MQTT-3.5.2-1", "MQTT-3.6.2-1", "MQTT-3.7.2-1")]
    public async Task A_code_of_another_table_is_a_protocol_error(int type, byte code)
    {
        var client = await Connect("c", 5);
        await client.Send(Packet.Ack(type, 1, code));
        await client.ExpectDisconnect(0x81, 0x82);
    }

    [Fact]
    [Statement("MQTT-4.4.0-2")]
    public async Task A_delivery_that_the_client_refused_is_settled()
    {
        var subscriber = await Resume("sub", 5);
        await subscriber.Subscribe("t", 2);
        var publisher = await Connect("pub", 5);
        await publisher.Publish("t", "one", 1);
        await publisher.Publish("t", "two", 2);
        await subscriber.Send(Packet.Ack(4, (await subscriber.NextPublish()).Id, 0x80));
        await subscriber.Send(Packet.Ack(5, (await subscriber.NextPublish()).Id, 0x83));
        await subscriber.ExpectNothing();
        await Cut(subscriber);
        subscriber = await Resume("sub", 5);
        await subscriber.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-4.3.3-7")]
    public async Task Expiry_no_longer_applies_to_what_was_sent()
    {
        var subscriber = await Resume("sub", 5);
        await subscriber.Subscribe("t", 2);
        var publisher = await Connect("pub", 5);
        await publisher.Publish("t", "x", 2, properties: Packet.Property(0x02, 2u));
        var first = await subscriber.NextPublish();
        await Cut(subscriber);
        Broker.Advance(TimeSpan.FromSeconds(4));
        subscriber = await Resume("sub", 5);
        var again = await subscriber.Take();
        Assert.Equal((first.Id, "x", true), (again.Id, again.Payload, again.Dup));
    }

    [Fact]
    [Statement("MQTT-4.3.3-13")]
    public async Task The_exchange_goes_on_though_the_message_has_expired()
    {
        var publisher = await Connect("pub", 5);
        await publisher.Send(Packet.Publish("t", "x", 2, 5, properties: Packet.Property(0x02, 1u)));
        await publisher.ExpectAck(5, 5);
        Broker.Advance(TimeSpan.FromSeconds(3));
        await publisher.Send("62 02 0005");
        await publisher.Expect("70 02 0005");
    }

    [Fact]
    [Statement("MQTT-4.3.3-9")]
    public async Task After_a_failing_PUBREC_the_identifier_stands_for_a_new_message()
    {
        var subscriber = await Connect("sub", 5);
        await subscriber.Subscribe("t", 0);
        var publisher = await Connect("pub", 5);
        await publisher.Send(Packet.Publish("denied/x", "no", 2, 5));
        Assert.Equal(0x87, (await publisher.NextAnswer()).Code);
        await publisher.Publish("t", "yes", 2, 5);
        Assert.Equal("yes", (await subscriber.Take()).Payload);
    }

    /// <summary>The answer has a reason string, but not where the packet would be too large or nobody wants to know.</summary>
    private async Task CheckReason(Func<RawClient, Task> cause, int first, byte code)
    {
        foreach (var (properties, hasReason) in new[] { ("", true), ("17 01", true), ("27 00000014", false), ("17 00", false) })
        {
            var client = await Connect(new ConnectOptions { ClientId = "c", Properties = Hex.Read(properties) });
            await cause(client);
            var packet = await client.Next();
            var answer = ReceivedAnswer.Read(packet);
            // An unknown identifier needs no explanation.
            Assert.Equal((first, code, hasReason && code != 0x92), (answer.FirstByte, answer.Code, answer.Properties.Has(0x1F)));
            Assert.False(answer.Properties.Has(0x26));
            Assert.True(hasReason || packet.Length <= 20);
            await client.ExpectNothing();
        }
    }
}
