using IotHub.Broker;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.V5;

public sealed class FlowControlOverTcp() : FlowControlTests(Via.Tcp);

/// <summary>The same against a broker that writes to a disk.</summary>
public sealed class DurableFlowControl() : FlowControlTests(Via.Durable);

public sealed class FlowControlOverTls() : FlowControlTests(Via.Tls);

public sealed class FlowControlOverWebSocket() : FlowControlTests(Via.WebSocket);

public sealed class FlowControlOverSecureWebSocket() : FlowControlTests(Via.SecureWebSocket);

/// <summary>Section 3.3.4, Receive Maximum in both directions.</summary>
public abstract class FlowControlTests(Via via)
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [Statement("MQTT-3.3.4-7", "U5-13")]
    public async Task One_open_publish_more_than_the_servers_receive_maximum_ends_the_connection(ushort maximum)
    {
        await using var broker = TestBroker.Start(new BrokerLimits { ReceiveMaximum = maximum }, via: via);
        await using var client = await broker.Connect("c");
        Assert.Equal(maximum, ReceivedAnswer.Read(client.ConnAck).Properties.Number(0x21));
        for (ushort id = 1; id <= maximum; id++)
        {
            Assert.Equal(0x50, (await client.Ask(Packet.Publish("t", "", 2, id))).FirstByte);
        }
        // Closing one makes room for one.
        Assert.Equal(0, (await client.Ask(Packet.Ack(6, 1))).Code);
        Assert.Equal(0x50, (await client.Ask(Packet.Publish("t", "", 2, 100))).FirstByte);
        await client.Send(Packet.Publish("t", "", 2, 101));
        await client.ExpectDisconnect(0x93);
    }

    [Fact]
    [Statement("MQTT-3.3.4-7")]
    public async Task The_quota_begins_anew_with_each_connection()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { ReceiveMaximum = 2 }, via: via);
        await using var client = await broker.Connect(Steps.Lasting("c"));
        await client.Ask(Packet.Publish("t", "", 2, 1));
        await client.Ask(Packet.Publish("t", "", 2, 2));
        await broker.CutOff(client, "c");
        await using var back = await broker.Connect(Steps.Lasting("c"));
        Assert.Equal(0x50, (await back.Ask(Packet.Publish("t", "", 2, 3))).FirstByte);
        Assert.Equal(0x50, (await back.Ask(Packet.Publish("t", "", 2, 4))).FirstByte);
        foreach (ushort id in new[] { 1, 2, 3, 4 })
        {
            Assert.Equal(0, (await back.Ask(Packet.Ack(6, id))).Code);
        }
    }

    [Fact]
    [Statement("MQTT-3.3.4-9")]
    public async Task A_full_window_holds_back_QoS_1_until_each_acknowledgement()
    {
        await using var broker = TestBroker.Start(via: via);
        await using var publisher = await broker.Connect("pub");
        await using var client = await broker.Connect(new ConnectOptions { ClientId = "c", Properties = Packet.Property(0x21, (ushort)2) });
        await client.Subscribe("t", 1);
        for (var i = 1; i <= 5; i++)
        {
            await publisher.PublishAcked("t", $"{i}");
        }
        var open = new Queue<ushort>([(await client.NextPublish()).Id, (await client.NextPublish()).Id]);
        for (var i = 3; i <= 5; i++)
        {
            await client.ExpectNothing();
            await client.Send(Packet.Ack(4, open.Dequeue()));
            var next = await client.NextPublish();
            Assert.Equal($"{i}", next.Payload);
            open.Enqueue(next.Id);
        }
        await client.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.3.4-9")]
    public async Task A_window_is_freed_by_PUBCOMP_and_by_a_failing_PUBREC_but_not_by_another()
    {
        await using var broker = TestBroker.Start(via: via);
        await using var publisher = await broker.Connect("pub");
        await using var client = await broker.Connect(new ConnectOptions { ClientId = "c", Properties = Packet.Property(0x21, (ushort)1) });
        await client.Subscribe("t", 2);
        for (ushort i = 1; i <= 3; i++)
        {
            await publisher.Ask(Packet.Publish("t", $"{i}", 2, i));
        }
        var first = await client.Receives("1");
        await client.Send(Packet.Ack(5, first.Id));
        await client.Expect(Packet.Ack(6, first.Id));
        await client.ExpectNothing();
        await client.Send(Packet.Ack(7, first.Id));
        var second = await client.Receives("2");
        await client.Send(Packet.Ack(5, second.Id, 0x80));
        await client.Receives("3");
    }

    [Fact]
    [Statement("MQTT-3.3.4-10")]
    public async Task A_full_window_holds_back_nothing_else()
    {
        await using var broker = TestBroker.Start(via: via);
        await using var publisher = await broker.Connect("pub");
        await using var client = await broker.Connect(new ConnectOptions { ClientId = "c", Properties = Packet.Property(0x21, (ushort)1) });
        await client.Subscribe("t", 1);
        await publisher.PublishAcked("t", "open");
        await publisher.PublishAcked("t", "held back");
        await client.NextPublish();
        await client.ExpectNothing();
        Assert.Equal(0x90, (await client.Ask(Packet.Subscribe(1, true, 0, ("other", 0)))).FirstByte);
        Assert.Equal(0x40, (await client.Ask(Packet.Publish("nobody", "", 1, 2))).FirstByte);
        await publisher.PublishSettled("other", "QoS 0");
        await client.Receives("QoS 0");
    }

    [Fact]
    [Statement("U5-22")]
    public async Task Acknowledgements_of_nothing_do_not_widen_the_window()
    {
        await using var broker = TestBroker.Start(via: via);
        await using var publisher = await broker.Connect("pub");
        await using var client = await broker.Connect(new ConnectOptions { ClientId = "c", Properties = Packet.Property(0x21, (ushort)1) });
        await client.Subscribe("t", 1);
        await client.Send(Packet.Ack(4, 77), Packet.Ack(7, 78), Packet.Ack(4, 79));
        await client.ExpectNothing();
        await publisher.PublishAcked("t", "1");
        await publisher.PublishAcked("t", "2");
        var first = await client.NextPublish();
        await client.Send(Packet.Ack(7, first.Id), Packet.Ack(4, 99));
        await client.ExpectNothing();
        await client.Send(Packet.Ack(4, first.Id));
        await client.Receives("2");
    }
}
