using IotHub.Broker;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.V311;

/// <summary>3.1.1, section 3.3: PUBLISH.</summary>
public sealed class PublishTests : Conversation
{
    [Fact]
    [Statement("MQTT-3.3.1-2", "MQTT-3.3.1-3", Version = 4)]
    public async Task DUP_of_the_publisher_is_not_passed_on()
    {
        var client = await Connect("c", 4);
        await client.Send("82 06 0001 0001 74 02");
        await client.Expect("90 03 0001 02");
        await client.Send("3A 06 0001 74 0001 78");
        await client.Expect("32 06 0001 74 0001 78");
        await client.Expect("40 02 0001");
    }

    [Theory]
    [InlineData("36 06 0001 74 0001 78")] // QoS 3
    [InlineData("38 04 0001 74 78")] // DUP with QoS 0
    [InlineData("30 03 0005 74")] // a topic beyond the packet
    [InlineData("32 03 0001 74")] // no identifier
    [InlineData("30 01 00")]
    [Statement("MQTT-3.3.1-2", "MQTT-3.3.1-4", "MQTT-3.3.2-1", "MQTT-4.8.0-1", Version = 4)]
    public async Task A_malformed_PUBLISH_is_closed_without_an_answer(string packet)
    {
        var client = await Connect("c", 4);
        await client.Send(packet);
        await client.ExpectClosed();
    }

    [Fact]
    [Statement("MQTT-3.3.1-5", "MQTT-3.3.1-6", "MQTT-3.3.1-8", Version = 4)]
    public async Task A_new_subscription_gets_the_last_retained_message_of_each_topic_marked_so()
    {
        var publisher = await Connect("pub", 4);
        foreach (var (topic, payload) in new[] { ("a/1", "old"), ("a/2", "old"), ("a/1", "one"), ("a/2", "two"), ("b", "other") })
        {
            await publisher.Publish(topic, payload, 1, retain: true);
        }
        var subscriber = await Connect("sub", 4);
        await subscriber.Subscribe("a/+", 2);
        var received = new[] { await subscriber.Take(), await subscriber.Take() };
        Assert.All(received, r => Assert.True(r.Retain && r.Qos == 1 && !r.Dup));
        Assert.Equal(["one", "two"], received.OrderBy(r => r.Topic).Select(r => r.Payload));
        await subscriber.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.3.1-7", Version = 4)]
    public async Task A_retained_message_of_quality_0_replaces_one_of_quality_1()
    {
        var client = await Connect("c", 4);
        await client.Publish("t", "a", 1, retain: true);
        await client.Publish("t", "b", 0, retain: true);
        await client.Subscribe("t", 1);
        Assert.Equal("b", (await client.Take()).Payload);
        await client.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.3.1-9", "MQTT-3.3.1-10", "MQTT-3.3.1-11", "MQTT-3.3.1-12", Version = 4)]
    public async Task Existing_subscriptions_get_RETAIN_0_and_an_empty_message_clears_the_topic()
    {
        var live = await Connect("live", 4);
        await live.Subscribe("t", 1);
        var publisher = await Connect("pub", 4);
        await publisher.Publish("t", "a", 1, retain: true);
        await publisher.Publish("t", "b", 1);
        await publisher.Publish("t", "", 1);
        var late = await Connect("late", 4);
        await late.Subscribe("t", 1);
        Assert.Equal("a", (await late.Take()).Payload);
        await late.UnsubscribeFrom("t");

        await publisher.Send("31 03 0001 74");
        foreach (var payload in new[] { "a", "b", "", "" })
        {
            var received = await live.Take();
            Assert.Equal((payload, false), (received.Payload, received.Retain));
        }
        await late.Subscribe("t", 1);
        await late.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.3.4-1", Version = 4)]
    public async Task Each_quality_has_its_answer_with_subscribers_or_without()
    {
        var client = await Connect("c", 4);
        await client.Send("30 04 0001 74 78 32 06 0001 74 0001 78 34 06 0001 74 0001 78");
        await client.Expect("40 02 0001");
        await client.Expect("50 02 0001");
        await client.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.3.5-1", "MQTT-3.3.2-3", Version = 4)]
    public async Task Overlapping_subscriptions_deliver_at_the_highest_of_their_qualities()
    {
        var client = await Connect("c", 4);
        await client.SubscribeTo(("a/#", 0), ("a/b", 2), ("+/b", 1));
        var publisher = await Connect("pub", 4);
        await publisher.Publish("a/b", "x", 2);
        var received = await client.Take();
        Assert.Equal(("a/b", 2), (received.Topic, received.Qos));
        await client.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.3.5-2", Version = 4)]
    public async Task A_denied_message_is_acknowledged_and_delivered_to_nobody()
    {
        await using var broker = TestBroker.Start(authenticator: new GuardedDoor());
        await using var client = await broker.Connect("c", 4);
        await client.Subscribe("#", 2);
        await client.Publish("denied/x", "no", 0);
        await client.Publish("denied/x", "no", 1, retain: true);
        await client.Publish("denied/x", "no", 2);
        await client.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-4.8.0-2", Version = 4)]
    public async Task Without_room_the_message_is_not_acknowledged_and_its_sender_is_closed()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { RetainedMessagesPerHubMaximum = 1 });
        await using var other = await broker.Connect("other", 4);
        await other.Subscribe("#", 1);
        await using var client = await broker.Connect("c", 4);
        await client.Publish("one", "x", 1, retain: true);
        await client.Send(Packet.Publish("two", "x", 1, 2, retain: true, isV5: false));
        await client.ExpectClosed();
        Assert.Equal("one", (await other.Take()).Topic);
        await other.ExpectNothing();
    }
}
