using IotHub.Broker;
using IotHub.Conformance.Hostile;
using IotHub.Harness;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.V5;

/// <summary>Sections 3.1 and 3.1.2: the first packet, its protocol, flags, keep alive and properties.</summary>
public sealed class ConnectTests
{
    private const string Id = "0001 63"; // client id "c"

    [Theory]
    [InlineData("C0 00")]
    [InlineData("30 05 0001 74 00 78")]
    [InlineData("82 07 0001 00 0001 74 00")]
    [InlineData("E0 00")]
    [InlineData("F0 00")]
    [InlineData("00 00")]
    [Statement("MQTT-3.1.0-1")]
    public async Task Another_first_packet_is_answered_by_a_close_alone(string packet)
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Open();
        await client.Send(packet);
        await client.ExpectClosed();
    }

    [Fact]
    [Statement("MQTT-3.1.0-2", "MQTT-3.2.0-2")]
    public async Task A_second_CONNECT_is_a_protocol_error_and_lets_the_will_go_out()
    {
        await using var broker = TestBroker.Start();
        await using var watcher = await broker.Connect("watcher");
        await watcher.Subscribe("w", 0);
        var options = new ConnectOptions { ClientId = "c", Will = new WillOptions("w", "gone") };
        await using var client = await broker.Connect(options);
        await client.Send(Packet.Connect(options));
        await client.ExpectDisconnect(0x82);
        await watcher.Receives("gone");
    }

    [Theory]
    [InlineData("4D515458")] // MQTX
    [InlineData("6D717474")] // mqtt
    [Statement("MQTT-3.1.2-1")]
    public async Task Another_protocol_name_is_refused(string name)
    {
        await using var broker = TestBroker.Start();
        await broker.Refuses(Hex.Read($"10 0E 0004 {name} 05 02 003C 00 {Id}"), 0x84);
    }

    [Theory]
    [InlineData("06")]
    [InlineData("FF")]
    [Statement("MQTT-3.1.2-2")]
    public async Task A_later_version_is_told_that_it_is_not_supported(string version)
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Open();
        await client.Send($"10 0E 0004 4D515454 {version} 02 003C 00 {Id}");
        Assert.Equal(0x84, (await client.NextAnswer()).Code);
        await client.ExpectClosed();
    }

    [Fact]
    [Statement("MQTT-3.1.2-2")]
    public async Task Version_4_is_served_by_its_own_rules()
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Open();
        await client.Send($"10 0D 0004 4D515454 04 02 003C {Id}");
        await client.Expect("20 02 00 00");
    }

    [Fact]
    [Statement("MQTT-3.1.2-3")]
    public async Task The_reserved_connect_flag_has_to_be_0()
    {
        await using var broker = TestBroker.Start();
        await broker.Refuses(Hex.Read("10 0D 0004 4D515454 05 03 003C 00 0000"), 0x81);
    }

    [Theory]
    [InlineData("06", "")] // will without will fields
    [InlineData("06", "00")] // will properties alone
    [InlineData("06", "00 0001 77")] // no will payload
    [InlineData("0A", "")] // will QoS without a will
    [InlineData("1E", "00 0001 77 0001 78")] // will QoS 3
    [InlineData("22", "")] // will retain without a will
    [InlineData("02", "0001 75")] // a field that no flag announces
    [InlineData("82", "")] // user name missing
    [InlineData("82", "0001 75 0001 70")] // a field behind the user name
    [InlineData("C2", "0001 75")] // password missing
    [InlineData("42", "")] // password alone, missing
    [Statement(
        "MQTT-3.1.2-9", "MQTT-3.1.2-11", "MQTT-3.1.2-12", "MQTT-3.1.2-13", "MQTT-3.1.2-16", "MQTT-3.1.2-17", "MQTT-3.1.2-18", "MQTT-3.1.2-19")]
    public async Task Flags_and_payload_have_to_say_the_same(string flags, string afterClientId)
    {
        await using var broker = TestBroker.Start();
        await broker.Refuses(Packet.RawConnect(flags, $"{Id} {afterClientId}"), 0x81, 0x82);
    }

    [Theory]
    [InlineData("82", "0001 75", "u", null)]
    [InlineData("82", "0000", "", null)]
    [InlineData("C2", "0001 75 0002 FF00", "u", "FF00")]
    [InlineData("42", "0002 FF00", null, "FF00")]
    [InlineData("02", "", null, null)]
    [Statement("MQTT-3.1.2-16", "MQTT-3.1.2-17", "MQTT-3.1.2-18", "MQTT-3.1.2-19")]
    public async Task User_name_and_password_reach_authentication_each_by_its_flag(
        string flags, string afterClientId, string? userName, string? password)
    {
        var authenticator = new ScriptedAuthenticator();
        await using var broker = TestBroker.Start(authenticator: authenticator);
        await using var client = await broker.Open();
        await client.Send(Packet.RawConnect(flags, $"{Id} {afterClientId}"));
        Assert.Equal(0, (await client.NextAnswer()).Code);
        var attempt = Assert.Single(authenticator.Attempts);
        Assert.Equal(userName, attempt.UserName);
        Assert.Equal(password, attempt.Password is { } bytes ? Convert.ToHexString(bytes.Span) : null);
    }

    [Fact]
    [Statement("MQTT-3.1.2-4", "MQTT-3.2.2-2")]
    public async Task Clean_start_throws_the_old_session_away()
    {
        await using var broker = TestBroker.Start();
        await using var publisher = await broker.Connect("pub");
        await using var before = await broker.Connect(Steps.Lasting("c"));
        await before.Subscribe("t", 1);
        await broker.CutOff(before, "c");
        await publisher.PublishAcked("t", "queued");
        await using var after = await broker.Connect(Steps.Lasting("c", cleanStart: true));
        Assert.False(ReceivedAnswer.Read(after.ConnAck).SessionPresent);
        await publisher.PublishAcked("t", "later");
        await after.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.1.2-5", "MQTT-3.1.2-6", "MQTT-3.2.2-3")]
    public async Task Without_clean_start_a_session_is_made_and_then_continued()
    {
        await using var broker = TestBroker.Start();
        await using var publisher = await broker.Connect("pub");
        await using var first = await broker.Connect(Steps.Lasting("c"));
        Assert.False(ReceivedAnswer.Read(first.ConnAck).SessionPresent);
        await first.Subscribe("t", 1);
        await first.Send("E0 00");
        await first.ExpectClosed();
        await publisher.PublishAcked("t", "queued");
        await using var second = await broker.Connect(Steps.Lasting("c"));
        Assert.True(ReceivedAnswer.Read(second.ConnAck).SessionPresent);
        await second.Receives("queued");
    }

    [Fact]
    [Statement("MQTT-3.1.2-22", "MQTT-3.2.2-22", "MQTT-3.1.2-8")]
    public async Task A_client_silent_for_one_and_a_half_keep_alives_is_told_and_closed_and_its_will_goes_out()
    {
        await using var broker = TestBroker.Start(time: new ManualTime());
        await using var watcher = await broker.Connect(new ConnectOptions { ClientId = "watcher", KeepAlive = 0 });
        await watcher.Subscribe("w", 0);
        await using var client = await broker.Connect(
            new ConnectOptions { ClientId = "c", KeepAlive = 2, Will = new WillOptions("w", "gone") });
        Assert.False(ReceivedAnswer.Read(client.ConnAck).Properties.Has(0x13));
        broker.Advance(TimeSpan.FromSeconds(2.9));
        await client.ExpectNothing();
        broker.Advance(TimeSpan.FromSeconds(2.9));
        await client.ExpectNothing();
        await watcher.ExpectNothing();
        broker.Advance(TimeSpan.FromSeconds(3.1));
        await client.ExpectDisconnect(0x8D);
        await watcher.Receives("gone");
    }

    [Fact]
    [Statement("MQTT-3.1.2-22")]
    public async Task Keep_alive_0_never_ends_a_connection()
    {
        await using var broker = TestBroker.Start(time: new ManualTime());
        await using var client = await broker.Connect(new ConnectOptions { KeepAlive = 0 });
        Assert.False(ReceivedAnswer.Read(client.ConnAck).Properties.Has(0x13));
        broker.Advance(TimeSpan.FromDays(40));
        await client.ExpectNothing();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(600)]
    [Statement("MQTT-3.1.2-22")]
    public async Task A_server_keep_alive_is_announced_and_is_the_one_that_counts(ushort asked)
    {
        await using var broker = TestBroker.Start(new BrokerLimits { KeepAliveSecondsMaximum = 10 }, time: new ManualTime());
        await using var client = await broker.Connect(new ConnectOptions { KeepAlive = asked });
        Assert.Equal(10u, ReceivedAnswer.Read(client.ConnAck).Properties.Number(0x13));
        broker.Advance(TimeSpan.FromSeconds(14.9));
        await client.ExpectNothing();
        broker.Advance(TimeSpan.FromSeconds(15.1));
        await client.ExpectDisconnect(0x8D);
    }

    [Fact]
    [Statement("MQTT-3.1.2-22")]
    public async Task A_shorter_keep_alive_than_the_servers_is_left_alone()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { KeepAliveSecondsMaximum = 10 }, time: new ManualTime());
        await using var client = await broker.Connect(new ConnectOptions { KeepAlive = 5 });
        Assert.False(ReceivedAnswer.Read(client.ConnAck).Properties.Has(0x13));
        broker.Advance(TimeSpan.FromSeconds(7.6));
        await client.ExpectDisconnect(0x8D);
    }

    [Theory]
    [InlineData(10u, 2, true)]
    [InlineData(10u, 11, false)]
    [InlineData(0u, 0, false)]
    [InlineData(uint.MaxValue, 100_000_000, true)]
    [Statement("MQTT-3.1.2-23", "MQTT-3.2.2-3")]
    public async Task A_session_outlives_its_connection_as_long_as_its_expiry_says(uint expirySeconds, int goneSeconds, bool isKept)
    {
        await using var broker = TestBroker.Start(time: new ManualTime());
        await using var first = await broker.Connect(Steps.Lasting("c", expirySeconds) with { KeepAlive = 0 });
        await broker.CutOff(first, "c");
        broker.Advance(TimeSpan.FromSeconds(goneSeconds));
        await using var second = await broker.Connect(Steps.Lasting("c", expirySeconds));
        Assert.Equal(isKept, ReceivedAnswer.Read(second.ConnAck).SessionPresent);
    }

    [Fact]
    [Statement("MQTT-3.1.2-23")]
    public async Task Without_an_expiry_the_session_ends_with_its_connection()
    {
        await using var broker = TestBroker.Start();
        var options = new ConnectOptions { ClientId = "c", CleanStart = false };
        await using var first = await broker.Connect(options);
        await broker.CutOff(first, "c");
        await using var second = await broker.Connect(options);
        Assert.False(ReceivedAnswer.Read(second.ConnAck).SessionPresent);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [Statement("MQTT-3.1.2-24")]
    public async Task Nothing_larger_than_the_clients_maximum_packet_size_is_sent(byte qos)
    {
        await using var broker = TestBroker.Start();
        await using var publisher = await broker.Connect("pub");
        await using var small = await broker.Connect(new ConnectOptions { ClientId = "c", Properties = Packet.Property(0x27, 64u) });
        await small.Subscribe("t", qos);
        // 2 of fixed header, 3 of topic, packet id, property length.
        var overhead = 2 + 3 + (qos > 0 ? 2 : 0) + 1;
        var fits = new string('a', 64 - overhead);
        await publisher.Send(Packet.Publish("t", fits + "a", qos, 1), Packet.Publish("t", fits, qos, 2));
        await small.Receives(fits);
        await small.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.1.2-24")]
    public async Task An_answer_that_the_client_cannot_take_ends_its_connection()
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect(new ConnectOptions { ClientId = "c", Properties = Packet.Property(0x27, 64u) });
        var filters = Enumerable.Range(0, 60).Select(i => ($"f{i}", (byte)0)).ToArray();
        await client.Send(Packet.Subscribe(1, true, 0, filters[..59]));
        Assert.Equal(64, (await client.Next()).Length);
        await client.Send(Packet.Subscribe(2, true, 0, filters));
        await client.ExpectDisconnect(0x95);
    }

    [Theory]
    [InlineData(15u, true)]
    [InlineData(4u, false)]
    [Statement("MQTT-3.1.2-24")]
    public async Task A_client_that_cannot_take_its_CONNACK_is_refused(uint maximum, bool hasRoomForTheReason)
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Open();
        await client.Send(Packet.Connect(new ConnectOptions { ClientId = "c", Properties = Packet.Property(0x27, maximum) }));
        if (hasRoomForTheReason)
        {
            await client.Expect("20 03 00 95 00");
        }
        await client.ExpectClosed();
    }

    [Fact]
    [Statement("MQTT-3.1.2-25")]
    public async Task A_publish_that_is_too_large_for_the_client_counts_as_delivered()
    {
        await using var broker = TestBroker.Start();
        await using var publisher = await broker.Connect("pub");
        byte[] limits = [.. Packet.Property(0x11, 300u), .. Packet.Property(0x27, 64u), .. Packet.Property(0x21, (ushort)1)];
        var options = new ConnectOptions { ClientId = "c", CleanStart = false, Properties = limits };
        await using var client = await broker.Connect(options);
        await client.Subscribe("t", 1);
        var large = new string('x', 200);
        await publisher.PublishAcked("t", large);
        await publisher.PublishAcked("t", "small");
        await client.Receives("small");
        await broker.CutOff(client, "c");
        // The same for one that waited.
        await publisher.PublishAcked("t", large);
        await publisher.PublishAcked("t", "second");
        await using var back = await broker.Connect(options);
        await back.Receives("second");
        await broker.CutOff(back, "c");
        await using var roomy = await broker.Connect(Steps.Lasting("c"));
        await roomy.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.1.2-28")]
    [Limit(nameof(BrokerLimits.ResponseInformation), "not a bound: what 5.0 clients that ask are told")]
    public async Task Response_information_is_told_only_to_those_who_ask()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { ResponseInformation = "responses/" });
        await using var silent = await broker.Connect("a");
        Assert.False(ReceivedAnswer.Read(silent.ConnAck).Properties.Has(0x1A));
        await using var no = await broker.Connect(new ConnectOptions { ClientId = "b", Properties = [0x19, 0] });
        Assert.False(ReceivedAnswer.Read(no.ConnAck).Properties.Has(0x1A));
        await using var yes = await broker.Connect(new ConnectOptions { ClientId = "c", Properties = [0x19, 1] });
        Assert.Equal("responses/", ReceivedAnswer.Read(yes.ConnAck).Properties.Text(0x1A));
    }

    [Theory]
    [InlineData(0, false)]
    [InlineData(1, true)]
    [Statement("MQTT-3.1.2-29")]
    public async Task Reason_strings_in_answers_come_only_where_problem_information_is_wanted(byte wanted, bool explained)
    {
        await using var broker = TestBroker.Start(authenticator: new ScriptedAuthenticator { Rights = ScriptedAuthenticator.AllButDenied });
        await using var client = await broker.Connect(new ConnectOptions { ClientId = "c", Properties = [0x17, wanted] });
        ReceivedAnswer[] refused =
        [
            await client.Ask(Packet.Publish("denied", "x", 1, 1)),
            await client.Ask(Packet.Publish("denied", "x", 2, 2)),
            await client.Ask(Packet.Subscribe(3, true, 0, ("denied", 0))),
            await client.Ask(Packet.Subscribe(4, true, 0, ("a/#/b", 0))),
        ];
        Assert.Equal(new byte[] { 0x87, 0x87, 0x87, 0x8F }, refused.Select(r => r.Code).ToArray());
        Assert.All(refused, r => Assert.Equal(explained, r.Properties.Has(0x1F)));
        var none = await client.Ask(Packet.Unsubscribe(5, true, "x"));
        Assert.Equal((0x11, 0), (none.Code, none.Properties.Ids.Count));
        await client.Subscribe("t", 0);
        await client.Send(Packet.Publish("t", "", properties: Packet.UserProperty("k", "v")));
        Assert.Equal(["k=v"], (await client.NextPublish()).Read().UserProperties);
    }

    [Fact]
    [Statement("MQTT-3.1.2-29")]
    public async Task DISCONNECT_says_why_also_without_problem_information()
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect(new ConnectOptions { ClientId = "c", Properties = [0x17, 0] });
        await client.Send("36 07 0001 74 0001 00 78");
        var goodBye = await client.NextAnswer();
        Assert.Equal(0x81, goodBye.Code);
        Assert.Contains("QoS 3", goodBye.Properties.Text(0x1F), StringComparison.Ordinal);
        await client.ExpectClosed();
    }
}
