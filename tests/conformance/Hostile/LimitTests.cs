using IotHub.Broker;
using IotHub.Harness;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.Hostile;

/// <summary>One over each limit of packets, topics and sessions.</summary>
public sealed class LimitTests
{
    [Fact]
    [Limit(nameof(BrokerLimits.MaximumPacketSize), "DISCONNECT 0x95 and close; 3.1.1: close")]
    public async Task A_packet_one_byte_too_large_ends_the_connection_on_its_header_alone()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { MaximumPacketSize = 1_000, MaximumConnectSize = 1_000 });
        await using var fits = await broker.Connect("a");
        // 1 + 2 + 997 bytes: as large as allowed.
        await fits.Send(Packet.Publish("t", new string('x', 997 - 4)));
        await fits.ExpectNothing();
        await fits.Send("30 E6 07");
        await fits.ExpectDisconnect(0x95);
        await using var old = await broker.Connect("b", level: 4);
        await old.Send("30 E6 07");
        await old.ExpectDisconnect(0x95);
    }

    [Fact]
    [Limit(nameof(BrokerLimits.MaximumConnectSize), "CONNACK 0x95 or close, before the body is waited for")]
    public async Task A_connect_that_announces_too_much_is_not_waited_for()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { MaximumConnectSize = 1_000 });
        await using var client = await broker.Open();
        await client.Send("10 E6 07 0004 4D515454 05 02 003C 00");
        var answer = await client.TryNext();
        Assert.True(answer is null || answer[3] == 0x95);
    }

    [Fact]
    [Limit(nameof(BrokerLimits.ConnectTimeoutMs), "close")]
    public async Task A_client_that_does_not_finish_its_connect_in_time_is_closed()
    {
        var time = new ManualTime();
        await using var broker = TestBroker.Start(new BrokerLimits { ConnectTimeoutMs = 10_000 }, time: time);
        await using var silent = await broker.Open();
        await using var dribbling = await broker.Open();
        await dribbling.Send("10 0D 0004 4D51");
        await Eventually.True(() => broker.Broker.Connections == 2);
        broker.Advance(TimeSpan.FromSeconds(10));
        await dribbling.Send("54 54");
        Assert.Equal(2, broker.Broker.Connections);
        broker.Advance(TimeSpan.FromMilliseconds(200));
        await silent.ExpectClosed();
        await dribbling.ExpectClosed();
    }

    [Fact]
    [Limit(nameof(BrokerLimits.CloseTimeoutMs), "the socket is closed hard")]
    public async Task A_client_that_does_not_take_its_last_packet_is_cut_off()
    {
        var time = new ManualTime();
        await using var broker = TestBroker.Start(time: time);
        await using var client = await broker.Connect("a");
        await client.Send("00 00");
        await client.ExpectDisconnect(0x81);
        // Our half is closed; the client keeps its own open and says nothing.
        Assert.Equal(1, broker.Broker.Connections);
        broker.Advance(TimeSpan.FromMilliseconds(broker.Broker.Limits.CloseTimeoutMs + 200));
        await Eventually.True(() => broker.Broker.Connections == 0);
    }

    [Fact]
    [Limit(nameof(BrokerLimits.ReceiveMaximum), "DISCONNECT 0x93")]
    public async Task One_open_publish_more_than_receive_maximum_ends_the_connection()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { ReceiveMaximum = 3 });
        await using var client = await broker.Connect("a");
        for (ushort id = 1; id <= 3; id++)
        {
            await client.Send(Packet.Publish("t", "x", 2, id));
            Assert.Equal(0x50, (await client.Next())[0]);
        }
        await client.Send(Packet.Publish("t", "x", 2, 4));
        await client.ExpectDisconnect(0x93);
    }

    [Fact]
    [Limit(nameof(BrokerLimits.InFlightMaximum), "the rest waits for acknowledgements")]
    public async Task A_client_of_3_1_1_has_no_more_in_flight_than_the_limit()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { InFlightMaximum = 2 });
        await using var subscriber = await broker.Connect("s", level: 4);
        await subscriber.Subscribe("t", 1);
        await using var publisher = await broker.Connect("p");
        for (ushort id = 1; id <= 3; id++)
        {
            await publisher.Send(Packet.Publish("t", $"{id}", 1, id));
            await publisher.Next();
        }
        var first = await subscriber.NextPublish();
        Assert.Equal("2", (await subscriber.NextPublish()).Payload);
        await subscriber.ExpectNothing();
        await subscriber.Send(Packet.Ack(4, first.Id));
        Assert.Equal("3", (await subscriber.NextPublish()).Payload);
    }

    [Fact]
    [Limit(nameof(BrokerLimits.TopicAliasMaximum), "DISCONNECT 0x94")]
    public async Task A_topic_alias_above_the_maximum_ends_the_connection()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { TopicAliasMaximum = 5 });
        await using var client = await broker.Connect("a");
        await client.Send(Packet.Publish("t", "x", properties: Packet.Property(0x23, (ushort)5)));
        await client.ExpectNothing();
        await client.Send(Packet.Publish("t", "x", properties: Packet.Property(0x23, (ushort)6)));
        await client.ExpectDisconnect(0x94);
    }

    [Fact]
    [Limit(nameof(BrokerLimits.OutgoingTopicAliasMaximum), "no alias for further topics")]
    public async Task Topics_beyond_the_outgoing_aliases_are_sent_by_name()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { OutgoingTopicAliasMaximum = 1 });
        await using var subscriber = await broker.Connect(new ConnectOptions { ClientId = "s", Properties = Packet.Property(0x22, (ushort)10) });
        await subscriber.Subscribe("#", 0);
        await using var publisher = await broker.Connect("p");
        await publisher.Send(Packet.Publish("a", "1"), Packet.Publish("b", "2"), Packet.Publish("b", "3"), Packet.Publish("a", "4"));
        var received = new List<ReceivedPublish>();
        for (var i = 0; i < 4; i++)
        {
            received.Add(await subscriber.NextPublish());
        }
        var aliases = received.SelectMany(r => AliasOf(r.Properties)).Distinct().ToList();
        Assert.True(aliases.Count <= 1, $"{aliases.Count} aliases");
        Assert.Equal(["1", "2", "3", "4"], received.Select(r => r.Payload));

        static IEnumerable<int> AliasOf(byte[] properties) => properties.Length == 3 && properties[0] == 0x23 ? [(properties[1] << 8) | properties[2]] : [];
    }

    [Fact]
    [Limit(nameof(BrokerLimits.ClientIdBytesMaximum), "CONNACK 0x85; 3.1.1: return code 2")]
    public async Task A_client_id_that_is_too_long_is_refused()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { ClientIdBytesMaximum = 10 });
        await using var fits = await broker.Connect(new string('x', 10));
        await using var client = await broker.Open();
        await client.Send(Packet.Connect(new ConnectOptions { ClientId = new string('x', 11) }));
        var answer = await client.Next();
        Assert.Equal((0x20, 0x85), (answer[0], answer[3]));
        await using var old = await broker.Open();
        await old.Send(Packet.Connect(new ConnectOptions { ClientId = new string('x', 11), Level = 4 }));
        await old.Expect("20 02 00 02");
    }

    [Fact]
    [Limit(nameof(BrokerLimits.TopicLevelsMaximum), "publish: DISCONNECT 0x90; subscribe: SUBACK 0x8F")]
    public async Task A_topic_or_filter_with_too_many_levels_is_refused()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { TopicLevelsMaximum = 4 });
        await using var client = await broker.Connect("a");
        await client.Subscribe("a/b/c/#", 0);
        await client.Send(Packet.Publish("a/b/c/d", "deep"));
        Assert.Equal("deep", (await client.NextPublish()).Payload);
        await client.Send(Packet.Subscribe(9, true, 0, ("a/b/c/d/e", 0)));
        Assert.Equal(0x8F, (await client.Next())[^1]);
        await client.Send(Packet.Publish("a/b/c/d/e", "too deep"));
        await client.ExpectDisconnect(0x90);
    }

    [Fact]
    [Limit(nameof(BrokerLimits.FiltersPerPacketMaximum), "DISCONNECT 0x97")]
    public async Task Too_many_filters_in_one_packet_end_the_connection()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { FiltersPerPacketMaximum = 3 });
        await using var client = await broker.Connect("a");
        var filters = Enumerable.Range(0, 3).Select(i => ($"f{i}", (byte)0)).ToArray();
        await client.Send(Packet.Subscribe(1, true, 0, filters));
        Assert.Equal(0x90, (await client.Next())[0]);
        await client.Send(Packet.Subscribe(2, true, 0, [.. filters, ("one", 0)]));
        await client.ExpectDisconnect(0x97);
        await using var other = await broker.Connect("b");
        await other.Send(Packet.Unsubscribe(3, true, "a", "b", "c", "d"));
        await other.ExpectDisconnect(0x97);
    }

    [Fact]
    [Limit(nameof(BrokerLimits.SubscriptionsPerSessionMaximum), "SUBACK 0x97")]
    public async Task One_subscription_too_many_is_refused_and_the_others_stay()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { SubscriptionsPerSessionMaximum = 2 });
        await using var client = await broker.Connect("a");
        await client.Send(Packet.Subscribe(1, true, 0, ("a", 0), ("b", 0), ("c", 0), ("a", 1)));
        var codes = (await client.Next())[^4..];
        Assert.Equal([0, 0, 0x97, 1], codes);
        await client.Send(Packet.Publish("b", "still"));
        Assert.Equal("still", (await client.NextPublish()).Payload);
    }

    [Fact]
    [Limit(nameof(BrokerLimits.SessionsPerDeviceMaximum), "CONNACK 0x97; 3.1.1: close")]
    public async Task A_device_with_too_many_sessions_gets_no_further_one()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { SessionsPerDeviceMaximum = 2 });
        await using var first = await broker.Connect("a");
        await using var second = await broker.Connect("b");
        await using var third = await broker.Open();
        await third.Send(Packet.Connect(new ConnectOptions { ClientId = "c" }));
        Assert.Equal(0x97, (await third.Next())[3]);
        await using var again = await broker.Connect("b");
        await again.ExpectNothing();
    }

    [Fact]
    [Limit(nameof(BrokerLimits.ConnectionsMaximum), "close at once")]
    public async Task One_connection_too_many_is_closed_and_a_place_becomes_free_again()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { ConnectionsMaximum = 2 });
        await using var first = await broker.Connect("a");
        await using var second = await broker.Connect("b");
        await using var third = await broker.Open();
        await third.ExpectClosed();
        second.Cut();
        await Eventually.True(() => broker.Broker.Connections == 1);
        await using var next = await broker.Connect("c");
        await next.ExpectNothing();
    }

    [Fact]
    [Limit(nameof(BrokerLimits.KeepAliveSecondsMaximum), "CONNACK with Server Keep Alive, enforced")]
    public async Task A_longer_keep_alive_is_replaced_by_the_servers()
    {
        var time = new ManualTime();
        await using var broker = TestBroker.Start(new BrokerLimits { KeepAliveSecondsMaximum = 10 }, time: time);
        await using var client = await broker.Connect(new ConnectOptions { ClientId = "a", KeepAlive = 600 });
        Assert.Contains("13 00 0A", Hex.Write(client.ConnAck), StringComparison.Ordinal);
        broker.Advance(TimeSpan.FromSeconds(14.9));
        await client.ExpectNothing();
        broker.Advance(TimeSpan.FromSeconds(15.2));
        await client.ExpectDisconnect(0x8D);
    }

    [Fact]
    [Limit(nameof(BrokerLimits.CheckPayloadFormat), "PUBACK 0x99; off: delivered as it is")]
    public async Task A_payload_that_says_it_is_text_and_is_not_is_refused_unless_switched_off()
    {
        byte[] publish = [0x32, 0x0A, 0, 1, (byte)'t', 0, 7, 2, 1, 1, 0xC0, 0xAF];
        await using var strict = TestBroker.Start();
        await using var refused = await strict.Connect("a");
        await refused.Send(publish);
        Assert.Equal(0x99, (await refused.Next())[4]);
        await using var lenient = TestBroker.Start(new BrokerLimits { CheckPayloadFormat = false });
        await using var taken = await lenient.Connect("a");
        await taken.Subscribe("t", 0);
        await taken.Send(publish);
        var packets = new[] { (await taken.Next())[0] >> 4, (await taken.Next())[0] >> 4 };
        Assert.Equal([3, 4], packets.Order());
    }
}
