using IotHub.Broker.Protocol;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.V5;

/// <summary>Sections 3.14, 4.1 and 4.13: DISCONNECT in both directions, the end of a session, errors.</summary>
public sealed class DisconnectTests : Conversation
{
    [Theory]
    [InlineData("C0 00")]
    [InlineData("10 0D 0004 4D515454 05 03 003C 00 0000")] // the reserved flag
    [InlineData("10 18 0004 4D515454 05 C2 003C 00 0001 61 0001 75 0005 77726F6E67")] // "wrong"
    [InlineData("00 00")]
    [Statement("MQTT-3.14.0-1")]
    public async Task Before_CONNACK_there_is_no_DISCONNECT(string packet)
    {
        var client = await Open();
        await client.Send(packet);
        if (await client.TryNext() is { } answer)
        {
            Assert.True(answer[0] == 0x20 && answer[3] >= 0x80, Hex.Write(answer));
            await client.ExpectClosed();
        }
    }

    [Theory]
    [InlineData("E0 01 01", true)]
    [InlineData("E0 01 8E", true)]
    [InlineData("E0 01 8B", true)]
    [InlineData("E1 00", true)]
    [InlineData("E0 05 00 03 1C 0000", true)] // a Server Reference
    [InlineData("E0 07 00 05 11 00000005", true)] // a session expiry that CONNECT did not have
    [InlineData("E0 01 04", false)]
    [InlineData("E0 01 80", false)]
    [InlineData("E0 01 98", false)]
    [InlineData("E0 02 04 00", false)]
    [Statement("MQTT-3.14.1-1", "MQTT-3.14.2-1", "MQTT-3.14.4-3", "MQTT-4.13.2-1", "U5-17")]
    public async Task Any_end_but_a_good_DISCONNECT_0_publishes_the_will(string packet, bool isError)
    {
        var watcher = await Connect("watcher", 5);
        await watcher.Subscribe("w", 0);
        var client = await Connect(new ConnectOptions { ClientId = "c", Will = new WillOptions("w", "gone") });
        await client.Send(packet);
        if (isError)
        {
            await client.ExpectDisconnect(0x81, 0x82);
        }
        else
        {
            await client.ExpectClosed();
        }
        Assert.Equal("gone", (await watcher.Take()).Payload);
    }

    [Fact]
    [Statement("MQTT-3.14.2-1", "MQTT-3.14.2-2", "MQTT-3.14.4-2", "U5-35")]
    public async Task The_servers_DISCONNECT_has_a_code_of_its_table_and_no_session_expiry()
    {
        var codes = new List<byte>();
        var options = new ConnectOptions { ClientId = "c", KeepAlive = 2, Properties = Packet.Property(0x11, 100u) };
        async Task Collect(RawClient client)
        {
            var answer = await client.NextAnswer();
            Assert.Equal(0xE0, answer.FirstByte);
            Assert.False(answer.Properties.Has(0x11) || answer.Properties.Has(0x26));
            codes.Add(answer.Code);
            await client.ExpectClosed();
        }

        var first = await Connect(options);
        var second = await Connect(options);
        await Collect(first);
        Broker.Advance(TimeSpan.FromSeconds(4));
        await Collect(second);
        var rude = await Connect(options);
        await rude.Send("82 03 0001 00");
        await Collect(rude);
        var last = await Connect(options);
        Broker.Broker.Stop();
        await Collect(last);
        Assert.Equal([0x8E, 0x8D, 0x82, 0x8B], codes);
    }

    [Fact]
    [Statement("MQTT-3.14.2-3", "MQTT-3.14.2-4")]
    public async Task The_servers_DISCONNECT_says_why_as_far_as_the_client_takes_it()
    {
        foreach (var (properties, hasReason) in new[] { ("", true), ("17 00", true), ("27 00000014", false) })
        {
            var client = await Connect(new ConnectOptions { ClientId = "c", Properties = Hex.Read(properties) });
            await client.Send("82 03 0001 00");
            var packet = await client.Next();
            var answer = ReceivedAnswer.Read(packet);
            Assert.Equal((0xE0, 0x82, hasReason), (answer.FirstByte, answer.Code, answer.Properties.Has(0x1F)));
            Assert.True(!answer.Properties.Has(0x26) && (hasReason || packet.Length <= 20));
            await client.ExpectClosed();
        }
    }

    [Fact]
    [Statement("MQTT-3.14.4-1", "MQTT-3.14.4-2")]
    public async Task Nothing_follows_the_servers_DISCONNECT_under_heavy_delivery()
    {
        var client = await Connect("c", 5);
        await client.Subscribe("t", 0);
        var publisher = await Connect("pub", 5);
        var flood = Enumerable.Range(0, 100).SelectMany(_ => Packet.Publish("t", new string('x', 100))).ToArray();
        for (var i = 0; i < 20; i++)
        {
            await publisher.Send(flood);
        }
        await client.Send("82 03 0001 00");
        for (var i = 0; i < 20; i++)
        {
            await publisher.Send(flood);
        }
        await publisher.ExpectNothing();
        var packets = new List<byte[]>();
        while (await client.TryNext() is { } packet)
        {
            packets.Add(packet);
        }
        Assert.Equal(0xE0, packets[^1][0]);
        Assert.All(packets[..^1], p => Assert.Equal(0x30, p[0]));
    }

    [Fact]
    [Statement("MQTT-4.1.0-2", "MQTT-4.1.0-1")]
    public async Task A_session_ends_when_its_expiry_has_passed_and_not_before()
    {
        async Task<bool> IsKept(uint expiry, TimeSpan after)
        {
            var options = new ConnectOptions { ClientId = "c", CleanStart = false, Properties = Packet.Property(0x11, expiry) };
            var client = await Connect(options);
            await client.Subscribe("t", 1);
            await Pass(TimeSpan.FromSeconds(5), client);
            await Cut(client);
            Broker.Advance(after);
            var back = await Connect(options);
            await back.Send("E0 07 00 05 11 00000000");
            await back.ExpectClosed();
            return ReceivedAnswer.Read(back.ConnAck).SessionPresent;
        }

        Assert.False(await IsKept(1, TimeSpan.FromSeconds(3)));
        Assert.True(await IsKept(10, TimeSpan.FromSeconds(9)));
        Assert.False(await IsKept(10, TimeSpan.FromSeconds(11)));
        Assert.True(await IsKept(uint.MaxValue, TimeSpan.FromDays(20_000)));
    }

    [Fact]
    [Statement("U5-18")]
    public async Task DISCONNECT_may_shorten_the_life_of_a_session_to_nothing()
    {
        var client = await Resume("c", 5);
        await client.Send("E0 07 00 05 11 00000000");
        await client.ExpectClosed();
        client = await Resume("c", 5);
        Assert.Equal(0, client.ConnAck[2]);
    }

    [Theory]
    [InlineData("30 05 0000 78 00 78")]
    [InlineData("F0 00")]
    [InlineData("20 03 00 00 00")]
    [Statement("MQTT-4.13.1-1", "U5-37", "U5-05")]
    public async Task An_error_of_one_client_is_no_concern_of_another(string packet)
    {
        var healthy = await Connect("healthy", 5);
        await healthy.Subscribe("t", 1);
        var client = await Connect("c", 5);
        await client.Send(packet);
        await client.ExpectDisconnect((byte)ReasonCode.MalformedPacket, (byte)ReasonCode.ProtocolError);
        await healthy.ExpectNothing();
        var publisher = await Connect("pub", 5);
        await publisher.Publish("t", "x", 1);
        Assert.Equal("x", (await healthy.Take()).Payload);
    }
}
