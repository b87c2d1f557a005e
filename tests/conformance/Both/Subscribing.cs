using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.Both;

public sealed class SubscribingOverTcp() : Subscribing(Via.Tcp);

/// <summary>The same against a broker that writes to a disk.</summary>
public sealed class DurableSubscribing() : Subscribing(Via.Durable);

public sealed class SubscribingOverTls() : Subscribing(Via.Tls);

public sealed class SubscribingOverWebSocket() : Subscribing(Via.WebSocket);

public sealed class SubscribingOverSecureWebSocket() : Subscribing(Via.SecureWebSocket);

/// <summary>Sections 3.8 to 3.11: SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK.</summary>
public abstract class Subscribing(Via via) : Conversation(via)
{
    [Theory, BothVersions]
    [Statement("MQTT-3.8.4-1", "MQTT-3.8.4-2")]
    [Statement("MQTT-2.3.1-7", "MQTT-3.8.4-1", "MQTT-3.8.4-2", Version = 4)]
    public async Task Each_SUBSCRIBE_is_answered_with_its_identifier(byte level)
    {
        var client = await Connect("c", level);
        await client.Send([.. new ushort[] { 7, 65535, 3 }.Select(id => Packet.Subscribe(id, level == 5, 0, ("t", 0)))]);
        foreach (var id in new[] { "0007", "FFFF", "0003" })
        {
            await client.Expect(level == 5 ? $"90 04 {id} 00 00" : $"90 03 {id} 00");
        }
    }

    [Theory, BothVersions]
    [Statement("MQTT-3.8.4-5", "MQTT-3.8.4-6", "MQTT-3.8.4-7", "MQTT-3.9.3-1", "MQTT-3.9.3-2")]
    [Statement("MQTT-3.8.4-5", "MQTT-3.8.4-6", "MQTT-3.9.3-1", "MQTT-3.9.3-2", Version = 4)]
    public async Task SUBACK_has_one_code_per_filter_in_their_order(byte level)
    {
        var client = await Connect("c", level);
        byte denied = level == 5 ? (byte)0x87 : (byte)0x80;
        byte invalid = level == 5 ? (byte)0x8F : (byte)0x80;
        Assert.Equal([2, 0, denied, 1, invalid], await client.SubscribeTo(("a", 2), ("b", 0), ("denied/x", 1), ("c", 1), ("x/#/y", 1)));
        var codes = await client.SubscribeTo([.. Enumerable.Range(0, 1000).Select(i => ($"f/{i}", (byte)(i % 3)))]);
        Assert.Equal(Enumerable.Range(0, 1000).Select(i => (byte)(i % 3)), codes);
        await client.Publish("denied/x", "no");
        await client.ExpectNothing();
    }

    [Theory, BothVersions]
    [Statement("MQTT-3.8.4-5")]
    [Statement("MQTT-3.8.4-4", Version = 4)]
    public async Task Many_filters_in_one_packet_work_like_many_packets(byte level)
    {
        var client = await Connect("c", level);
        Assert.Equal([0, 0, 0, 1], await client.SubscribeTo(("a", 0), ("b", 0), ("c/#", 0), ("a", 1)));
        var publisher = await Connect("pub", level);
        await publisher.Publish("b", "b", 1);
        await publisher.Publish("c/d", "c", 1);
        // The filter that stood twice: the second one counts, and there is one subscription.
        await publisher.Publish("a", "a", 1);
        Assert.Equal([("b", 0), ("c", 0), ("a", 1)], (await client.Take(3)).Select(r => (r.Payload, (int)r.Qos)));
        await client.ExpectNothing();
    }

    [Theory, BothVersions]
    [Statement("MQTT-3.8.4-3", "MQTT-3.8.4-4")]
    [Statement("MQTT-3.8.4-3", Version = 4)]
    public async Task The_same_filter_again_replaces_the_subscription_without_a_gap(byte level)
    {
        var subscriber = await Connect("sub", level);
        var publisher = await Connect("pub", level);
        await publisher.Publish("t", "kept", 1, retain: true);
        await subscriber.Subscribe("t", 1);
        Assert.True((await subscriber.Take()).Retain);

        const int Count = 200;
        var stream = Task.Run(async () =>
        {
            for (ushort i = 1; i <= Count; i++)
            {
                await publisher.Publish("t", $"{i}", 1, i);
            }
        });
        var expected = 1;
        var retained = 0;
        var subacks = 0;
        for (var i = 0; expected <= Count || subacks < 10; i++)
        {
            if (i % 20 == 0 && i < 200)
            {
                await subscriber.Send(Packet.Subscribe(1, level == 5, 0, ("t", (byte)(1 + (i / 20 % 2)))));
            }
            var packet = await subscriber.Next();
            if (packet[0] == 0x90)
            {
                subacks++;
                continue;
            }
            var received = ReceivedPublish.Read(packet, level == 5);
            await subscriber.Send(Packet.Ack(4, received.Id));
            retained += received.Retain ? 1 : 0;
            if (!received.Retain)
            {
                Assert.Equal($"{expected++}", received.Payload);
            }
        }
        await stream;
        await subscriber.Send("C0 00");
        for (var packet = await subscriber.Next(); packet[0] != 0xD0; packet = await subscriber.Next())
        {
            retained += ReceivedPublish.Read(packet, level == 5).Retain ? 1 : 0;
        }
        Assert.Equal(10, retained);
    }

    [Theory, BothVersions]
    [Statement("MQTT-3.8.4-3")]
    [Statement("MQTT-3.8.4-3", Version = 4)]
    public async Task A_replaced_subscription_delivers_once_at_its_new_quality(byte level)
    {
        var subscriber = await Connect("sub", level);
        await subscriber.Subscribe("t", 0, level == 5 ? 1 : 0);
        await subscriber.Subscribe("t", 1, level == 5 ? 2 : 0);
        var publisher = await Connect("pub", level);
        await publisher.Publish("t", "x", 1);
        var received = await subscriber.Take();
        Assert.Equal((1, level == 5 ? "0B 02" : ""), (received.Qos, Hex.Write(received.Properties)));
        await subscriber.ExpectNothing();
    }

    [Theory, BothVersions]
    [Statement("MQTT-3.8.4-8")]
    [Statement("MQTT-3.8.4-6", Version = 4)]
    public async Task A_message_is_delivered_at_the_lower_of_published_and_granted_quality(byte level)
    {
        var publisher = await Connect("pub", level);
        var subscribers = new List<RawClient>();
        for (byte granted = 0; granted <= 2; granted++)
        {
            subscribers.Add(await Connect($"sub{granted}", level));
            await subscribers[granted].Subscribe("live/#", granted);
        }
        for (byte published = 0; published <= 2; published++)
        {
            await publisher.Publish($"kept/{published}", "x", published, retain: true);
            await publisher.Publish($"live/{published}", "x", published);
            for (var granted = 0; granted <= 2; granted++)
            {
                Assert.Equal(Math.Min(published, granted), (await subscribers[granted].Take()).Qos);
            }
        }
        for (byte granted = 0; granted <= 2; granted++)
        {
            await subscribers[granted].Subscribe("kept/#", granted);
            Assert.All(await subscribers[granted].Take(3), r => Assert.Equal(Math.Min(r.Topic[^1] - '0', granted), r.Qos));
        }
    }

    [Theory, BothVersions]
    [Statement("MQTT-3.10.4-4", "MQTT-3.10.4-5", "MQTT-3.10.4-6", "MQTT-3.11.3-1", "MQTT-3.11.3-2")]
    [Statement("MQTT-2.3.1-7", "MQTT-3.10.3-1", "MQTT-3.10.4-4", "MQTT-3.10.4-5", "MQTT-3.10.4-6", Version = 4)]
    public async Task UNSUBSCRIBE_is_answered_once_for_all_its_filters_even_if_none_was_known(byte level)
    {
        var client = await Connect("c", level);
        await client.SubscribeTo(("a", 0), ("b", 0), ("c", 0));
        await client.Send(Packet.Unsubscribe(9, level == 5, "unknown"));
        await client.Expect(level == 5 ? "B0 04 0009 00 11" : "B0 02 0009");
        var codes = await client.UnsubscribeFrom("a", "x", "b", "a");
        Assert.Equal(level == 5 ? [0x00, 0x11, 0x00, 0x11] : [], codes);
        foreach (var topic in new[] { "a", "b", "c" })
        {
            await client.Publish(topic, topic);
        }
        Assert.Equal("c", (await client.Take()).Payload);
        await client.ExpectNothing();
    }

    [Theory, BothVersions]
    [Statement("MQTT-3.10.4-1", "MQTT-3.10.4-2")]
    [Statement("MQTT-3.10.4-1", "MQTT-3.10.4-2", Version = 4)]
    public async Task Only_the_identical_filter_is_deleted_and_nothing_more_is_queued_for_it(byte level)
    {
        var client = await Resume("c", level);
        await client.SubscribeTo(("a/+", 1), ("a/b", 1), ("x", 1));
        await client.UnsubscribeFrom("a/+", "A/b", "a/b/", "#", "x");
        var publisher = await Connect("pub", level);
        await publisher.Publish("a/c", "no", 1);
        await publisher.Publish("x", "no", 1);
        await publisher.Publish("a/b", "yes", 1);
        Assert.Equal("yes", (await client.Take()).Payload);
        await client.ExpectNothing();
        await Cut(client);
        await publisher.Publish("x", "no", 1);
        client = await Resume("c", level);
        await client.ExpectNothing();
    }

    [Theory, BothVersions]
    [Statement("MQTT-3.10.4-3")]
    [Statement("MQTT-3.10.4-3", Version = 4)]
    public async Task Deliveries_that_have_begun_are_carried_to_their_end_after_UNSUBSCRIBE(byte level)
    {
        var subscriber = await Resume("sub", level);
        await subscriber.Subscribe("t", 2);
        var publisher = await Connect("pub", level);
        await publisher.Publish("t", "one", 1, 1);
        await publisher.Publish("t", "two", 2, 2);
        await publisher.Publish("t", "three", 2, 3);
        var open = await subscriber.Receive(3);
        await subscriber.UnsubscribeFrom("t");
        await subscriber.Send(Packet.Ack(5, open[1].Id));
        await subscriber.Expect(Packet.Ack(6, open[1].Id));
        await Cut(subscriber);
        subscriber = await Resume("sub", level);
        Assert.Equal(("one", true), Dup(await subscriber.NextPublish()));
        await subscriber.Expect(Packet.Ack(6, open[1].Id));
        Assert.Equal(("three", true), Dup(await subscriber.NextPublish()));
        await subscriber.ExpectNothing();
    }

    [Theory, BothVersions]
    [Statement("MQTT-3.8.3-1", "MQTT-3.10.3-1")]
    [Statement("MQTT-1.5.3-1", "MQTT-1.5.3-2", "MQTT-3.8.3-1", "MQTT-3.10.3-1", "MQTT-4.7.3-2", Version = 4)]
    public async Task A_filter_that_is_not_UTF_8_ends_the_connection(byte level)
    {
        foreach (var text in new[] { "0003 EDA080", "0002 C0AF", "0001 80", "0002 E282", "0003 610062" })
        {
            foreach (var (first, options) in new[] { (0x82, "00"), (0xA2, "") })
            {
                var client = await Connect("c", level);
                await client.Send(Packet.Whole((byte)first, Hex.Read($"0001 {(level == 5 ? "00" : "")} {text} {options}")));
                await client.ExpectDisconnect(0x81);
            }
        }
    }

    private static (string Payload, bool Dup) Dup(ReceivedPublish received) => (received.Payload, received.Dup);
}
