using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.V5;

public sealed class DeliveryQuotaOverTcp() : DeliveryQuotaTests(Via.Tcp);

public sealed class DeliveryQuotaOverTls() : DeliveryQuotaTests(Via.Tls);

public sealed class DeliveryQuotaOverWebSocket() : DeliveryQuotaTests(Via.WebSocket);

public sealed class DeliveryQuotaOverSecureWebSocket() : DeliveryQuotaTests(Via.SecureWebSocket);

/// <summary>Section 4.9: flow control.</summary>
public abstract class DeliveryQuotaTests(Via via) : Conversation(via)
{
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [Statement("MQTT-4.9.0-1", "MQTT-4.9.0-2")]
    public async Task No_more_than_Receive_Maximum_deliveries_are_open_at_once(ushort maximum)
    {
        var subscriber = await Resume("sub", 5, maximum);
        await subscriber.Subscribe("t", 2);
        var publisher = await Connect("pub", 5);
        for (ushort i = 1; i <= 10; i++)
        {
            await publisher.Publish("t", $"{i}", (byte)(1 + (i & 1)), i);
        }
        var open = await subscriber.Receive(maximum);
        await subscriber.ExpectNothing();

        // A PUBREC alone frees no place, what ends an exchange does.
        await subscriber.Send(Packet.Ack(5, open[0].Id));
        await subscriber.Expect(Packet.Ack(6, open[0].Id));
        await subscriber.ExpectNothing();
        await subscriber.Send(Packet.Ack(7, open[0].Id));
        Assert.Equal($"{maximum + 1}", (await subscriber.NextPublish()).Payload);
        await subscriber.ExpectNothing();

        // The quota starts full on a new connection, and what is sent again counts.
        await Cut(subscriber);
        subscriber = await Resume("sub", 5, maximum);
        var again = await subscriber.Receive(maximum);
        Assert.All(again, r => Assert.True(r.Dup));
        await subscriber.ExpectNothing();
        await Cut(subscriber);
        subscriber = await Resume("sub", 5, 100);
        Assert.Equal(Enumerable.Range(2, 9).Select(i => $"{i}"), await subscriber.Payloads(9));
        await subscriber.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-4.9.0-2")]
    public async Task A_failing_PUBREC_frees_its_place()
    {
        var subscriber = await Resume("sub", 5, 1);
        await subscriber.Subscribe("t", 2);
        var publisher = await Connect("pub", 5);
        await publisher.Publish("t", "one", 2);
        await publisher.Publish("t", "two", 2);
        await subscriber.Send(Packet.Ack(5, (await subscriber.NextPublish()).Id, 0x97));
        Assert.Equal("two", (await subscriber.NextPublish()).Payload);
    }

    [Fact]
    [Statement("MQTT-4.9.0-1")]
    public async Task Without_Receive_Maximum_deliveries_flow()
    {
        var subscriber = await Connect("sub", 5);
        await subscriber.Subscribe("t", 1);
        var publisher = await Connect("pub", 5);
        for (ushort i = 1; i <= 1000; i++)
        {
            await publisher.Publish("t", $"{i}", 1, i);
        }
        Assert.Equal(1000, (await subscriber.Receive(1000)).Select(r => r.Id).Distinct().Count());
    }

    [Fact]
    [Statement("MQTT-4.9.0-3")]
    public async Task With_nothing_left_of_the_quota_everything_else_is_answered()
    {
        var client = await Resume("c", 5, 1);
        await client.Subscribe("t", 1);
        await client.Send(Packet.Publish("x", "x", 2, 5));
        await client.ExpectAck(5, 5);
        var publisher = await Connect("pub", 5);
        await publisher.Publish("t", "one", 1);
        await publisher.Publish("t", "two", 1);
        await client.NextPublish();
        await client.ExpectNothing();
        await client.Send("62 02 0005");
        await client.Expect("70 02 0005");
        Assert.Equal([0], await client.SubscribeTo(("other", 0)));
        Assert.Equal([0x00], await client.UnsubscribeFrom("other"));
        await client.Publish("y", "y", 1, 6);
        await publisher.Publish("t", "quality 0 is not counted", 0);
        Assert.Equal(0, (await client.NextPublish()).Qos);
    }

    [Fact]
    [Statement("MQTT-4.9.0-3", "MQTT-4.4.0-1")]
    public async Task After_a_resume_PUBRELs_do_not_wait_for_the_quota()
    {
        var client = await Resume("c", 5, 10);
        await client.Subscribe("t", 2);
        var publisher = await Connect("pub", 5);
        for (ushort i = 1; i <= 3; i++)
        {
            await publisher.Publish("t", $"{i}", 2, i);
        }
        var open = await client.Receive(3);
        await client.Send(Packet.Ack(5, open[1].Id));
        await client.Expect(Packet.Ack(6, open[1].Id));
        await Cut(client);
        client = await Resume("c", 5, 1);
        Assert.Equal("1", (await client.NextPublish()).Payload);
        await client.Expect(Packet.Ack(6, open[1].Id));
        await client.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-4.9.0-2")]
    public async Task Exchanges_of_an_earlier_connection_do_not_count_against_the_servers_Receive_Maximum()
    {
        await using var broker = TestBroker.Start(new Broker.BrokerLimits { ReceiveMaximum = 2 }, via: Broker.Via);
        var options = new ConnectOptions { ClientId = "c", CleanStart = false, Properties = Packet.Property(0x11, 100u) };
        await using (var client = await broker.Connect(options))
        {
            await client.Send(Packet.Publish("t", "x", 2, 1), Packet.Publish("t", "x", 2, 2));
            await client.ExpectAck(5, 1);
            await client.ExpectAck(5, 2);
        }
        await broker.Offline("c");
        await using var back = await broker.Connect(options);
        await back.Send(Packet.Publish("t", "x", 2, 3), Packet.Publish("t", "x", 2, 4));
        await back.ExpectAck(5, 3);
        await back.ExpectAck(5, 4);
        await back.Send(Packet.Publish("t", "x", 2, 5));
        await back.ExpectDisconnect(0x93);
    }
}
