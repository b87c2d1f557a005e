using IotHub.Broker;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.Both;

public sealed class SharedSubscriptionsOverTcp() : SharedSubscriptions(Via.Tcp);

/// <summary>The same against a broker that writes to a disk.</summary>
public sealed class DurableSharedSubscriptions() : SharedSubscriptions(Via.Durable);

public sealed class SharedSubscriptionsOverTls() : SharedSubscriptions(Via.Tls);

public sealed class SharedSubscriptionsOverWebSocket() : SharedSubscriptions(Via.WebSocket);

public sealed class SharedSubscriptionsOverSecureWebSocket() : SharedSubscriptions(Via.SecureWebSocket);

/// <summary>Section 4.8.2 of 5.0: shared subscriptions, which clients of 3.1.1 may use as well.</summary>
public abstract class SharedSubscriptions(Via via) : Conversation(via)
{
    [Theory, BothVersions]
    [Statement("MQTT-4.8.2-1", "MQTT-4.8.2-2")]
    public async Task The_form_of_a_shared_filter_is_checked(byte level)
    {
        var client = await Connect("c", level);
        var invalid = level == 5 ? (byte)0x8F : (byte)0x80;
        string[] filters = ["$share//t", "$share/g", "$share/g/", "$share/g+/t", "$share/#/t", "$share/+/t", "$share/g/a#", "$share/"];
        foreach (var filter in filters)
        {
            Assert.Equal([invalid], await client.SubscribeTo((filter, 0)));
        }
        Assert.Equal([0, 0], await client.SubscribeTo(("$share/g/t", 0), ("$Share/g/t", 0)));
        Assert.True(await client.Matches("$share/g//f", "/f"));
        await client.Publish("$Share/g/t", "plain");
        Assert.Equal("plain", (await client.Take()).Payload);
        await client.Publish("t", "shared");
        Assert.Equal("shared", (await client.Take()).Payload);
    }

    [Theory, BothVersions]
    [Statement("MQTT-4.8.2-3", "U5-29")]
    public async Task Each_message_goes_to_one_member_at_its_own_quality(byte level)
    {
        var members = new List<RawClient>();
        for (byte qos = 0; qos <= 2; qos++)
        {
            members.Add(await Connect($"m{qos}", level));
            await members[qos].Subscribe("$share/g/t", qos, level == 5 ? qos + 1 : 0);
        }
        var publisher = await Connect("pub", level);
        for (ushort i = 1; i <= 30; i++)
        {
            await publisher.Publish("t", $"{i}", 2, i);
        }
        var seen = new List<string>();
        for (byte qos = 0; qos <= 2; qos++)
        {
            var share = await members[qos].Take(10);
            Assert.All(share, r => Assert.Equal((qos, level == 5 ? $"0B 0{qos + 1}" : ""), (r.Qos, Hex.Write(r.Properties))));
            seen.AddRange(share.Select(r => r.Payload));
            await members[qos].ExpectNothing();
        }
        Assert.Equal(Enumerable.Range(1, 30), seen.Select(s => int.Parse(s, null)).Order());
    }

    [Theory, BothVersions]
    [Statement("U5-27", "U5-31", "U5-32")]
    public async Task Groups_have_no_retained_messages_one_membership_each_and_stand_beside_plain_subscriptions(byte level)
    {
        var publisher = await Connect("pub", level);
        await publisher.Publish("t", "kept", 1, retain: true);
        var client = await Connect("c", level);
        for (var i = 0; i < 2; i++)
        {
            await client.Subscribe("$share/g/t", (byte)i);
            await client.ExpectNothing();
        }
        await publisher.Publish("t", "once", 1);
        Assert.Equal(1, (await client.Take()).Qos);
        await client.ExpectNothing();
        await client.Subscribe("$share/other/t", 0);
        await publisher.Publish("t", "twice", 1);
        Assert.Equal(["twice", "twice"], await client.Payloads(2));
        await client.ExpectNothing();
    }

    [Theory, BothVersions]
    [Statement("U5-30")]
    public async Task The_full_filter_leaves_the_group(byte level)
    {
        var client = await Connect("c", level);
        var other = await Connect("other", level);
        await client.Subscribe("$share/g/t", 1);
        await other.Subscribe("$share/g/t", 1);
        await client.UnsubscribeFrom("t");
        var codes = await client.UnsubscribeFrom("$share/g/t", "$share/g/t");
        Assert.Equal(level == 5 ? "00 11" : "", Hex.Write(codes));
        var publisher = await Connect("pub", level);
        await publisher.Publish("t", "a", 1);
        await publisher.Publish("t", "b", 1);
        Assert.Equal(["a", "b"], await other.Payloads(2));
        await other.UnsubscribeFrom("$share/g/t");
        await publisher.Publish("t", "nobody's", 1);
        await client.ExpectNothing();
        await other.ExpectNothing();
    }

    [Theory, BothVersions]
    [Statement("MQTT-4.8.2-4", "MQTT-4.8.2-5")]
    public async Task What_was_begun_at_quality_2_is_completed_with_the_same_member_or_nobody(byte level)
    {
        var first = await Resume("first", level);
        await first.Subscribe("$share/g/t", 2);
        var publisher = await Connect("pub", level);
        await publisher.Publish("t", "one", 2, 1);
        await publisher.Publish("t", "two", 2, 2);
        var open = await first.Receive(2);
        var second = await Connect("second", level);
        await second.Subscribe("$share/g/t", 2);
        await Cut(first);
        await second.ExpectNothing();
        first = await Resume("first", level);
        Assert.Equal(open.Select(o => (o.Id, true)), (await first.Receive(2)).Select(o => (o.Id, o.Dup)));
        await Cut(first);
        first = await Connect("first", level);
        await first.ExpectNothing();
        await second.ExpectNothing();
    }

    [Theory, BothVersions]
    [Statement("U5-33")]
    public async Task What_an_absent_member_has_not_acknowledged_goes_to_another(byte level)
    {
        foreach (var ends in new[] { true, false })
        {
            var first = ends ? await Connect("first", level) : await Resume("first", level);
            await first.Subscribe("$share/g/t", 1);
            var publisher = await Connect("pub", level);
            for (ushort i = 1; i <= 3; i++)
            {
                await publisher.Publish("t", $"{i}", 1, i);
            }
            await first.Send(Packet.Ack(4, (await first.Receive(3))[0].Id));
            await first.ExpectNothing();
            var second = await Connect("second", level);
            await second.Subscribe("$share/g/t", 1);
            await Cut(first);
            Assert.Equal(["2", "3"], await second.Payloads(2));
            await second.ExpectNothing();
            first = await Resume("first", level);
            await first.ExpectNothing();
            await first.UnsubscribeFrom("$share/g/t");
            await second.UnsubscribeFrom("$share/g/t");
        }
    }

    [Theory, BothVersions]
    [Statement("U5-33", "MQTT-4.8.2-3")]
    public async Task What_waits_for_a_session_that_ends_goes_to_the_others_at_their_quality(byte level)
    {
        var first = await Resume("first", level);
        await first.Subscribe("$share/g/t", 2);
        await Cut(first);
        var publisher = await Connect("pub", level);
        await publisher.Publish("t", "one", 1, 1);
        await publisher.Publish("t", "two", 2, 2);
        var second = await Connect("second", level);
        await second.Subscribe("$share/g/t", 0);
        await second.ExpectNothing();
        await Connect("first", level);
        Assert.Equal([("one", 0), ("two", 0)], (await second.Take(2)).Select(r => (r.Payload, (int)r.Qos)));
    }

    [Theory, BothVersions]
    [Statement("MQTT-4.8.2-3", "MQTT-4.1.0-2")]
    public async Task Members_that_are_away_or_full_are_passed_over(byte level)
    {
        await using var broker = TestBroker.Start(new BrokerLimits { InFlightMaximum = 1, QueuedMessagesPerSessionMaximum = 1 }, via: Broker.Via);
        var lasting = new ConnectOptions
        {
            ClientId = "away",
            Level = level,
            CleanStart = false,
            Properties = level == 5 ? Packet.Property(0x11, 100u) : [],
        };
        await using (var away = await broker.Connect(lasting))
        {
            await away.Subscribe("$share/g/t", 1);
        }
        await broker.Offline("away");
        await using var busy = await broker.Connect("busy", level);
        await busy.Subscribe("$share/g/t", 1);
        await using var free = await broker.Connect("free", level);
        await free.Subscribe("$share/g/t", 1);
        await using var publisher = await broker.Connect("pub", level);

        // Two that are there and acknowledge nothing: one in flight and one waiting each; only then the absent one gets its one.
        for (ushort i = 1; i <= 6; i++)
        {
            await publisher.Publish("t", $"{i}", 1, i);
        }
        Assert.Equal(["1", "3"], await AtOnce(busy, 2));
        Assert.Equal(["2", "4"], await AtOnce(free, 2));
        await using var back = await broker.Connect(lasting);
        Assert.Equal("5", (await back.Take()).Payload);
        await back.ExpectNothing();
    }

    [Theory, BothVersions]
    [Statement("MQTT-4.8.2-6")]
    public async Task A_message_that_a_member_refused_goes_to_nobody_else(byte level)
    {
        var first = await Resume("first", 5);
        await first.Subscribe("$share/g/t", 2);
        var second = await Connect("second", level);
        var publisher = await Connect("pub", level);
        await publisher.Publish("t", "one", 1, 1);
        await publisher.Publish("t", "two", 2, 2);
        var open = await first.Receive(2);
        await second.Subscribe("$share/g/t", 2);
        await first.Send(Packet.Ack(4, open[0].Id, 0x80), Packet.Ack(5, open[1].Id, 0x80));
        await first.ExpectNothing();
        await Cut(first);
        first = await Resume("first", 5);
        await first.ExpectNothing();
        await second.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-4.8.2-3")]
    public async Task A_member_that_may_not_read_the_topic_is_passed_over()
    {
        await using var broker = TestBroker.Start(authenticator: new GuardedDoor("blind"), via: Broker.Via);
        await using var blind = await broker.Connect("blind");
        await blind.Subscribe("$share/g/#", 1);
        await using var seeing = await broker.Connect("seeing");
        await seeing.Subscribe("$share/g/#", 1);
        await using var publisher = await broker.Connect("pub");
        for (ushort i = 1; i <= 4; i++)
        {
            await publisher.Publish("denied/x", $"{i}", 1, i);
        }
        Assert.Equal(["1", "2", "3", "4"], await seeing.Payloads(4));
        await blind.ExpectNothing();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [Statement("MQTT-3.1.2-24", "MQTT-4.8.2-3")]
    public async Task A_member_for_whom_a_message_is_too_large_is_passed_over(byte qos)
    {
        var small = await Connect(new ConnectOptions { ClientId = "small", Properties = Packet.Property(0x27, 100u) });
        await small.Subscribe("$share/g/t", qos, 300);
        var large = await Connect("large", 5);
        await large.Subscribe("$share/g/t", qos);
        var publisher = await Connect("pub", 5);
        for (ushort i = 1; i <= 4; i++)
        {
            await publisher.Publish("t", $"{i}{new string('.', 200)}", qos, i);
        }
        Assert.Equal(["1", "2", "3", "4"], (await large.Payloads(4)).Select(p => p[..1]));

        // 100 bytes are: header 2, topic 3, packet id 0 or 2, property length 1, subscription identifier 3, payload.
        var fitting = 100 - 9 - (qos > 0 ? 2 : 0);
        await publisher.Publish("t", new string('x', fitting + 1), qos, 5);
        Assert.Equal(fitting + 1, (await large.Take()).Payload.Length);
        await publisher.Publish("t", new string('x', fitting), qos, 6);
        Assert.Equal(fitting, (await small.Take()).Payload.Length);
        await large.UnsubscribeFrom("$share/g/t");
        await publisher.Publish("t", new string('x', fitting + 1), qos, 7);
        await small.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.1.2-24", "U5-33")]
    public async Task What_a_member_left_goes_to_one_that_can_take_it()
    {
        var leaving = await Connect("leaving", 5);
        await leaving.Subscribe("$share/g/t", 1);
        var publisher = await Connect("pub", 5);
        await publisher.Publish("t", new string('x', 200), 1);
        await publisher.Publish("t", new string('x', 300), 1);
        await leaving.Receive(2);
        var small = await Connect(new ConnectOptions { ClientId = "small", Properties = Packet.Property(0x27, 100u) });
        await small.Subscribe("$share/g/t", 1);
        var large = await Connect("large", 5);
        await large.Subscribe("$share/g/t", 1);
        await Cut(leaving);
        Assert.Equal([200, 300], (await large.Payloads(2)).Select(p => p.Length));
        await small.ExpectNothing();
    }

    private static async Task<string[]> AtOnce(RawClient client, int count)
    {
        var payloads = new string[count];
        for (var i = 0; i < count; i++)
        {
            payloads[i] = (await client.Take()).Payload;
        }
        return payloads;
    }
}
