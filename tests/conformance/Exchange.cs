using System.Reflection;
using IotHub.Harness.Mqtt;
using Xunit;
using Xunit.Sdk;

namespace IotHub.Conformance;

/// <summary>Steps of several packets that tests are made of.</summary>
internal static class Exchange
{
    /// <summary>Sends a PUBLISH and carries its exchange to the end.</summary>
    public static async Task Publish(
        this RawClient client, string topic, string payload, byte qos = 0, ushort id = 1, bool retain = false, bool dup = false,
        byte[]? properties = null)
    {
        await client.Send(Packet.Publish(topic, payload, qos, id, retain, dup, client.IsV5, properties));
        if (qos == 1)
        {
            await client.ExpectAck(4, id);
        }
        else if (qos == 2)
        {
            await client.ExpectAck(5, id);
            await client.Send(Packet.Ack(6, id));
            await client.ExpectAck(7, id);
        }
    }

    /// <summary>The next packet is this acknowledgement, and it does not say that something failed.</summary>
    public static async Task ExpectAck(this RawClient client, int type, ushort id)
    {
        var packet = await client.Next();
        var isGood = packet[0] == Packet.Ack(type, id)[0] && packet[2] == id >> 8 && packet[3] == (id & 0xFF)
            && (packet.Length == 4 || (client.IsV5 && packet[4] < 0x80));
        Assert.True(isGood, $"expected {Hex.Write(Packet.Ack(type, id))}, got {Hex.Write(packet)}");
    }

    /// <summary>The next PUBLISH, with its exchange carried to the end.</summary>
    public static async Task<ReceivedPublish> Take(this RawClient client) => (await client.Take(1))[0];

    /// <summary>The next PUBLISH packets, with their exchanges carried to the end.</summary>
    public static async Task<List<ReceivedPublish>> Take(this RawClient client, int count)
    {
        var all = new List<ReceivedPublish>();
        for (var open = 0; all.Count < count || open > 0;)
        {
            var packet = await client.Next();
            if (packet[0] >> 4 == 6)
            {
                await client.Send(Packet.Ack(7, (ushort)((packet[2] << 8) | packet[3])));
                open--;
                continue;
            }
            all.Add(ReceivedPublish.Read(packet, client.IsV5));
            open += all[^1].Qos == 2 ? 1 : 0;
            if (all[^1].Qos > 0)
            {
                await client.Send(Packet.Ack(all[^1].Qos == 1 ? 4 : 5, all[^1].Id));
            }
        }
        Assert.Equal(count, all.Count);
        return all;
    }

    /// <summary>Payloads of the next PUBLISH packets, taken like <see cref="Take(RawClient, int)"/>.</summary>
    public static async Task<string[]> Payloads(this RawClient client, int count) => [.. (await client.Take(count)).Select(r => r.Payload)];

    /// <summary>The next PUBLISH packets, not acknowledged.</summary>
    public static async Task<List<ReceivedPublish>> Receive(this RawClient client, int count)
    {
        var all = new List<ReceivedPublish>();
        for (var i = 0; i < count; i++)
        {
            all.Add(await client.NextPublish());
        }
        return all;
    }

    /// <summary>Sends a SUBSCRIBE and returns the codes of its SUBACK.</summary>
    public static async Task<byte[]> SubscribeTo(this RawClient client, params (string Filter, byte Options)[] filters)
    {
        await client.Send(Packet.Subscribe(0x7002, client.IsV5, 0, filters));
        return await client.Codes(0x90, 0x7002);
    }

    /// <summary>Sends an UNSUBSCRIBE and returns the codes of its UNSUBACK; none for 3.1.1.</summary>
    public static async Task<byte[]> UnsubscribeFrom(this RawClient client, params string[] filters)
    {
        await client.Send(Packet.Unsubscribe(0x7003, client.IsV5, filters));
        return await client.Codes(0xB0, 0x7003);
    }

    /// <summary>The codes of a SUBACK or UNSUBACK, which is the next packet.</summary>
    public static async Task<byte[]> Codes(this RawClient client, byte first, ushort id)
    {
        var packet = await client.Next();
        var at = 1 + Array.FindIndex(packet, 1, b => (b & 0x80) == 0);
        Assert.True(packet[0] == first && packet[at] == id >> 8 && packet[at + 1] == (id & 0xFF), $"got {Hex.Write(packet)}");
        at += 2;
        // 5.0: the property length, one byte as long as the broker says little.
        at += client.IsV5 ? 1 + packet[at] : 0;
        return packet[at..];
    }

    /// <summary>Subscribes at this quality, publishes, and says whether the message came.</summary>
    public static async Task<bool> Matches(this RawClient client, string filter, string topic)
    {
        Assert.Equal([0], await client.SubscribeTo((filter, 0)));
        await client.Send(Packet.Publish(topic, "probe", isV5: client.IsV5));
        await client.Send("C0 00");
        var packet = await client.Next();
        var came = packet[0] == 0x30;
        if (came)
        {
            var received = ReceivedPublish.Read(packet, client.IsV5);
            Assert.Equal((topic, "probe"), (received.Topic, received.Payload));
            packet = await client.Next();
        }
        Assert.Equal("D0 00", Hex.Write(packet));
        await client.UnsubscribeFrom(filter);
        return came;
    }
}

/// <summary>Runs a theory with protocol level 4 (3.1.1) and 5, as its first parameter.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class BothVersionsAttribute : DataAttribute
{
    public override IEnumerable<object[]> GetData(MethodInfo testMethod) => [[(byte)4], [(byte)5]];
}
