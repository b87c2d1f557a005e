using IotHub.Broker;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.V5;

/// <summary>Sections 3.1.4 and 3.2: what the server does with a CONNECT, and CONNACK.</summary>
public sealed class ConnectActionsTests
{
    private static readonly byte[] Codes =
    [
        0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
    ];

    private static readonly ConnectOptions WrongPassword = new() { ClientId = "c", CleanStart = false, UserName = "u", Password = "wrong"u8.ToArray() };

    /// <summary>CONNECTs that are refused for a reason each, as a broker with short client ids, scripted passwords and a shared plan takes them.</summary>
    private static IEnumerable<byte[]> Refused()
    {
        yield return Hex.Read("10 0E 0004 4D515454 06 02 003C 00 0001 63");
        yield return Packet.RawConnect("03", "0001 63");
        yield return Packet.RawConnect("02", "0001 63 00");
        yield return Packet.RawConnect("02", "0001 63", "21 0000");
        yield return Packet.RawConnect("02", "0001 63", "23 0001");
        yield return Packet.RawConnect("02", "0001 63", "15 0001 78");
        yield return Packet.RawConnect("06", "0001 63 00 0001 23 0000");
        yield return Packet.RawConnect("06", "0001 63 02 01 01 0001 77 0001 FF");
        yield return Packet.RawConnect("16", "0001 63 00 0001 77 0000");
        yield return Packet.RawConnect("26", "0001 63 00 0001 77 0000");
        yield return Packet.Connect(WrongPassword);
        yield return Packet.Connect(new ConnectOptions { ClientId = new string('x', 50) });
        yield return Packet.Connect(new ConnectOptions { ClientId = "c", Properties = Packet.Property(0x27, 6u) });
        yield return Packet.Connect(new ConnectOptions { ClientId = "c", Password = new byte[5000] });
    }

    [Fact]
    [Statement("MQTT-3.2.2-1", "MQTT-3.2.2-7", "MQTT-3.2.2-8", "MQTT-3.1.4-2", "U5-12")]
    public async Task Every_refusal_is_one_CONNACK_with_a_code_of_its_table_and_a_close()
    {
        await using var broker = TestBroker.Start(
            new BrokerLimits { ClientIdBytesMaximum = 40, MaximumConnectSize = 4_096 },
            new ScriptedAuthenticator { Rights = ScriptedAuthenticator.SharedPlan });
        var seen = new HashSet<byte>();
        foreach (var connect in Refused())
        {
            await using var client = await broker.Open();
            await client.Send(connect);
            var answer = await client.NextAnswer();
            Assert.Equal((0x20, 0), (answer.FirstByte, answer.Head[0]));
            Assert.True(answer.Code >= 0x80 && Codes.Contains(answer.Code), $"CONNACK 0x{answer.Code:X2}");
            seen.Add(answer.Code);
            await client.ExpectClosed();
        }
        Assert.Equal([0x81, 0x82, 0x84, 0x85, 0x86, 0x8C, 0x90, 0x95, 0x99, 0x9A, 0x9B], seen.Order().ToArray());
    }

    [Theory]
    [InlineData("10 0C 0004 4D515454 05 02 003C 00 00")] // cut off in the client id
    [InlineData("10 0F 0004 4D515454 05 02 003C 00 0001 63 00")] // one byte too many
    [InlineData("10 11 0004 4D515454 05 02 003C 03 210000 0001 63")] // Receive Maximum 0
    [InlineData("10 14 0004 4D515454 05 02 003C 06 210001 210001 0001 63")] // a property twice
    [InlineData("10 11 0004 4D515454 05 02 003C 03 230001 0001 63")] // a property of PUBLISH
    [Statement("MQTT-3.1.4-1")]
    public async Task A_CONNECT_against_its_format_is_closed(string connect)
    {
        await using var broker = TestBroker.Start();
        await broker.Refuses(Hex.Read(connect), 0x81, 0x82);
    }

    [Fact]
    [Statement("MQTT-3.1.4-2", "MQTT-3.2.2-6")]
    public async Task A_refused_client_does_not_touch_the_session_of_its_id()
    {
        await using var broker = TestBroker.Start(authenticator: new ScriptedAuthenticator());
        await using (var client = await broker.Connect(Steps.Lasting("c")))
        {
            await broker.CutOff(client, "c");
        }
        var refusal = await broker.Refuses(Packet.Connect(WrongPassword), 0x86);
        Assert.False(ReceivedAnswer.Read(refusal!).SessionPresent);
        await broker.Refuses(Packet.Connect(WrongPassword with { CleanStart = true }), 0x86);
        await using var back = await broker.Connect(Steps.Lasting("c"));
        Assert.True(ReceivedAnswer.Read(back.ConnAck).SessionPresent);
    }

    [Fact]
    [Statement("MQTT-3.1.4-3", "MQTT-3.1.4-4")]
    public async Task A_second_connection_of_an_id_ends_the_first_and_then_clean_start_decides()
    {
        await using var broker = TestBroker.Start();
        await using var publisher = await broker.Connect("pub");
        await using var first = await broker.Connect(Steps.Lasting("x"));
        await first.Subscribe("t", 1);
        await using var second = await broker.Connect(Steps.Lasting("x"));
        await first.ExpectDisconnect(0x8E);
        Assert.True(ReceivedAnswer.Read(second.ConnAck).SessionPresent);
        await publisher.PublishAcked("t", "still subscribed");
        await second.Receives("still subscribed");
        await using var third = await broker.Connect(Steps.Lasting("x", cleanStart: true));
        await second.ExpectDisconnect(0x8E);
        Assert.False(ReceivedAnswer.Read(third.ConnAck).SessionPresent);
        await publisher.PublishAcked("t", "not any more");
        await third.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.1.4-5", "MQTT-3.2.2-1")]
    public async Task An_accepted_CONNECT_gets_a_CONNACK_with_code_0()
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Open();
        await client.Send("10 0E 0004 4D515454 05 02 003C 00 0001 61");
        var answer = await client.NextAnswer();
        Assert.Equal((0x20, 0, 0), (answer.FirstByte, answer.Head[0], answer.Code));
    }

    [Fact]
    [Statement("MQTT-3.1.4-6")]
    public async Task What_comes_behind_a_refused_CONNECT_has_no_effect()
    {
        await using var broker = TestBroker.Start(authenticator: new ScriptedAuthenticator());
        await using (var client = await broker.Open())
        {
            await client.Send(Packet.Connect(WrongPassword), Packet.Publish("t", "x", retain: true));
            Assert.Equal(0x86, (await client.NextAnswer()).Code);
            await client.ExpectClosed();
        }
        await using var watcher = await broker.Connect("watcher");
        await watcher.Subscribe("t", 0);
        await watcher.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.2.0-1", "MQTT-3.2.0-2")]
    public async Task CONNACK_comes_first_and_once()
    {
        await using var broker = TestBroker.Start();
        await using (var client = await broker.Connect(Steps.Lasting("c")))
        {
            await client.Subscribe("t", 1);
            await broker.CutOff(client, "c");
        }
        await using var publisher = await broker.Connect("pub");
        await publisher.PublishAcked("t", "queued");
        await using var back = await broker.Open();
        await back.Send(Packet.Connect(Steps.Lasting("c")), Hex.Read("C0 00"));
        Assert.Equal(0x20, (await back.NextAnswer()).FirstByte);
        var rest = new[] { (await back.Next())[0], (await back.Next())[0] };
        Assert.Equal(new byte[] { 0x32, 0xD0 }, rest.Order().ToArray());
        await back.Send(Packet.Connect(Steps.Lasting("c")));
        await back.ExpectDisconnect(0x82);
    }

    [Fact]
    [Statement("MQTT-3.2.2-9", "MQTT-3.2.2-14", "MQTT-3.2.2-13")]
    public async Task What_the_plan_does_not_have_is_announced_and_the_rest_is_not()
    {
        await using var full = TestBroker.Start();
        await using var first = await full.Connect("c");
        var everything = ReceivedAnswer.Read(first.ConnAck).Properties;
        Assert.False(everything.Has(0x24) || everything.Has(0x25));
        await using var shared = TestBroker.Start(authenticator: new ScriptedAuthenticator { Rights = ScriptedAuthenticator.SharedPlan });
        await using var second = await shared.Connect(Steps.Lasting("c", cleanStart: true));
        var limited = ReceivedAnswer.Read(second.ConnAck).Properties;
        Assert.Equal((1u, 0u, 0u), (limited.Number(0x24), limited.Number(0x25), limited.Number(0x11)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [Statement("MQTT-3.2.2-10")]
    public async Task SUBSCRIBE_is_taken_at_every_quality_and_granted_as_far_as_the_plan_goes(byte qos)
    {
        await using var broker = TestBroker.Start(authenticator: new ScriptedAuthenticator { Rights = ScriptedAuthenticator.SharedPlan });
        await using var client = await broker.Connect("c");
        Assert.Equal(0, (await client.Ask(Packet.Subscribe(1, true, 0, ("t", qos)))).Code);
        await client.Send(Packet.Publish("t", "x"));
        Assert.Equal(0, (await client.Receives("x")).Qos);
    }

    [Fact]
    [Statement("MQTT-3.2.2-11", "MQTT-3.2.2-14", "U5-10", "U5-11")]
    public async Task A_publish_beyond_what_was_announced_ends_the_connection()
    {
        await using var broker = TestBroker.Start(authenticator: new ScriptedAuthenticator { Rights = ScriptedAuthenticator.SharedPlan });
        await broker.Rejects("34 07 0001 74 0001 00 78", 0x9B);
        await broker.Rejects("31 05 0001 74 00 78", 0x9A);
    }

    [Theory]
    [InlineData("16", 0x9B)] // will QoS 2
    [InlineData("26", 0x9A)] // will retain
    [Statement("MQTT-3.2.2-12", "MQTT-3.2.2-13")]
    public async Task A_will_beyond_what_the_plan_has_is_refused(string flags, byte code)
    {
        await using var broker = TestBroker.Start(authenticator: new ScriptedAuthenticator { Rights = ScriptedAuthenticator.SharedPlan });
        await using var client = await broker.Open();
        await client.Send(Packet.RawConnect(flags, "0001 63 00 0001 77 0001 78"));
        Assert.Equal(code, (await client.NextAnswer()).Code);
        await client.ExpectClosed();
    }

    [Fact]
    [Statement("MQTT-3.2.2-15", "U5-12")]
    public async Task A_packet_above_the_servers_maximum_is_refused_on_its_header_alone()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { MaximumConnectSize = 1_024, MaximumPacketSize = 1_024 });
        await using var client = await broker.Connect("c");
        Assert.Equal(1_024u, ReceivedAnswer.Read(client.ConnAck).Properties.Number(0x27));
        // 3 of fixed header, 3 of topic, packet id, property length.
        var largest = Packet.Publish("t", new string('x', 1_024 - 9), 1, 1);
        Assert.Equal(1_024, largest.Length);
        await client.Ask(largest);
        await client.Send("32 FE 07"); // 1,022 bytes are to follow: 1,025 in all
        await client.ExpectDisconnect(0x95);
    }

    [Fact]
    [Statement("U5-12")]
    public async Task A_CONNECT_above_the_limit_is_told_so_as_soon_as_its_version_is_seen()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { MaximumConnectSize = 1_024 });
        await using var client = await broker.Open();
        await client.Send("10 FE 07");
        await client.Send("0004 4D515454 05");
        Assert.Equal(0x95, (await client.NextAnswer()).Code);
        await client.ExpectClosed();
    }

    [Fact]
    [Statement("MQTT-3.2.2-17", "MQTT-3.3.2-9", "U5-08")]
    public async Task An_alias_above_the_servers_maximum_is_refused()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { TopicAliasMaximum = 5 });
        await using var client = await broker.Connect("c");
        Assert.Equal(5u, ReceivedAnswer.Read(client.ConnAck).Properties.Number(0x22));
        await client.Send("30 08 0001 74 03 230005 78");
        await client.ExpectNothing();
        await client.Send("30 08 0001 74 03 230006 78");
        await client.ExpectDisconnect(0x94);
    }

    [Fact]
    [Statement("MQTT-3.2.2-18")]
    public async Task Where_aliases_are_switched_off_none_is_taken()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { TopicAliasMaximum = 0 });
        await using var client = await broker.Connect("c");
        Assert.Equal(0u, ReceivedAnswer.Read(client.ConnAck).Properties.Number(0x22));
        await broker.Rejects("30 08 0001 74 03 230001 78", 0x94);
    }

    [Theory]
    [InlineData(64u, true)]
    [InlineData(1_000u, true)]
    [InlineData(20u, false)]
    [Statement("MQTT-3.2.2-19", "MQTT-3.2.2-20")]
    public async Task A_reason_string_is_left_out_of_a_CONNACK_that_it_would_make_too_large(uint maximum, bool fits)
    {
        await using var broker = TestBroker.Start(authenticator: new ScriptedAuthenticator());
        var answer = await broker.Refuses(Packet.Connect(WrongPassword with { Properties = Packet.Property(0x27, maximum) }), 0x86);
        Assert.InRange(answer!.Length, 5, (int)maximum);
        var properties = ReceivedAnswer.Read(answer).Properties;
        Assert.Equal(fits, properties.Has(0x1F));
        Assert.False(properties.Has(0x26));
    }

    [Fact]
    [Statement("MQTT-3.2.2-19")]
    public async Task A_limit_that_stands_behind_the_mistake_is_kept_all_the_same()
    {
        await using var broker = TestBroker.Start();
        var answer = await broker.Refuses(Packet.RawConnect("02", "0001 63", "21 0000 27 00000008"), 0x82);
        Assert.InRange(answer!.Length, 5, 8);
    }
}
