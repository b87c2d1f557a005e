using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.V5;

/// <summary>Section 3.3.1: DUP, QoS and RETAIN of PUBLISH, and the options of subscriptions about retained messages.</summary>
public sealed class PublishTests
{
    [Fact]
    [Statement("MQTT-3.3.1-1")]
    public async Task A_publish_that_is_sent_again_says_so()
    {
        await using var broker = TestBroker.Start();
        await using var publisher = await broker.Connect("pub");
        await using var client = await broker.Connect(Steps.Lasting("c"));
        await client.Subscribe("t", 1);
        await publisher.PublishAcked("t", "x");
        var first = await client.NextPublish();
        Assert.False(first.Dup);
        await broker.CutOff(client, "c");
        await using var back = await broker.Connect(Steps.Lasting("c"));
        var again = await back.NextPublish();
        Assert.Equal((true, first.Id, "x"), (again.Dup, again.Id, again.Payload));
    }

    [Fact]
    [Statement("MQTT-3.3.1-2")]
    public async Task DUP_has_no_place_at_QoS_0()
    {
        await using var broker = TestBroker.Start();
        await using var watcher = await broker.Connect("watcher");
        await watcher.Subscribe("t", 0);
        await broker.Rejects("38 05 0001 74 00 78", 0x81, 0x82);
        await watcher.ExpectNothing();
        await using var publisher = await broker.Connect("pub");
        await publisher.Send("3A 07 0001 74 0001 00 78");
        Assert.False((await watcher.Receives("x")).Dup);
    }

    [Theory]
    [InlineData("3A 07 0001 74 0001 00 78")]
    [InlineData("3C 07 0001 74 0001 00 78")]
    [Statement("MQTT-3.3.1-3")]
    public async Task DUP_of_the_publisher_is_not_passed_on(string publish)
    {
        await using var broker = TestBroker.Start();
        await using var subscriber = await broker.Connect("sub");
        await subscriber.Subscribe("t", 2);
        await using var publisher = await broker.Connect("pub");
        await publisher.Send(publish);
        Assert.False((await subscriber.Receives("x")).Dup);
    }

    [Theory]
    [InlineData("36 07 0001 74 0001 00 78")]
    [InlineData("3E 07 0001 74 0001 00 78")]
    [Statement("MQTT-3.3.1-4")]
    public async Task QoS_3_is_malformed(string publish)
    {
        await using var broker = TestBroker.Start();
        await broker.Rejects(publish, 0x81);
    }

    [Fact]
    [Statement("MQTT-3.3.1-5")]
    public async Task The_last_retained_message_of_a_topic_is_the_one_that_is_kept_with_quality_and_properties()
    {
        await using var broker = TestBroker.Start();
        await using var publisher = await broker.Connect("pub");
        await publisher.PublishSettled("t", "1", retain: true, properties: Packet.UserProperty("version", "1"));
        await publisher.PublishAcked("t", "2", retain: true, properties: Packet.UserProperty("version", "2"));
        await using var subscriber = await broker.Connect("sub");
        await subscriber.Subscribe("#", 2);
        var kept = await subscriber.Receives("2");
        Assert.Equal((true, 1), (kept.Retain, kept.Qos));
        Assert.Equal(["version=2"], kept.Read().UserProperties);
        await subscriber.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.3.1-6", "MQTT-3.3.1-7")]
    public async Task An_empty_retained_message_is_delivered_and_clears_the_topic()
    {
        await using var broker = TestBroker.Start();
        await using var publisher = await broker.Connect("pub");
        await publisher.PublishSettled("t", "kept", retain: true);
        await using var live = await broker.Connect("live");
        await live.Subscribe("t", 0);
        await live.Receives("kept");
        await publisher.Send("31 04 0001 74 00");
        await live.Receives("");
        await publisher.PublishSettled("fresh", "", retain: true);
        await using var later = await broker.Connect("later");
        await later.Subscribe("#", 0);
        await later.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.3.1-8")]
    public async Task A_message_without_RETAIN_leaves_the_retained_one_alone()
    {
        await using var broker = TestBroker.Start();
        await using var publisher = await broker.Connect("pub");
        await publisher.PublishSettled("t", "a", retain: true);
        await publisher.PublishSettled("t", "b");
        await publisher.PublishSettled("t", "");
        await publisher.PublishSettled("other", "c");
        await using var subscriber = await broker.Connect("sub");
        await subscriber.Subscribe("#", 0);
        Assert.True((await subscriber.Receives("a")).Retain);
        await subscriber.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.3.1-9")]
    public async Task Retain_handling_0_sends_at_each_subscribe()
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect("c");
        await client.PublishSettled("t", "kept", retain: true);
        for (var i = 0; i < 2; i++)
        {
            await client.Subscribe("t", 0x00);
            Assert.True((await client.Receives("kept")).Retain);
        }
        await client.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.3.1-10")]
    public async Task Retain_handling_1_sends_to_new_subscriptions_only()
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect(Steps.Lasting("c"));
        await client.PublishSettled("t", "kept", retain: true);
        await client.Subscribe("t", 0x10);
        await client.Receives("kept");
        await client.Subscribe("t", 0x10);
        await client.ExpectNothing();
        await client.Ask(Packet.Unsubscribe(1, true, "t"));
        await client.Subscribe("t", 0x10);
        await client.Receives("kept");
        await broker.CutOff(client, "c");
        await using var back = await broker.Connect(Steps.Lasting("c"));
        await back.Subscribe("t", 0x10);
        await back.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.3.1-11")]
    public async Task Retain_handling_2_sends_nothing_at_subscribe()
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect("c");
        await client.PublishSettled("t", "kept", retain: true);
        await client.Subscribe("t", 0x20);
        await client.ExpectNothing();
        await client.Send(Packet.Publish("t", "live"));
        await client.Receives("live");
    }

    [Theory]
    [InlineData(0x00, false)]
    [InlineData(0x01, false)]
    [InlineData(0x08, true)]
    [InlineData(0x09, true)]
    [Statement("MQTT-3.3.1-12", "MQTT-3.3.1-13", "U5-26")]
    public async Task A_live_message_keeps_its_RETAIN_only_as_published(byte options, bool keeps)
    {
        await using var broker = TestBroker.Start();
        await using var subscriber = await broker.Connect("sub");
        await using var publisher = await broker.Connect("pub");
        await subscriber.Subscribe("t", options);
        await publisher.PublishAcked("t", "retained", retain: true);
        Assert.Equal(keeps, (await subscriber.Receives("retained")).Retain);
        await publisher.PublishAcked("t", "ordinary");
        Assert.False((await subscriber.Receives("ordinary")).Retain);
        // At subscribe it is retained whatever the option says.
        await subscriber.Subscribe("t", options);
        Assert.True((await subscriber.Receives("retained")).Retain);
    }

    [Theory]
    [InlineData("30 03 0005 74")]
    [InlineData("30 01 00")]
    [InlineData("30 00")]
    [InlineData("32 04 0001 74 00")]
    [Statement("MQTT-3.3.2-1", "U5-04")]
    public async Task A_topic_that_overruns_the_packet_is_malformed(string publish)
    {
        await using var broker = TestBroker.Start();
        await broker.Rejects(publish, 0x81);
    }

    [Theory]
    [InlineData("a/+")]
    [InlineData("#")]
    [InlineData("a+b")]
    [InlineData("a/#/b")]
    [Statement("MQTT-3.3.2-2")]
    public async Task A_topic_name_has_no_wildcards(string topic)
    {
        await using var broker = TestBroker.Start();
        await using var watcher = await broker.Connect("watcher");
        await watcher.Subscribe("#", 0);
        await broker.Rejects(Packet.Publish(topic, "x"), 0x81, 0x82, 0x90);
        await watcher.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.3.2-1", "MQTT-3.3.2-3")]
    public async Task A_delivery_has_the_name_it_was_published_under()
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect("c");
        await client.Subscribe("a/+/c", 0);
        await client.Subscribe("$share/g/x/#", 0);
        foreach (var topic in new[] { "a/b/c", "a//c", "x", "x/y/z" })
        {
            await client.Send(Packet.Publish(topic, topic), Packet.Publish(topic + "/not/here", ""));
            Assert.Equal(topic, (await client.Receives(topic)).Topic);
            if (topic[0] == 'x')
            {
                Assert.Equal(topic + "/not/here", (await client.Receives("")).Topic);
            }
        }
        await client.ExpectNothing();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [Statement("MQTT-3.3.4-1")]
    public async Task The_answer_to_a_publish_depends_on_its_quality(byte qos)
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect("c");
        for (var withSubscriber = 0; withSubscriber < 2; withSubscriber++)
        {
            await client.Send(Packet.Publish("t", "x", qos, 9));
            if (qos > 0)
            {
                var answer = await client.NextAnswer();
                Assert.Equal((qos == 1 ? 0x40 : 0x50, "00 09"), (answer.FirstByte, Hex.Write(answer.Head)));
            }
            await client.ExpectNothing();
            await using var subscriber = await broker.Connect("sub");
            await subscriber.Subscribe("t", 2);
            if (qos == 2)
            {
                Assert.Equal(0x70, (await client.Ask(Packet.Ack(6, 9))).FirstByte);
            }
        }
    }

    [Theory]
    [InlineData(2, 0)]
    [InlineData(0, 2)]
    [InlineData(1, 2)]
    [Statement("MQTT-3.3.4-2")]
    public async Task Overlapping_subscriptions_deliver_at_the_highest_of_their_qualities(byte first, byte second)
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect("sub");
        await using var publisher = await broker.Connect("pub");
        await client.Subscribe("a/#", first);
        await client.Subscribe("a/b", second);
        await publisher.Send(Packet.Publish("a/b", "x", 2, 1));
        Assert.Equal(2, (await client.Receives("x")).Qos);
        await client.ExpectNothing();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(127)]
    [InlineData(128)]
    [InlineData(268_435_455)]
    [Statement("MQTT-3.3.4-3")]
    public async Task A_delivery_carries_the_identifier_of_its_subscription_live_and_retained(int id)
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect("c");
        await client.PublishSettled("a/kept", "kept", retain: true);
        await client.Subscribe("a/#", 1, id);
        Assert.Equal(new[] { id }, (await client.Receives("kept")).Read().SubscriptionIds);
        await client.Send(Packet.Publish("a/b", "live"));
        Assert.Equal(new[] { id }, (await client.Receives("live")).Read().SubscriptionIds);
    }

    [Fact]
    [Statement("MQTT-3.3.4-4", "MQTT-3.3.4-5")]
    public async Task A_combined_delivery_carries_all_identifiers_there_are()
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect(Steps.Lasting("sub"));
        await using var publisher = await broker.Connect("pub");
        await client.Subscribe("a/#", 1, 1);
        await client.Subscribe("a/+", 1, 2);
        await client.Subscribe("a/b", 1);
        await client.Subscribe("#", 1, 2);
        await publisher.PublishAcked("a/b", "live");
        Assert.Equal(new[] { 1, 2, 2 }, (await client.Receives("live")).Read().SubscriptionIds);
        await client.ExpectNothing();
        await broker.CutOff(client, "sub");
        await publisher.PublishAcked("a/b", "queued");
        await using var back = await broker.Connect(Steps.Lasting("sub"));
        Assert.Equal(new[] { 1, 2, 2 }, (await back.Receives("queued")).Read().SubscriptionIds);
    }

    [Fact]
    [Statement("MQTT-3.3.4-6")]
    public async Task A_client_sends_no_subscription_identifier()
    {
        await using var broker = TestBroker.Start();
        await broker.Rejects("30 07 0001 74 02 0B01 78", 0x82, 0x81);
    }
}
