using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.Both;

public sealed class DeliveryOverTcp() : Delivery(Via.Tcp);

/// <summary>The same against a broker that writes to a disk.</summary>
public sealed class DurableDelivery() : Delivery(Via.Durable);

public sealed class DeliveryOverSockets() : Delivery(Via.Sockets);

public sealed class DeliveryOverTls() : Delivery(Via.Tls);

public sealed class DeliveryOverWebSocket() : Delivery(Via.WebSocket);

public sealed class DeliveryOverSecureWebSocket() : Delivery(Via.SecureWebSocket);

/// <summary>Sections 4.1 and 4.3 to 4.5: session state, qualities of service, delivery retry, message receipt.</summary>
public abstract class Delivery(Via via) : Conversation(via)
{
    [Theory, BothVersions]
    [Statement("MQTT-4.3.1-1")]
    [Statement("MQTT-2.3.1-5", "MQTT-3.3.1-2", "MQTT-4.3.1-1", Version = 4)]
    public async Task Quality_0_goes_out_once_without_identifier_and_without_DUP(byte level)
    {
        var subscriber = await Resume("sub", level);
        await subscriber.Subscribe("t", 2);
        var publisher = await Connect("pub", level);
        await publisher.Send(level == 5 ? "30 05 0001 74 00 78" : "30 04 0001 74 78");
        await subscriber.Expect(level == 5 ? "30 05 0001 74 00 78" : "30 04 0001 74 78");
        await Cut(subscriber);
        subscriber = await Resume("sub", level);
        await subscriber.ExpectNothing();
    }

    [Theory, BothVersions]
    [Statement("MQTT-4.3.2-1", "MQTT-4.3.2-2", "MQTT-4.3.3-1", "MQTT-4.3.3-2")]
    [Statement("MQTT-2.3.1-1", "MQTT-2.3.1-4", "MQTT-4.3.2-1", "MQTT-4.3.3-1", Version = 4)]
    public async Task Open_deliveries_have_distinct_identifiers_and_no_DUP(byte level)
    {
        var subscriber = await Connect("sub", level);
        await subscriber.Subscribe("t", 2);
        var publisher = await Connect("pub", level);
        for (ushort i = 1; i <= 20; i++)
        {
            await publisher.Publish("t", $"{i}", (byte)(1 + (i & 1)), i);
        }
        var open = await subscriber.Receive(20);
        Assert.All(open, o => Assert.True(!o.Dup && !o.Retain && o.Id != 0));
        Assert.Equal(Enumerable.Range(1, 20).Select(i => 1 + (i & 1)), open.Select(o => (int)o.Qos));
        Assert.Equal(20, open.Select(o => o.Id).Distinct().Count());

        // While these are open, 200 more that are acknowledged at once take none of their identifiers.
        for (ushort i = 1; i <= 200; i++)
        {
            await publisher.Publish("t", "more", 1, i);
            Assert.DoesNotContain((await subscriber.Take()).Id, open.Select(o => o.Id));
        }
    }

    [Theory, BothVersions]
    [Statement("MQTT-4.3.2-3", "MQTT-4.3.3-3", "MQTT-4.4.0-1", "MQTT-4.6.0-1")]
    [Statement("MQTT-2.3.1-4", "MQTT-3.3.1-1", "MQTT-4.3.2-1", "MQTT-4.3.3-1", "MQTT-4.4.0-1", "MQTT-4.6.0-1", Version = 4)]
    public async Task What_was_not_acknowledged_is_sent_again_on_resume_only_in_order_with_DUP_and_the_same_identifiers(byte level)
    {
        var subscriber = await Resume("sub", level);
        await subscriber.Subscribe("t", 2);
        var publisher = await Connect("pub", level);
        for (ushort i = 1; i <= 5; i++)
        {
            await publisher.Publish("t", $"{i}", (byte)(1 + (i & 1)), i);
        }
        var open = await subscriber.Receive(5);
        var acknowledged = open[1];
        await subscriber.Send(Packet.Ack(4, acknowledged.Id));
        open.RemoveAt(1);

        await Pass(TimeSpan.FromSeconds(200), subscriber, publisher);
        await Cut(subscriber);
        await publisher.Publish("t", "newer", 1, 6);
        subscriber = await Resume("sub", level);
        Assert.Equal(1, subscriber.ConnAck[2]);
        Assert.Equal(open.Select(o => o with { Dup = true }).Select(o => (o.Payload, o.Id, o.Dup, o.Qos)),
            (await subscriber.Receive(4)).Select(o => (o.Payload, o.Id, o.Dup, o.Qos)));
        var newer = await subscriber.NextPublish();
        Assert.Equal(("newer", false), (newer.Payload, newer.Dup));
        await subscriber.ExpectNothing();
    }

    [Theory, BothVersions]
    [Statement("MQTT-3.4.2-1", "MQTT-4.3.2-4", "MQTT-4.3.2-5")]
    [Statement("MQTT-2.3.1-6", "MQTT-3.3.1-3", "MQTT-4.3.2-2", Version = 4)]
    public async Task After_PUBACK_the_identifier_stands_for_a_new_message_with_DUP_or_without(byte level)
    {
        var subscriber = await Connect("sub", level);
        await subscriber.Subscribe("t", 1);
        var publisher = await Connect("pub", level);
        await publisher.Send(Packet.Publish("t", "x", 1, 0x1234, isV5: level == 5));
        await publisher.Expect("40 02 1234");
        await publisher.Send(Packet.Publish("t", "x", 1, 0x1234, dup: true, isV5: level == 5));
        await publisher.Expect("40 02 1234");
        Assert.All(await subscriber.Receive(2), r => Assert.Equal(("x", false, (byte)1), (r.Payload, r.Dup, r.Qos)));
        await subscriber.ExpectNothing();
    }

    [Theory, BothVersions]
    [Statement("MQTT-3.6.1-1", "MQTT-3.6.2-1", "MQTT-4.3.3-2", "MQTT-4.3.3-4", "MQTT-4.3.3-5", "MQTT-4.3.3-6", "MQTT-4.4.0-1")]
    [Statement("MQTT-2.3.1-6", "MQTT-3.6.1-1", "MQTT-4.3.3-1", "MQTT-4.4.0-1", Version = 4)]
    public async Task A_released_message_is_not_sent_again_but_its_PUBREL_is(byte level)
    {
        var subscriber = await Resume("sub", level);
        await subscriber.Subscribe("t", 2);
        var publisher = await Connect("pub", level);
        await publisher.Publish("t", "x", 2);
        var delivery = await subscriber.NextPublish();
        Assert.Equal((2, false), (delivery.Qos, delivery.Dup));
        await subscriber.Send(Packet.Ack(5, delivery.Id));
        await subscriber.Expect(Packet.Ack(6, delivery.Id));
        for (var again = 0; again < 2; again++)
        {
            await Cut(subscriber);
            subscriber = await Resume("sub", level);
            await subscriber.Expect(Packet.Ack(6, delivery.Id));
            await subscriber.ExpectNothing();
        }
        await subscriber.Send(Packet.Ack(7, delivery.Id));
        await subscriber.ExpectNothing();
        await Cut(subscriber);
        subscriber = await Resume("sub", level);
        await subscriber.ExpectNothing();
    }

    [Theory, BothVersions]
    [Statement("MQTT-3.5.2-1", "MQTT-3.7.2-1", "MQTT-4.3.3-8", "MQTT-4.3.3-10", "MQTT-4.3.3-11", "MQTT-4.3.3-12")]
    [Statement("MQTT-2.3.1-6", "MQTT-4.1.0-1", "MQTT-4.3.3-2", Version = 4)]
    public async Task A_quality_2_message_is_handed_on_once_however_often_it_is_sent(byte level)
    {
        var subscriber = await Connect("sub", level);
        await subscriber.Subscribe("t", 2);
        var publisher = await Resume("pub", level);
        await publisher.Send(Packet.Publish("t", "first", 2, 0xFFFF, isV5: level == 5));
        await publisher.Expect("50 02 FFFF");
        await publisher.Send(Packet.Publish("t", "first", 2, 0xFFFF, dup: true, isV5: level == 5));
        await publisher.Expect("50 02 FFFF");
        await Cut(publisher);
        publisher = await Resume("pub", level);
        await publisher.Send(Packet.Publish("t", "first", 2, 0xFFFF, dup: true, isV5: level == 5));
        await publisher.Expect("50 02 FFFF");
        await publisher.Send("62 02 FFFF");
        await publisher.Expect("70 02 FFFF");
        await publisher.Send("62 02 FFFF");
        var again = await publisher.Next();
        Assert.Equal("70 FF FF" + (level == 5 ? " 92" : ""), Hex.Write([again[0], .. again.AsSpan(2, level == 5 ? 3 : 2)]));
        await publisher.Publish("t", "second", 2, 0xFFFF);
        Assert.Equal(["first", "second"], await subscriber.Payloads(2));
        await subscriber.ExpectNothing();
    }

    [Theory, BothVersions]
    [Statement("MQTT-4.5.0-1")]
    [Statement("MQTT-3.1.2-5", "MQTT-4.5.0-1", Version = 4)]
    public async Task An_accepted_message_reaches_every_session_with_a_matching_subscription(byte level)
    {
        var away = await Resume("away", level);
        await away.Subscribe("a/#", 2);
        await away.Send("E0 00");
        await away.ExpectClosed();
        var gone = await Resume("gone", level);
        await gone.Subscribe("a/#", 2);
        await Cut(gone);
        var one = await Connect("one", level);
        await one.Subscribe("a/+", 1);
        var two = await Connect("two", level);
        await two.Subscribe("a/b", 0);
        var publisher = await Connect("pub", level);
        await publisher.Publish("a/b", "one", 1);
        await publisher.Publish("a/b", "two", 2);
        Assert.Equal(["one", "two"], await one.Payloads(2));
        Assert.Equal(["one", "two"], await two.Payloads(2));
        foreach (var id in new[] { "away", "gone" })
        {
            var back = await Resume(id, level);
            Assert.Equal([("one", 1), ("two", 2)], (await back.Take(2)).Select(r => (r.Payload, (int)r.Qos)));
            await back.ExpectNothing();
        }
    }

    [Theory, BothVersions]
    [Statement("MQTT-4.1.0-1")]
    [Statement("MQTT-4.1.0-2", Version = 4)]
    public async Task A_session_lasts_at_least_as_long_as_its_connection(byte level)
    {
        var client = await Connect(new ConnectOptions
        {
            ClientId = "c",
            Level = level,
            Properties = level == 5 ? Packet.Property(0x11, 1u) : [],
        });
        await client.Subscribe("t", 0);
        await Pass(TimeSpan.FromHours(2), client);
        await client.Publish("t", "still here");
        Assert.Equal("still here", (await client.Take()).Payload);
    }

    [Theory, BothVersions]
    [Statement("MQTT-4.5.0-1")]
    [Statement("MQTT-4.5.0-1", Version = 4)]
    public async Task The_acknowledgement_waits_until_routes_have_their_message(byte level)
    {
        Broker.Bridge.HoldsStorage = true;
        Broker.Broker.Configure(IotHub.Broker.Auth.AnonymousAuthenticator.HubId, new(null, false, [new(Guid.NewGuid(), "t")]));
        var publisher = await Connect("pub", level);
        await publisher.Send(Packet.Publish("t", "x", 1, 10, isV5: level == 5), Packet.Publish("t", "x", 2, 3, isV5: level == 5));
        await publisher.Send(Packet.Publish("other", "x", 1, 7, isV5: level == 5));
        // A broker with a disk keeps it there until the routes have it, and acknowledges that.
        if (Broker.Via != Via.Durable)
        {
            await publisher.ExpectNothing();
            Broker.Bridge.StoreNext();
        }
        await publisher.ExpectAck(4, 10);
        if (Broker.Via != Via.Durable)
        {
            Broker.Bridge.StoreNext();
        }
        await publisher.ExpectAck(5, 3);
        await publisher.ExpectAck(4, 7);
    }

    [Theory, BothVersions]
    [Statement("MQTT-4.2-1")]
    [Statement("MQTT-7.1.1-1", "MQTT-7.0.0-2", Version = 4)]
    public async Task Packets_may_come_byte_by_byte_or_many_in_one_write(byte level)
    {
        var client = await Open(level);
        foreach (var b in Packet.Connect(new ConnectOptions { ClientId = "slow", Level = level }))
        {
            await client.Send([b]);
        }
        Assert.Equal(0, (await client.Next())[3]);
        await client.Send(
            Packet.Subscribe(1, level == 5, 0, ("t", 2)), Packet.Publish("t", "0", isV5: level == 5),
            Packet.Publish("t", "1", 1, 1, isV5: level == 5), Packet.Publish("t", "2", 2, 2, isV5: level == 5), [0xC0, 0]);
        Assert.Equal(0x90, (await client.Next())[0]);
        var rest = new List<byte[]>();
        while (rest.Count < 6)
        {
            rest.Add(await client.Next());
        }
        Assert.Equal(["0", "1", "2"], rest.Where(p => p[0] >> 4 == 3).Select(p => ReceivedPublish.Read(p, level == 5).Payload));
        Assert.Equal([0x40, 0x50, 0xD0], rest.Where(p => p[0] >> 4 != 3).Select(p => (int)p[0]));
    }
}
