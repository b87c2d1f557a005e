using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.Both;

public sealed class OrderingOverTcp() : Ordering(Via.Tcp);

/// <summary>The same against a broker that writes to a disk.</summary>
public sealed class DurableOrdering() : Ordering(Via.Durable);

public sealed class OrderingOverTls() : Ordering(Via.Tls);

public sealed class OrderingOverWebSocket() : Ordering(Via.WebSocket);

public sealed class OrderingOverSecureWebSocket() : Ordering(Via.SecureWebSocket);

/// <summary>Section 4.6: message ordering.</summary>
public abstract class Ordering(Via via) : Conversation(via)
{
    [Theory, BothVersions]
    [Statement("MQTT-4.6.0-2", "MQTT-4.6.0-3")]
    [Statement("MQTT-4.6.0-2", "MQTT-4.6.0-3", Version = 4)]
    public async Task Acknowledgements_go_out_in_the_order_of_their_messages(byte level)
    {
        var publisher = await Connect("pub", level);
        ushort[] ids = [10, 3, 7];
        await publisher.Send([.. ids.Select(id => Packet.Publish("t", "x", 1, id, isV5: level == 5))]);
        foreach (var id in ids)
        {
            await publisher.ExpectAck(4, id);
        }
        await publisher.Send([.. ids.Select(id => Packet.Publish("t", "x", 2, id, isV5: level == 5))]);
        foreach (var id in ids)
        {
            await publisher.ExpectAck(5, id);
        }
    }

    [Theory, BothVersions]
    [Statement("MQTT-4.6.0-4")]
    [Statement("MQTT-4.6.0-4", Version = 4)]
    public async Task PUBRELs_go_out_in_the_order_of_the_PUBRECs(byte level)
    {
        var subscriber = await Connect("sub", level);
        await subscriber.Subscribe("t", 2);
        var publisher = await Connect("pub", level);
        for (ushort i = 1; i <= 3; i++)
        {
            await publisher.Publish("t", "x", 2, i);
        }
        var open = await subscriber.Receive(3);
        int[] order = [2, 0, 1];
        await subscriber.Send([.. order.Select(i => Packet.Ack(5, open[i].Id))]);
        foreach (var i in order)
        {
            await subscriber.Expect(Packet.Ack(6, open[i].Id));
        }
    }

    [Theory, BothVersions]
    [Statement("MQTT-4.6.0-5", "MQTT-4.6.0-6")]
    [Statement("MQTT-4.6.0-5", "MQTT-4.6.0-6", Version = 4)]
    public async Task Each_publishers_messages_arrive_in_their_order_at_each_quality(byte level)
    {
        var subscriber = await Connect("sub", level);
        await subscriber.Subscribe("#", 2);
        var alice = await Connect("alice", level);
        var bob = await Connect("bob", level);
        await Task.WhenAll(Stream(alice, "alice", 300), Stream(bob, "bob", 300), Check(subscriber, 3 * 600));
    }

    [Theory, BothVersions]
    [Statement("MQTT-4.6.0-5")]
    [Statement("MQTT-4.6.0-6", Version = 4)]
    public async Task The_order_survives_an_absence(byte level)
    {
        var subscriber = await Resume("sub", level);
        await subscriber.Subscribe("#", 2);
        await Cut(subscriber);
        var publisher = await Connect("pub", level);
        await Stream(publisher, "pub", 300);
        subscriber = await Resume("sub", level, receiveMaximum: 1);
        var running = Stream(publisher, "late", 50);
        // Quality 0 does not wait for the absent, and what comes later may overtake what waits.
        await Check(subscriber, (2 * 300) + (3 * 50));
        await running;
    }

    private static async Task Stream(RawClient publisher, string topic, int count)
    {
        for (ushort i = 1; i <= count; i++)
        {
            await publisher.Publish($"{topic}/0", $"{i}", 0);
            await publisher.Publish($"{topic}/1", $"{i}", 1, i);
            await publisher.Publish($"{topic}/2", $"{i}", 2, i);
        }
    }

    private static async Task Check(RawClient subscriber, int total)
    {
        var last = new Dictionary<string, int>();
        var open = new List<ReceivedPublish>();
        while (total > 0)
        {
            var packet = await subscriber.Next();
            if (packet[0] >> 4 == 6)
            {
                await subscriber.Send(Packet.Ack(7, (ushort)((packet[2] << 8) | packet[3])));
                continue;
            }
            var received = ReceivedPublish.Read(packet, subscriber.IsV5);
            Assert.Equal(last.GetValueOrDefault(received.Topic) + 1, int.Parse(received.Payload, null));
            Assert.EndsWith($"/{received.Qos}", received.Topic, StringComparison.Ordinal);
            last[received.Topic] = int.Parse(received.Payload, null);
            if (received.Qos > 0)
            {
                await subscriber.Send(Packet.Ack(received.Qos == 1 ? 4 : 5, received.Id));
            }
            total--;
        }
    }
}
