using System.Text;
using IotHub.Broker;
using IotHub.Harness;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.Hostile;

/// <summary>Clients that mean harm, each beside two that do not: those are served throughout.</summary>
public sealed class HostileClientTests
{
    public static TheoryData<string, string> BadPackets => new()
    {
        { "packet type 0", "00 00" },
        { "five length bytes", "30 80 80 80 80 01" },
        { "publish with QoS 3", "36 05 0001 74 0001" },
        { "publish that ends in its topic", "30 03 0010 61" },
        { "publish whose properties overrun", "30 05 0001 74 7F 01" },
        { "publish with an unknown property", "30 06 0001 74 02 7E 00" },
        { "publish with an overlong property length", "30 07 0001 74 80 80 80 80" },
        { "acknowledgement of one byte", "40 01 00" },
        { "acknowledgement with a cut property", "40 06 0001 00 05 1F 00" },
        { "subscribe without an id", "82 01 00" },
        { "subscribe with wrong flags", "80 06 0001 00 0001 61 00" },
        { "subscribe whose filter overruns", "82 07 0001 00 FFFF 61 00" },
        { "unsubscribe whose filter overruns", "A2 05 0001 00 FFFF" },
        { "ping with a body", "C0 01 00" },
        { "disconnect with an overrunning property", "E0 03 00 7F 11" },
        { "auth out of the blue", "F0 00" },
        { "connack from a client", "20 03 00 00 00" },
        { "a topic of overlong UTF-8", "30 05 0002 C0AF 00" },
        { "a topic with a surrogate", "30 06 0003 EDA080 00" },
        { "a topic with U+0000", "30 06 0003 610062 00" },
        { "a topic with a wildcard", "30 04 0001 23 00" },
    };

    [Theory]
    [MemberData(nameof(BadPackets))]
    public async Task A_malformed_packet_ends_its_connection_and_nobody_elses(string what, string packet)
    {
        Assert.NotEmpty(what);
        await using var broker = TestBroker.Start();
        await using var healthy = await HealthyPair.On(broker);
        await using var client = await broker.Connect("bad");
        await client.Send(packet);
        var answer = await client.Next();
        Assert.True(answer[0] == 0xE0 && answer[2] >= 0x80, $"expected a DISCONNECT with a failure, got {Hex.Write(answer)}");
        await client.ExpectClosed();
        await healthy.IsServed();
        Assert.Contains(broker.Broker.Lanes.SelectMany(l => l.Connections), c => c.Phase == ConnectionPhase.Connected);
    }

    [Fact]
    public async Task The_event_of_a_broken_connection_names_the_device_and_the_packet()
    {
        await using var broker = TestBroker.Start(settings: new("$SCW/events", false, []));
        await using var watcher = await broker.Connect("watcher");
        await watcher.Subscribe("$SCW/events/#", 0);
        await using var client = await broker.Connect("bad");
        await client.Send("30 03 0010 61");
        var happened = await watcher.NextPublish();
        Assert.StartsWith("$SCW/events/device/", happened.Topic, StringComparison.Ordinal);
        Assert.EndsWith("/error", happened.Topic, StringComparison.Ordinal);
        Assert.Contains("\"msg\":\"failed to unpack message body\"", happened.Payload, StringComparison.Ordinal);
        Assert.Contains("\"packet\":\"PUBLISH: dup: false qos: 0 retain: false rLength: 3\"", happened.Payload, StringComparison.Ordinal);
        Assert.Single(broker.Bridge.Events);
    }

    [Theory]
    [InlineData("36 05 0001 61 0001", "invalid MQTT QoS value: 3")]
    [InlineData("82 07 0001 00 0001 61 03", "invalid MQTT QoS value: 3")]
    [InlineData("30 03 0000 00", "empty topics are not authorized")]
    [InlineData("00 00", "unknown MQTT message type: 0")]
    [InlineData("30 FF FF FF FF", "cannot decode MQTT header")]
    public async Task The_event_says_what_was_wrong_in_the_words_of_the_reference(string packet, string text)
    {
        await using var broker = TestBroker.Start(settings: new("$SCW/events", false, []));
        await using var watcher = await broker.Connect("watcher");
        await watcher.Subscribe("$SCW/events/#", 0);
        await using var client = await broker.Connect("bad");
        await client.Send(packet);
        Assert.Contains($"\"msg\":\"{text}\"", (await watcher.NextPublish()).Payload, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("30", "cannot read MQTT header")]
    [InlineData("30 80", "cannot read MQTT header")]
    [InlineData("30 05 0001 61", "failed to unpack message body")]
    [InlineData("C0 00", null)]
    public async Task A_client_that_is_gone_in_the_middle_of_a_packet_leaves_an_event(string sent, string? text)
    {
        await using var broker = TestBroker.Start(settings: new("$SCW/events", false, []));
        await using (var client = await broker.Connect("cut"))
        {
            await client.Send(sent);
            if (text is null)
            {
                await client.Next();
            }
        }
        await broker.Offline("cut");
        await Eventually.True(() => broker.Bridge.Events.Count == (text is null ? 0 : 1));
        Assert.Equal(text is null ? [] : [text], broker.Bridge.Events.Select(happened => happened.Message));
    }

    [Theory]
    [InlineData(Via.Tcp)]
    [InlineData(Via.Sockets)]
    [InlineData(Via.Tls)]
    public async Task A_client_that_is_gone_before_its_packets_have_left_leaves_an_event(Via via)
    {
        await using var broker = TestBroker.Start(settings: new("$SCW/events", false, []), via: via);
        await using var slow = await broker.Connect("slow");
        await slow.Subscribe("big", 0);
        await using var publisher = await broker.Connect("publisher");
        var big = Packet.Publish("big", new string('x', 256 * 1024));
        while (broker.Broker.Lanes.Sum(lane => lane.Counters.DroppedSlowReceiver) == 0)
        {
            await publisher.Send(big);
            await publisher.ExpectNothing();
        }
        slow.Cut();
        await Eventually.True(() => broker.Bridge.Events.Count > 0);
        var happened = Assert.Single(broker.Bridge.Events);
        Assert.Equal(("cannot write MQTT packet", "error", "device"), (happened.Message, happened.Severity, happened.ObjectType));
        Assert.Null(happened.Packet);
    }

    [Fact]
    public async Task Announced_lengths_cost_nothing_until_the_bytes_are_there()
    {
        await using var broker = TestBroker.Start();
        await using var healthy = await HealthyPair.On(broker);
        var clients = new List<RawClient>();
        for (var i = 0; i < 200; i++)
        {
            clients.Add(await broker.Connect($"c{i}"));
        }
        await healthy.IsServed();
        var before = GC.GetTotalMemory(forceFullCollection: true);
        foreach (var client in clients)
        {
            // 4 MB announced, 12 bytes sent: 800 MB if anyone believed it.
            await client.Send("30 80 80 80 02 0001 74 00 3132333435");
        }
        await healthy.IsServed();
        var grown = GC.GetTotalMemory(forceFullCollection: true) - before;
        Assert.True(grown < 200 * 16 * 1024, $"{grown / 200} bytes per client");
        foreach (var client in clients)
        {
            await client.DisposeAsync();
        }
    }

    [Fact]
    public async Task One_byte_at_a_time_is_a_client_like_another()
    {
        await using var broker = TestBroker.Start();
        await using var healthy = await HealthyPair.On(broker);
        await using var client = await broker.Open();
        foreach (var b in Packet.Connect(new ConnectOptions { ClientId = "slow" }))
        {
            await client.Send([b]);
            if (b == 0x4D)
            {
                await healthy.IsServed();
            }
        }
        Assert.Equal(0, (await client.Next())[3]);
        byte[] conversation = [.. Packet.Subscribe(1, true, 0, ("t", 0)), .. Packet.Publish("t", "dribbled"), 0xC0, 0];
        foreach (var b in conversation)
        {
            await client.Send([b]);
        }
        Assert.Equal(0x90, (await client.Next())[0]);
        Assert.Equal("dribbled", (await client.NextPublish()).Payload);
        await client.Expect("D0 00");
        await healthy.IsServed();
    }

    [Fact]
    public async Task A_dribbled_packet_does_not_count_as_a_sign_of_life()
    {
        var time = new ManualTime();
        await using var broker = TestBroker.Start(time: time);
        await using var client = await broker.Connect(new ConnectOptions { ClientId = "a", KeepAlive = 10 });
        foreach (var part in new[] { "30", "0A", "00", "01" })
        {
            await client.Send(part);
            broker.Advance(TimeSpan.FromSeconds(3.9));
        }
        await client.ExpectDisconnect(0x8D);
    }

    [Fact]
    public async Task A_half_open_client_is_noticed_by_its_keep_alive_and_its_will_goes_out()
    {
        var time = new ManualTime();
        await using var broker = TestBroker.Start(time: time);
        await using var watcher = await broker.Connect(new ConnectOptions { ClientId = "w", KeepAlive = 0 });
        await watcher.Subscribe("gone", 0);
        await using var client = await broker.Connect(new ConnectOptions { ClientId = "a", KeepAlive = 10, Will = new WillOptions("gone", "silent") });
        broker.Advance(TimeSpan.FromSeconds(14.8));
        await watcher.ExpectNothing();
        broker.Advance(TimeSpan.FromSeconds(0.4));
        Assert.Equal("silent", (await watcher.NextPublish()).Payload);
    }

    [Fact]
    public async Task A_flood_of_silent_connections_keeps_nobody_out()
    {
        var time = new ManualTime();
        await using var broker = TestBroker.Start(time: time);
        await using var healthy = await HealthyPair.On(broker);
        var flood = await Task.WhenAll(Enumerable.Range(0, 500).Select(_ => broker.Open()));
        await Eventually.True(() => broker.Broker.Connections == 502);
        await healthy.IsServed();
        await using var late = await broker.Connect("late");
        broker.Advance(TimeSpan.FromSeconds(10.5));
        await Eventually.True(() => broker.Broker.Connections == 3);
        await healthy.IsServed();
        foreach (var client in flood)
        {
            await client.DisposeAsync();
        }
    }

    [Fact]
    public async Task A_flood_of_connects_under_one_client_id_leaves_one()
    {
        await using var broker = TestBroker.Start();
        await using var healthy = await HealthyPair.On(broker);
        var all = new List<RawClient>();
        for (var i = 0; i < 100; i++)
        {
            all.Add(await broker.Connect("same"));
        }
        await Eventually.True(() => broker.Broker.ConnectedDevices(Broker.Auth.AnonymousAuthenticator.HubId).Count == 1);
        await all[^1].ExpectNothing();
        await all[0].ExpectDisconnect(0x8E);
        await healthy.IsServed();
        foreach (var client in all)
        {
            await client.DisposeAsync();
        }
    }

    [Fact]
    public async Task A_qos_2_client_of_3_1_1_that_never_releases_costs_one_small_entry_each_and_each_message_arrives_once()
    {
        await using var broker = TestBroker.Start();
        await using var healthy = await HealthyPair.On(broker);
        await using var subscriber = await broker.Connect("s", level: 4);
        await subscriber.Subscribe("t", 0);
        await using var client = await broker.Connect("flood", level: 4);
        for (var round = 0; round < 2; round++)
        {
            var batch = Enumerable.Range(1, 5_000).SelectMany(id => Packet.Publish("t", $"{id}", 2, (ushort)id, dup: round > 0, isV5: false)).ToArray();
            await client.Send(batch);
            for (var id = 1; id <= 5_000; id++)
            {
                await client.Expect(Packet.Ack(5, (ushort)id));
            }
        }
        for (var id = 1; id <= 5_000; id++)
        {
            Assert.Equal($"{id}", (await subscriber.NextPublish()).Payload);
        }
        await subscriber.ExpectNothing();
        await healthy.IsServed();
    }

    [Fact]
    public async Task A_topic_of_30000_levels_is_refused_and_costs_nobody_anything()
    {
        await using var broker = TestBroker.Start();
        await using var healthy = await HealthyPair.On(broker);
        var deep = string.Join('/', Enumerable.Repeat("a", 30_000));
        await using (var client = await broker.Connect("deep"))
        {
            await client.Send(Packet.Subscribe(1, true, 0, (deep, 0), (string.Join('/', Enumerable.Repeat("+", 30_000)), 0), ("#", 0)));
            Assert.Equal([0x8F, 0x8F, 0x00], (await client.Next())[^3..]);
            await client.Send(Packet.Publish(deep, "x"));
            await client.ExpectDisconnect(0x90);
        }
        await healthy.IsServed();
    }

    [Fact]
    public async Task Filters_of_many_plus_signs_do_not_blow_up_the_match()
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect("a");
        // All 2^10 filters of ten levels that are each "a" or "+": the worst there is for a walk that branches.
        var filters = Enumerable.Range(0, 1 << 10)
            .Select(bits => string.Join('/', Enumerable.Range(0, 10).Select(i => (bits >> i & 1) == 0 ? "a" : "+"))).ToArray();
        await client.Send(Packet.Subscribe(1, true, 0, [.. filters.Select(f => (f, (byte)0))]));
        Assert.Equal(0x90, (await client.Next())[0]);
        var topic = string.Join('/', Enumerable.Repeat("a", 10));
        await client.Send(Packet.Publish(topic, "once"));
        Assert.Equal("once", (await client.NextPublish()).Payload);
        await client.ExpectNothing();
    }

    [Fact]
    public async Task Random_bytes_instead_of_mqtt_are_closed_and_nothing_else_happens()
    {
        await using var broker = TestBroker.Start();
        await using var healthy = await HealthyPair.On(broker);
        var random = new Random(20260102);
        var greetings = new List<byte[]> { Encoding.ASCII.GetBytes("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), Hex.Read("16 03 01 02 00 01 00 01 FC 03 03") };
        for (var i = 0; i < 50; i++)
        {
            var bytes = new byte[random.Next(2, 200)];
            random.NextBytes(bytes);
            // A CONNECT's first byte would make it wait for more; that case has its own test.
            bytes[0] = (byte)(bytes[0] >> 4 == 1 ? 0x20 : bytes[0]);
            greetings.Add(bytes);
        }
        foreach (var greeting in greetings)
        {
            await using var client = await broker.Open();
            await client.Send(greeting);
            await client.ExpectClosed();
        }
        await healthy.IsServed();
        await Eventually.True(() => broker.Broker.Connections == 2);
    }
}
