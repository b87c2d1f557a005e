using IotHub.Broker;
using IotHub.Harness;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.V5;

/// <summary>Section 3.3.2.3: the properties of PUBLISH.</summary>
public sealed class PublishPropertiesTests
{
    /// <summary>Publishes retained at QoS 1 and returns what reaches a live, an absent and a later subscriber.</summary>
    private static async Task<ReceivedPublish[]> Spread(string propertiesHex)
    {
        await using var broker = TestBroker.Start();
        await using var live = await broker.Connect("live");
        await live.Subscribe("t", 0);
        await using var absent = await broker.Connect(Steps.Lasting("absent"));
        await absent.Subscribe("t", 1);
        await broker.CutOff(absent, "absent");
        await using var publisher = await broker.Connect("pub");
        await publisher.PublishAcked("t", "x", retain: true, properties: Hex.Read(propertiesHex));
        await using var back = await broker.Connect(Steps.Lasting("absent"));
        await using var later = await broker.Connect("later");
        await later.Subscribe("t", 1);
        return [await live.Receives("x"), await back.Receives("x"), await later.Receives("x")];
    }

    [Theory]
    [InlineData("01 01")]
    [InlineData("01 00")]
    [InlineData("")]
    [InlineData("03 0006 746578742F78")] // text/x
    [InlineData("03 0003 3F2021")] // no MIME type
    [InlineData("08 0003 722F31")] // r/1
    [InlineData("09 0003 00FF00")]
    [InlineData("26 0000 0001 76 26 0001 6E 0000 26 0001 6E 0000")] // no name, no value, one twice
    [InlineData("26 0001 62 0001 32 26 0001 61 0001 31 26 0001 62 0001 32")] // b=2 a=1 b=2
    [InlineData("26 0001 62 0001 32 03 0001 78 26 0001 61 0001 31 09 0000 01 01 08 0001 72")]
    [Statement("MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-17", "MQTT-3.3.2-18", "MQTT-3.3.2-20")]
    public async Task Properties_of_the_message_travel_on_unchanged(string properties)
    {
        foreach (var received in await Spread(properties))
        {
            Assert.Equal(Hex.Write(Hex.Read(properties)), Hex.Write(received.Properties));
        }
    }

    [Fact]
    [Statement("MQTT-3.3.2-5")]
    public async Task A_copy_that_expires_before_it_is_sent_is_not_sent()
    {
        await using var broker = TestBroker.Start(time: new ManualTime());
        await using var publisher = await broker.Connect(new ConnectOptions { ClientId = "pub", KeepAlive = 0 });
        await using var absent = await broker.Connect(Steps.Lasting("absent"));
        await absent.Subscribe("t", 1);
        await broker.CutOff(absent, "absent");
        await publisher.PublishAcked("t", "short", properties: Packet.Property(0x02, 1u));
        await publisher.PublishAcked("t", "long", properties: Packet.Property(0x02, 100u));
        broker.Advance(TimeSpan.FromSeconds(2));
        await using var back = await broker.Connect(Steps.Lasting("absent"));
        await back.Receives("long");
        await back.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.3.2-5")]
    public async Task A_message_held_back_by_a_full_window_expires_there()
    {
        await using var broker = TestBroker.Start(time: new ManualTime());
        await using var publisher = await broker.Connect("pub");
        await using var client = await broker.Connect(new ConnectOptions { ClientId = "c", Properties = Packet.Property(0x21, (ushort)1) });
        await client.Subscribe("t", 1);
        await publisher.PublishAcked("t", "open");
        await publisher.PublishAcked("t", "held back", properties: Packet.Property(0x02, 1u));
        var open = await client.NextPublish();
        broker.Advance(TimeSpan.FromSeconds(2));
        await client.Send(Packet.Ack(4, open.Id));
        await client.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.3.2-5", "U5-28")]
    public async Task A_retained_message_expires()
    {
        await using var broker = TestBroker.Start(time: new ManualTime());
        await using var client = await broker.Connect("c");
        await client.PublishSettled("t", "x", retain: true, properties: Packet.Property(0x02, 10u));
        broker.Advance(TimeSpan.FromSeconds(9));
        await client.Subscribe("t", 0);
        await client.Receives("x");
        broker.Advance(TimeSpan.FromSeconds(2));
        await client.Subscribe("t", 0);
        await client.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.3.2-6")]
    public async Task A_delivery_states_what_is_left_of_its_expiry()
    {
        await using var broker = TestBroker.Start(time: new ManualTime());
        await using var publisher = await broker.Connect("pub");
        await using var absent = await broker.Connect(Steps.Lasting("absent"));
        await absent.Subscribe("t", 1);
        await broker.CutOff(absent, "absent");
        await using var live = await broker.Connect("live");
        await live.Subscribe("t", 1);
        await publisher.PublishAcked("t", "x", retain: true, properties: Packet.Property(0x02, 60u));
        Assert.Equal(60u, (await live.Receives("x")).Read().Number(0x02));
        broker.Advance(TimeSpan.FromSeconds(3));
        await using var back = await broker.Connect(Steps.Lasting("absent"));
        Assert.Equal(57u, (await back.Receives("x")).Read().Number(0x02));
        await live.Subscribe("t", 0);
        Assert.Equal(57u, (await live.Receives("x")).Read().Number(0x02));
    }

    [Fact]
    [Statement("MQTT-3.3.2-7", "U5-07")]
    public async Task Aliases_end_with_their_connection()
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect(Steps.Lasting("c"));
        await client.Send("30 08 0001 74 03 230001 78");
        await client.ExpectNothing();
        await broker.CutOff(client, "c");
        await using var back = await broker.Connect(Steps.Lasting("c"));
        Assert.True(ReceivedAnswer.Read(back.ConnAck).SessionPresent);
        await back.Send("30 07 0000 03 230001 78");
        await back.ExpectDisconnect(0x82);
    }

    [Fact]
    [Statement("MQTT-3.3.2-8", "U5-08")]
    public async Task Alias_0_is_refused()
    {
        await using var broker = TestBroker.Start();
        await broker.Rejects("30 08 0001 74 03 230000 78", 0x94);
    }

    [Fact]
    [Statement("MQTT-3.3.2-12", "U5-09")]
    public async Task Every_alias_up_to_the_announced_maximum_works_and_can_be_given_another_topic()
    {
        await using var broker = TestBroker.Start();
        await using var subscriber = await broker.Connect("sub");
        await subscriber.Subscribe("#", 0);
        await using var client = await broker.Connect("c");
        var maximum = (ushort)ReceivedAnswer.Read(client.ConnAck).Properties.Number(0x22);
        for (ushort alias = 1; alias <= maximum; alias++)
        {
            await client.Send(Packet.Publish($"topic/{alias}", "", properties: Packet.Property(0x23, alias)));
            Assert.Equal($"topic/{alias}", (await subscriber.NextPublish()).Topic);
        }
        foreach (var alias in new[] { (ushort)1, maximum })
        {
            await client.Send(Packet.Publish("", "", properties: Packet.Property(0x23, alias)));
            var received = await subscriber.NextPublish();
            Assert.Equal($"topic/{alias}", received.Topic);
            Assert.Empty(received.Properties);
        }
        await client.Send(
            Packet.Publish("other", "", properties: Packet.Property(0x23, (ushort)1)),
            Packet.Publish("", "", properties: Packet.Property(0x23, (ushort)1)));
        Assert.Equal("other", (await subscriber.NextPublish()).Topic);
        Assert.Equal("other", (await subscriber.NextPublish()).Topic);
    }

    [Fact]
    [Statement("U5-06")]
    public async Task An_empty_topic_needs_an_alias()
    {
        await using var broker = TestBroker.Start();
        await broker.Rejects("30 04 0000 00 78", 0x82);
    }

    [Theory]
    [InlineData(1, 0)]
    [InlineData(2, 0)]
    [InlineData(2, 1)]
    [InlineData(2, 2)]
    [InlineData(65_535, 1)]
    [Statement("MQTT-3.1.2-26", "MQTT-3.3.2-11", "MQTT-3.3.2-8")]
    public async Task Aliases_of_the_server_stay_within_what_the_client_allows_and_name_the_right_topic(ushort maximum, byte qos)
    {
        await using var broker = TestBroker.Start();
        await using var publisher = await broker.Connect("pub");
        await using var client = await broker.Connect(new ConnectOptions { ClientId = "c", Properties = Packet.Property(0x22, maximum) });
        await client.Subscribe("#", qos);
        var aliases = new Dictionary<uint, string>();
        var savedNames = 0;
        for (var i = 0; i < 15; i++)
        {
            var topic = $"topic/{i % 5}";
            await publisher.Send(Packet.Publish(topic, "x", qos, (ushort)(i + 1)));
            var received = await client.Receives("x");
            var name = received.Topic;
            if (received.Read().Has(0x23))
            {
                var alias = received.Read().Number(0x23);
                Assert.InRange(alias, 1u, maximum);
                savedNames += name.Length == 0 ? 1 : 0;
                name = aliases[alias] = name.Length > 0 ? name : aliases[alias];
            }
            Assert.Equal(topic, name);
        }
        Assert.Equal(2 * Math.Min((int)maximum, 5), savedNames);
    }

    [Fact]
    [Statement("MQTT-3.1.2-26", "MQTT-3.3.2-7")]
    public async Task Aliases_of_the_server_are_set_anew_on_each_connection_also_for_what_waited()
    {
        await using var broker = TestBroker.Start();
        await using var publisher = await broker.Connect("pub");
        var options = new ConnectOptions
        {
            ClientId = "c",
            CleanStart = false,
            Properties = [.. Packet.Property(0x11, 300u), .. Packet.Property(0x22, (ushort)10)],
        };
        await using var client = await broker.Connect(options);
        await client.Subscribe("topic", 1, 7);
        await publisher.PublishAcked("topic", "1");
        await publisher.PublishAcked("topic", "2");
        Assert.Equal(("topic", "23 00 01 0B 07"), await NameAndProperties(client));
        Assert.Equal(("", "23 00 01 0B 07"), await NameAndProperties(client));
        await broker.CutOff(client, "c");
        await publisher.PublishAcked("topic", "3");
        await using var back = await broker.Connect(options);
        // Two are sent again, one waited.
        Assert.Equal(("topic", "23 00 01 0B 07"), await NameAndProperties(back));
        Assert.Equal(("", "23 00 01 0B 07"), await NameAndProperties(back));
        Assert.Equal(("", "23 00 01 0B 07"), await NameAndProperties(back));
        await broker.CutOff(back, "c");
        await using var without = await broker.Connect(Steps.Lasting("c"));
        Assert.Equal(("topic", "0B 07"), await NameAndProperties(without));
    }

    private static async Task<(string, string)> NameAndProperties(RawClient client)
    {
        var received = await client.NextPublish();
        return (received.Topic, Hex.Write(received.Properties));
    }

    [Theory]
    [InlineData("")]
    [InlineData("22 0000")]
    [Statement("MQTT-3.1.2-27")]
    public async Task Without_leave_the_server_sets_no_alias(string properties)
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect(new ConnectOptions { ClientId = "c", Properties = Hex.Read(properties) });
        await client.Subscribe("#", 1);
        for (ushort i = 1; i <= 3; i++)
        {
            await client.Send(Packet.Publish("a/long/topic", "x"));
            var received = await client.Receives("x");
            Assert.Equal(("a/long/topic", 0), (received.Topic, received.Properties.Length));
        }
    }

    [Fact]
    [Statement("MQTT-3.1.2-26")]
    public async Task The_server_sets_aliases_only_where_they_fit_and_save_something()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { OutgoingTopicAliasMaximum = 1 });
        await using var publisher = await broker.Connect("pub");
        byte[] limits = [.. Packet.Property(0x22, (ushort)5), .. Packet.Property(0x27, 30u)];
        await using var client = await broker.Connect(new ConnectOptions { ClientId = "c", Properties = limits });
        await client.Subscribe("#", 0);
        await publisher.PublishSettled("abc", "short");
        Assert.Empty((await client.Receives("short")).Properties);
        // 30 bytes without an alias: with one it would not fit.
        var payload = new string('x', 30 - 2 - 7 - 1);
        await publisher.PublishSettled("topic", payload);
        Assert.Equal(("topic", ""), await NameAndProperties(client));
        await publisher.PublishSettled("topic", "");
        Assert.Equal(("topic", "23 00 01"), await NameAndProperties(client));
        await publisher.PublishSettled("topic", payload);
        Assert.Equal(("", "23 00 01"), await NameAndProperties(client));
        await publisher.PublishSettled("other", "");
        Assert.Equal(("other", ""), await NameAndProperties(client));
    }

    [Theory]
    [InlineData("08 0003 EDA080")]
    [InlineData("03 0003 EDA080")]
    [Statement("MQTT-3.3.2-13", "MQTT-3.3.2-19")]
    public async Task Response_topic_and_content_type_are_text(string property)
    {
        await using var broker = TestBroker.Start();
        await broker.Rejects(Packet.Publish("t", "x", properties: Hex.Read(property)), 0x81);
    }

    [Theory]
    [InlineData("r/#")]
    [InlineData("r/+")]
    [InlineData("+")]
    [Statement("MQTT-3.3.2-14")]
    public async Task A_response_topic_has_no_wildcards(string topic)
    {
        await using var broker = TestBroker.Start();
        await broker.Rejects(Packet.Publish("t", "x", properties: Packet.Property(0x08, topic)), 0x81, 0x82, 0x90);
    }

    [Theory]
    [InlineData(1, 0x40)]
    [InlineData(2, 0x50)]
    [Statement("U5-23")]
    public async Task A_payload_that_is_not_the_text_it_says_is_refused(byte qos, byte answer)
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect("c");
        await client.Subscribe("t", 0);
        await client.Send(Packet.Whole((byte)(0x30 | (qos << 1)), Hex.Read("0001 74 0001 02 0101 FF")));
        var refusal = await client.NextAnswer();
        Assert.Equal((answer, 0x99), (refusal.FirstByte, refusal.Code));
        await client.ExpectNothing();
        await broker.Rejects("30 07 0001 74 02 0101 FF", 0x99);
        // A refused id is free again.
        Assert.InRange((await client.Ask(Packet.Publish("nobody", "x", qos, 1))).Code, 0, 0x10);
    }

    [Fact]
    [Statement("U5-23")]
    public async Task The_payload_check_can_be_switched_off_and_covers_wills()
    {
        await using var lenient = TestBroker.Start(new BrokerLimits { CheckPayloadFormat = false });
        await using var client = await lenient.Connect("c");
        await client.Subscribe("t", 0);
        await client.Send("30 07 0001 74 02 0101 FF");
        await client.Expect("30 07 0001 74 02 0101 FF");
        await using var strict = TestBroker.Start();
        await strict.Refuses(Packet.RawConnect("06", "0001 63 02 0101 0001 77 0001 FF"), 0x99);
    }
}
