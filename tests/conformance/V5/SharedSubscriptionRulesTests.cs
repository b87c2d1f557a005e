using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.V5;

public sealed class SharedSubscriptionRulesOverTcp() : SharedSubscriptionRulesTests(Via.Tcp);

/// <summary>The same against a broker that writes to a disk.</summary>
public sealed class DurableSharedSubscriptionRules() : SharedSubscriptionRulesTests(Via.Durable);

public sealed class SharedSubscriptionRulesOverTls() : SharedSubscriptionRulesTests(Via.Tls);

public sealed class SharedSubscriptionRulesOverWebSocket() : SharedSubscriptionRulesTests(Via.WebSocket);

public sealed class SharedSubscriptionRulesOverSecureWebSocket() : SharedSubscriptionRulesTests(Via.SecureWebSocket);

/// <summary>Rules about shared subscriptions that have no number (section 4.8.2).</summary>
public abstract class SharedSubscriptionRulesTests(Via via)
{
    [Fact]
    [Statement("U5-27")]
    public async Task A_shared_filter_brings_no_retained_messages()
    {
        await using var broker = TestBroker.Start(via: via);
        await using var client = await broker.Connect("c");
        await client.PublishSettled("t", "kept", retain: true);
        await client.Subscribe("$share/g/t", 1);
        await client.ExpectNothing();
        await client.Subscribe("$share/g/t", 1);
        await client.ExpectNothing();
    }

    [Fact]
    [Statement("U5-29")]
    public async Task A_shared_delivery_has_the_identifier_of_its_receiver_only()
    {
        await using var broker = TestBroker.Start(via: via);
        await using var publisher = await broker.Connect("pub");
        await using var first = await broker.Connect("a");
        await using var second = await broker.Connect("b");
        await first.Subscribe("$share/g/t", 1, 11);
        await second.Subscribe("$share/g/t", 1, 22);
        await publisher.PublishAcked("t", "x");
        await publisher.PublishAcked("t", "x");
        Assert.Equal(new[] { 11 }, (await first.Receives("x")).Read().SubscriptionIds);
        Assert.Equal(new[] { 22 }, (await second.Receives("x")).Read().SubscriptionIds);
    }

    [Fact]
    [Statement("U5-30")]
    public async Task Unsubscribing_leaves_the_group_and_the_last_to_leave_ends_it()
    {
        await using var broker = TestBroker.Start(via: via);
        await using var publisher = await broker.Connect("pub");
        await using var first = await broker.Connect("a");
        await using var second = await broker.Connect("b");
        await first.Subscribe("$share/g/t", 1);
        await second.Subscribe("$share/g/t", 1);
        Assert.Equal(0x11, (await first.Ask(Packet.Unsubscribe(1, true, "t"))).Code);
        Assert.Equal(0x00, (await first.Ask(Packet.Unsubscribe(1, true, "$share/g/t"))).Code);
        for (var i = 0; i < 2; i++)
        {
            await publisher.PublishAcked("t", "x");
            await second.Receives("x");
        }
        await first.ExpectNothing();
        await second.Ask(Packet.Unsubscribe(1, true, "$share/g/t"));
        Assert.Equal(0x10, (await publisher.Ask(Packet.Publish("t", "nobody", 1, 1))).Code);
        await first.Subscribe("$share/g/t", 1);
        await first.ExpectNothing();
    }

    [Fact]
    [Statement("U5-30")]
    public async Task What_waits_for_a_group_goes_with_its_last_member()
    {
        await using var broker = TestBroker.Start(via: via);
        await using var publisher = await broker.Connect("pub");
        await using var client = await broker.Connect(new ConnectOptions { ClientId = "c", Properties = Packet.Property(0x21, (ushort)1) });
        await client.Subscribe("$share/g/t", 1);
        await publisher.PublishAcked("t", "open");
        await publisher.PublishAcked("t", "waits");
        var open = await client.NextPublish();
        await client.Ask(Packet.Unsubscribe(1, true, "$share/g/t"));
        await client.Send(Packet.Ack(4, open.Id));
        await client.ExpectNothing();
    }

    [Fact]
    [Statement("U5-31")]
    public async Task Subscribing_twice_to_a_group_is_one_membership_with_the_later_options()
    {
        await using var broker = TestBroker.Start(via: via);
        await using var publisher = await broker.Connect("pub");
        await using var client = await broker.Connect("c");
        await client.Subscribe("$share/g/t", 0, 1);
        await client.Subscribe("$share/g/t", 1, 2);
        await publisher.PublishAcked("t", "x");
        var received = await client.Receives("x");
        Assert.Equal(1, received.Qos);
        Assert.Equal(new[] { 2 }, received.Read().SubscriptionIds);
        await client.ExpectNothing();
        await client.Ask(Packet.Unsubscribe(1, true, "$share/g/t"));
        Assert.Equal(0x10, (await publisher.Ask(Packet.Publish("t", "nobody", 1, 1))).Code);
    }

    [Fact]
    [Statement("U5-32")]
    public async Task An_ordinary_subscription_beside_a_shared_one_always_gets_its_copy()
    {
        await using var broker = TestBroker.Start(via: via);
        await using var publisher = await broker.Connect("pub");
        await using var both = await broker.Connect("both");
        await using var other = await broker.Connect("other");
        await both.Subscribe("t", 1, 1);
        await both.Subscribe("$share/g/t", 1, 2);
        await other.Subscribe("$share/g/t", 1, 3);
        for (ushort i = 1; i <= 4; i++)
        {
            await publisher.PublishAcked("t", "x", i);
        }
        var ordinary = 0;
        var shared = 0;
        for (var i = 0; i < 6; i++)
        {
            var id = Assert.Single((await both.Receives("x")).Read().SubscriptionIds);
            (ordinary, shared) = (ordinary + (id == 1 ? 1 : 0), shared + (id == 2 ? 1 : 0));
        }
        Assert.Equal((4, 2), (ordinary, shared));
        await other.Receives("x");
        await other.Receives("x");
        await other.ExpectNothing();
    }

    [Fact]
    [Statement("U5-33")]
    public async Task A_QoS_1_message_in_flight_to_a_member_whose_session_ends_goes_to_another()
    {
        await using var broker = TestBroker.Start(via: via);
        await using var publisher = await broker.Connect("pub");
        await using var leaving = await broker.Connect("leaving");
        await leaving.Subscribe("$share/g/t", 1);
        await publisher.PublishAcked("t", "x");
        await leaving.NextPublish();
        await using var staying = await broker.Connect("staying");
        await staying.Subscribe("$share/g/t", 1, 5);
        leaving.Cut();
        var received = await staying.Receives("x");
        Assert.Equal(new[] { 5 }, received.Read().SubscriptionIds);
        await staying.ExpectNothing();
    }

    /// <summary>It kept the flag that it had for the member before.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(300)]
    [Statement("MQTT-3.3.1-12")]
    public async Task A_message_that_goes_to_another_member_has_RETAIN_only_if_that_one_asked_for_it(uint expirySeconds)
    {
        await using var broker = TestBroker.Start(via: via);
        await using var publisher = await broker.Connect("pub");
        await using var leaving = await broker.Connect(Steps.Lasting("leaving", expirySeconds));
        await leaving.Subscribe("$share/g/t", 0x09);
        await publisher.PublishAcked("t", "x", retain: true);
        Assert.True((await leaving.NextPublish()).Retain);
        await using var staying = await broker.Connect("staying");
        await staying.Subscribe("$share/g/t", 1);
        leaving.Cut();
        Assert.False((await staying.Receives("x")).Retain);
    }
}
