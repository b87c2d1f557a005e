using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.V311;

/// <summary>3.1.1, sections 3.1 and 3.2: CONNECT and CONNACK.</summary>
public sealed class ConnectTests : Conversation
{
    private const string Start = "0004 4D515454 04";

    [Theory]
    [InlineData("C0 00")]
    [InlineData("30 04 0001 74 78")]
    [InlineData("82 06 0001 0001 74 00")]
    [InlineData("E0 00")]
    [InlineData("20 02 00 00")]
    [Statement("MQTT-3.1.0-1", "MQTT-3.2.2-6", Version = 4)]
    public async Task What_is_not_a_CONNECT_may_not_come_first(string packet)
    {
        var client = await Open(4);
        await client.Send(packet);
        await client.ExpectClosed();
    }

    [Fact]
    [Statement("MQTT-3.1.0-2", "MQTT-3.1.2-8", Version = 4)]
    public async Task A_second_CONNECT_ends_the_connection_and_its_will_is_published()
    {
        var watcher = await Watcher();
        var options = new ConnectOptions { ClientId = "c", Level = 4, Will = new WillOptions("w", "gone") };
        var client = await Connect(options);
        await client.Send(Packet.Connect(options));
        await client.ExpectClosed();
        Assert.Equal("gone", (await watcher.Take()).Payload);
    }

    [Fact]
    [Statement("MQTT-3.1.2-1", Version = 4)]
    public async Task Another_protocol_name_is_closed_without_an_answer()
    {
        var client = await Open(4);
        await client.Send("10 0C 0004 4D515458 04 02 003C 0000");
        await client.ExpectClosed();
    }

    [Theory]
    [InlineData("03", "20 02 00 01")]
    [InlineData("00", "20 02 00 01")]
    [InlineData("06", "20 03 00 84 00")]
    [Statement("MQTT-3.1.2-2", "MQTT-3.2.2-5", Version = 4)]
    public async Task An_unknown_level_is_answered_then_closed(string level, string answer)
    {
        var client = await Open(4);
        await client.Send($"10 0C 0004 4D515454 {level} 02 003C 0000");
        await client.Expect(answer);
        await client.ExpectClosed();
    }

    [Theory]
    [InlineData("03 003C 0001 61")] // the reserved flag
    [InlineData("06 003C 0001 61")] // a will without its fields
    [InlineData("06 003C 0001 61 0001 77")] // a will without its message
    [InlineData("2A 003C 0001 61")] // will retain and will QoS without a will
    [InlineData("0A 003C 0001 61")] // will QoS without a will
    [InlineData("22 003C 0001 61")] // will retain without a will
    [InlineData("1E 003C 0001 61 0001 77 0001 78")] // will QoS 3
    [InlineData("02 003C 0001 61 0001 75")] // a user name that is not announced
    [InlineData("82 003C 0001 61")] // a user name that is not there
    [InlineData("82 003C 0001 61 0001 75 0001 70")] // a password that is not announced
    [InlineData("C2 003C 0001 61 0001 75")] // a password that is not there
    [InlineData("42 003C 0001 61 0001 70")] // a password without a user name
    [InlineData("02 003C")] // no client identifier
    [InlineData("02 003C 0005 61")] // a length beyond the packet
    [InlineData("02 003C 0001 61 00")] // a byte behind the last field
    [InlineData("02 00")] // cut off
    [InlineData("06 003C 0001 61 0003 612F23 0001 78")] // a wildcard in the will topic
    [Statement("MQTT-3.1.2-3", "MQTT-3.1.2-9", "MQTT-3.1.2-11", "MQTT-3.1.2-13", "MQTT-3.1.2-14", "MQTT-3.1.2-15", "MQTT-3.1.2-18",
        "MQTT-3.1.2-19", "MQTT-3.1.2-20", "MQTT-3.1.2-21", "MQTT-3.1.2-22", "MQTT-3.1.3-3", "MQTT-3.1.3-10", "MQTT-3.1.4-1", "MQTT-3.2.2-6",
        "MQTT-4.7.1-1", "MQTT-4.8.0-1", Version = 4)]
    public async Task A_CONNECT_that_does_not_fit_its_format_is_closed_without_a_CONNACK(string rest)
    {
        var client = await Open(4);
        await client.Send(Packet.Whole(0x10, Hex.Read(Start + rest)));
        await client.ExpectClosed();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [Statement("MQTT-3.1.2-9", "MQTT-3.1.2-14", "MQTT-3.1.2-16", "MQTT-3.1.2-17", "MQTT-3.1.3-1", Version = 4)]
    public async Task The_five_fields_of_the_payload_stand_in_their_order(byte qos)
    {
        var door = new GuardedDoor();
        await using var broker = TestBroker.Start(authenticator: door);
        await using var watcher = await broker.Connect("watcher", 4);
        await watcher.Subscribe("w/#", 2);
        foreach (var retain in new[] { false, true })
        {
            var client = await broker.Connect(new ConnectOptions
            {
                ClientId = "c",
                Level = 4,
                UserName = "name",
                Password = [0xFF, 0, 0xFE],
                Will = new WillOptions($"w/{retain}", "gone", qos, retain),
            });
            Assert.Equal(("c", "name", "FF 00 FE"), (door.Last!.ClientId, door.Last.UserName, Hex.Write(door.Last.Password!.Value.Span)));
            client.Cut();
            var will = await watcher.Take();
            Assert.Equal(($"w/{retain}", "gone", qos, false), (will.Topic, will.Payload, will.Qos, will.Retain));
        }
        await using var late = await broker.Connect("late", 4);
        await late.Subscribe("w/#", 2);
        var kept = await late.Take();
        Assert.Equal(("w/True", true), (kept.Topic, kept.Retain));
        await late.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.1.2-8", "MQTT-3.1.2-10", "MQTT-3.1.2-12", "MQTT-3.1.4-2", Version = 4)]
    public async Task A_will_is_published_at_once_when_the_connection_ends_without_DISCONNECT_and_only_then()
    {
        var watcher = await Watcher();
        var mortal = new ConnectOptions { ClientId = "c", Level = 4, CleanStart = false, Will = new WillOptions("w", "gone") };
        var client = await Connect(mortal);
        await Cut(client);
        Assert.Equal("gone", (await watcher.Take()).Payload);

        // Taken over: the first connection reads its end without a packet, and its will goes out.
        client = await Connect(mortal);
        var second = await Resume("c", 4);
        await client.ExpectClosed();
        Assert.Equal("gone", (await watcher.Take()).Payload);

        // Published once: the connection that follows has no will.
        await Cut(second);
        await watcher.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.1.2-24", "MQTT-3.1.2-8", Version = 4)]
    public async Task Silence_for_one_and_a_half_keep_alives_ends_the_connection()
    {
        var watcher = await Watcher();
        var client = await Connect(new ConnectOptions { ClientId = "c", Level = 4, KeepAlive = 2, Will = new WillOptions("w", "gone") });
        var forever = await Connect(new ConnectOptions { ClientId = "f", Level = 4, KeepAlive = 0 });
        Broker.Advance(TimeSpan.FromSeconds(2.5));
        await client.ExpectNothing();
        Broker.Advance(TimeSpan.FromSeconds(2.9));
        await watcher.ExpectNothing();
        Broker.Advance(TimeSpan.FromSeconds(0.2));
        await client.ExpectClosed();
        Assert.Equal("gone", (await watcher.Take()).Payload);
        await Pass(TimeSpan.FromHours(1), watcher);
        await forever.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.1.2-24", Version = 4)]
    public async Task What_is_sent_to_a_client_does_not_count_as_its_own_sign_of_life()
    {
        var publisher = await Connect("pub", 4);
        var client = await Connect(new ConnectOptions { ClientId = "c", Level = 4, KeepAlive = 2 });
        await client.Subscribe("t", 0);
        for (var i = 0; i < 3; i++)
        {
            Broker.Advance(TimeSpan.FromSeconds(0.9));
            await publisher.Publish("t", "x");
            await client.Take();
        }
        Broker.Advance(TimeSpan.FromSeconds(0.5));
        await client.ExpectClosed();
    }

    [Fact]
    [Statement("MQTT-3.1.3-5", "MQTT-3.1.4-4", Version = 4)]
    public async Task Identifiers_of_1_to_23_letters_and_digits_are_accepted()
    {
        foreach (var id in new[] { "a", "0123456789abcdefghijklm", "nopqrstuvwxyzABCDEFGHIJ", "KLMNOPQRSTUVWXYZ" })
        {
            var client = await Open(4);
            await client.Send(Packet.Connect(new ConnectOptions { ClientId = id, Level = 4 }));
            await client.Expect("20 02 00 00");
        }
    }

    [Fact]
    [Statement("MQTT-3.1.3-6", "MQTT-3.1.3-7", Version = 4)]
    public async Task Empty_identifiers_are_replaced_by_distinct_ones()
    {
        var one = await Open(4);
        var two = await Open(4);
        foreach (var client in new[] { one, two })
        {
            await client.Send("10 0C 0004 4D515454 04 02 003C 0000");
            await client.Expect("20 02 00 00");
        }
        await one.ExpectNothing();
        await two.ExpectNothing();
    }

    [Theory]
    [InlineData("10 0C 0004 4D515454 04 00 003C 0000", 2)] // no identifier and no clean session
    [InlineData("10 15 0004 4D515454 04 02 003C 0009 666F7262696464656E", 2)] // "forbidden"
    [InlineData("10 17 0004 4D515454 04 82 003C 0001 78 0008 73747261 6E676572 ", 5)] // "stranger"
    [InlineData("10 19 0004 4D515454 04 C0 003C 0003 6B6570 0001 75 0005 77726F6E67", 4)] // "wrong", with a stored session
    [InlineData("10 14 0004 4D515454 04 82 003C 0001 78 0005 6561726C79", 3)] // "early"
    [Statement("MQTT-3.1.3-8", "MQTT-3.1.3-7", "MQTT-3.1.3-9", "MQTT-3.1.4-5", "MQTT-3.2.2-4", "MQTT-3.2.2-5", "MQTT-3.2.2-6", Version = 4)]
    public async Task A_refusal_has_its_code_and_no_session_present_and_what_stands_behind_it_is_ignored(string connect, byte code)
    {
        var kept = await Resume("kep", 4);
        await kept.Send("E0 00");
        await kept.ExpectClosed();
        var client = await Open(4);
        await client.Send(Hex.Read(connect), Packet.Publish("behind", "x", retain: true, isV5: false));
        await client.Expect([0x20, 2, 0, code]);
        await client.ExpectClosed();
        var watcher = await Watcher();
        await watcher.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.1.3-2", Version = 4)]
    public async Task Sessions_belong_to_their_identifiers_to_the_letter()
    {
        foreach (var id in new[] { "id", "ID" })
        {
            var client = await Resume(id, 4);
            await client.Subscribe(id, 1);
            await Cut(client);
        }
        var publisher = await Connect("pub", 4);
        await publisher.Publish("id", "lower", 1);
        await publisher.Publish("ID", "upper", 1);
        foreach (var (id, payload) in new[] { ("id", "lower"), ("ID", "upper") })
        {
            var client = await Resume(id, 4);
            Assert.Equal(payload, (await client.Take()).Payload);
            await client.ExpectNothing();
        }
    }

    [Fact]
    [Statement("MQTT-3.1.2-4", "MQTT-3.2.2-2", "MQTT-3.2.2-3", "MQTT-4.1.0-1", Version = 4)]
    public async Task A_session_without_clean_session_is_kept_without_limit_of_time()
    {
        var client = await Resume("c", 4);
        await client.Send("E0 00");
        await client.ExpectClosed();
        Assert.Equal("20 02 00 00", Hex.Write(client.ConnAck));
        client = await Resume("c", 4);
        Assert.Equal("20 02 01 00", Hex.Write(client.ConnAck));
        await client.Subscribe("t", 1);
        await Cut(client);
        Broker.Advance(TimeSpan.FromDays(1000));
        var publisher = await Connect("pub", 4);
        await publisher.Publish("t", "x", 1);
        client = await Resume("c", 4);
        Assert.Equal("20 02 01 00", Hex.Write(client.ConnAck));
        Assert.Equal("x", (await client.Take()).Payload);
    }

    [Fact]
    [Statement("MQTT-3.1.2-6", "MQTT-3.1.2-7", "MQTT-3.2.2-1", Version = 4)]
    public async Task A_clean_session_discards_the_old_one_and_leaves_nothing_but_retained_messages()
    {
        var client = await Resume("c", 4);
        await client.Subscribe("old", 1);
        await Cut(client);
        client = await Connect("c", 4);
        Assert.Equal("20 02 00 00", Hex.Write(client.ConnAck));
        await client.Subscribe("x", 1);
        await client.Publish("kept", "still", retain: true);
        await client.Send("E0 00");
        await client.ExpectClosed();
        client = await Resume("c", 4);
        Assert.Equal("20 02 00 00", Hex.Write(client.ConnAck));
        await client.Publish("old", "no", 1);
        await client.Publish("x", "no", 1);
        await client.ExpectNothing();
        await client.Subscribe("kept", 0);
        Assert.Equal("still", (await client.Take()).Payload);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Statement("MQTT-3.1.4-2", "MQTT-3.1.4-3", Version = 4)]
    public async Task A_takeover_carries_out_the_clean_session_of_the_new_connection(bool clean)
    {
        var first = await Resume("x", 4);
        await first.Subscribe("t", 1);
        var second = clean ? await Connect("x", 4) : await Resume("x", 4);
        await first.ExpectClosed();
        Assert.Equal(clean ? "20 02 00 00" : "20 02 01 00", Hex.Write(second.ConnAck));
        var publisher = await Connect("pub", 4);
        await publisher.Publish("t", "x", 1);
        if (!clean)
        {
            Assert.Equal("x", (await second.Take()).Payload);
        }
        await second.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.2.0-1", Version = 4)]
    public async Task CONNACK_comes_before_everything_else()
    {
        var client = await Resume("c", 4);
        await client.Subscribe("t", 1);
        await Cut(client);
        var publisher = await Connect("pub", 4);
        await publisher.Publish("t", "waits", 1);
        client = await Open(4);
        await client.Send(Packet.Connect(new ConnectOptions { ClientId = "c", Level = 4, CleanStart = false }), [0xC0, 0]);
        await client.Expect("20 02 01 00");
        Assert.Equal("waits", (await client.NextPublish()).Payload);
        await client.Expect("D0 00");
    }

    private async Task<RawClient> Watcher()
    {
        var watcher = await Connect("watcher", 4);
        await watcher.Subscribe("#", 0);
        return watcher;
    }
}
