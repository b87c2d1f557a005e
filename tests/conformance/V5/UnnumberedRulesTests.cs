using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.V5;

/// <summary>Rules of 5.0 that stand in the text without a number (ids U5-…).</summary>
public sealed class UnnumberedRulesTests
{
    [Theory]
    [InlineData("30 08 0001 74 03 210001 78")] // Receive Maximum in PUBLISH
    [InlineData("30 07 0001 74 02 0400 78")] // no such property
    [InlineData("30 07 0001 74 02 FF01 78")] // an identifier of two bytes
    [InlineData("30 06 0001 74 02 0200")] // an expiry cut off
    [InlineData("30 09 0001 74 04 03 0005 78 79")] // a string that overruns its properties
    [InlineData("82 0A 0001 03 220001 0001 74 00")] // Topic Alias Maximum in SUBSCRIBE
    [InlineData("A2 09 0001 03 0B01 00 0001 74")] // Subscription Identifier in UNSUBSCRIBE
    [InlineData("40 06 0001 00 02 0101")] // Payload Format in PUBACK
    [InlineData("E0 04 00 02 1700")] // Request Problem Information in DISCONNECT
    [Statement("U5-01")]
    public async Task A_property_that_does_not_belong_there_or_is_cut_off_is_malformed(string packet)
    {
        await using var broker = TestBroker.Start();
        await broker.Rejects(packet, 0x81);
    }

    [Theory]
    [InlineData("02", "230001", "0001 63")]
    [InlineData("02", "0101", "0001 63")]
    [InlineData("02", "11 0000", "0001 63")]
    [InlineData("06", "", "0001 63 05 11 00000001 0001 77 0000")] // Session Expiry among the will's properties
    [Statement("U5-01")]
    public async Task So_it_is_in_CONNECT(string flags, string properties, string payload)
    {
        await using var broker = TestBroker.Start();
        await broker.Refuses(Packet.RawConnect(flags, payload, properties), 0x81);
    }

    [Theory]
    [InlineData("30 09 0001 74 04 0100 0100 78")]
    [InlineData("30 0F 0001 74 0A 0200000001 0200000001 78")]
    [InlineData("82 0A 0001 04 0B01 0B01 0001 74 00")]
    [InlineData("E0 0C 00 0A 1100000001 1100000001")]
    [InlineData("40 0C 0001 00 08 1F 0001 61 1F 0001 61")]
    [Statement("U5-02")]
    public async Task A_property_that_stands_once_may_not_stand_twice(string packet)
    {
        await using var broker = TestBroker.Start();
        await broker.Rejects(packet, 0x82);
    }

    [Theory]
    [InlineData("11 00000001 11 00000001", "02", "0001 63")]
    [InlineData("", "06", "0001 63 0A 18 00000001 18 00000001 0001 77 0000")]
    [InlineData("", "06", "0001 63 04 0100 0100 0001 77 0000")]
    [InlineData("21 0000", "02", "0001 63")]
    [InlineData("27 00000000", "02", "0001 63")]
    [InlineData("17 02", "02", "0001 63")]
    [InlineData("19 02", "02", "0001 63")]
    [InlineData("16 0001 78", "02", "0001 63")]
    [Statement("U5-02", "U5-03")]
    public async Task CONNECT_properties_out_of_their_range_or_twice_are_protocol_errors(string properties, string flags, string payload)
    {
        await using var broker = TestBroker.Start();
        var answer = await broker.Refuses(Packet.RawConnect(flags, payload, properties), 0x82);
        Assert.NotNull(answer);
    }

    [Theory]
    [InlineData("00 00")]
    [InlineData("0F 00")]
    [InlineData("82 08 0001 00 0001 74 00 00")] // a byte behind the last filter
    [InlineData("82 07 0001 00 0005 74 00")] // a filter that overruns
    [InlineData("A2 06 0001 00 0005 74")]
    [InlineData("30 05 0001 74 05 78")] // properties that overrun
    [InlineData("40 01 00")] // half an identifier
    [InlineData("40 05 0001 00 00 00")] // a byte behind the properties
    [InlineData("C0 01 00")]
    [InlineData("E0 03 00 00 00")]
    [InlineData("82 06 0001 00 0001 74")] // options missing
    [Statement("U5-04")]
    public async Task Lengths_that_do_not_fit_are_malformed(string packet)
    {
        await using var broker = TestBroker.Start();
        await broker.Rejects(packet, 0x81);
    }

    [Theory]
    [InlineData("20 03 00 00 00")]
    [InlineData("90 04 0001 00 00")]
    [InlineData("B0 04 0001 00 00")]
    [InlineData("D0 00")]
    [Statement("U5-05")]
    public async Task Packets_of_a_server_are_protocol_errors_from_a_client(string packet)
    {
        await using var broker = TestBroker.Start();
        await broker.Rejects(packet, 0x82);
    }

    [Theory]
    [InlineData("82 09 0001 02 0B00 0001 74 00")]
    [InlineData("82 0B 0001 04 0B01 0B02 0001 74 00")]
    [InlineData("82 07 0001 00 0001 74 03")]
    [InlineData("82 07 0001 00 0001 74 30")]
    [Statement("U5-14")]
    public async Task SUBSCRIBE_with_values_that_do_not_exist_is_a_protocol_error(string packet)
    {
        await using var broker = TestBroker.Start();
        await broker.Rejects(packet, 0x82);
    }

    [Theory]
    [InlineData("")]
    [InlineData("11 00000000")]
    [Statement("U5-17")]
    public async Task A_DISCONNECT_cannot_make_a_session_last_that_was_not_to(string properties)
    {
        await using var broker = TestBroker.Start();
        await using var watcher = await broker.Connect("watcher");
        await watcher.Subscribe("w", 0);
        await using var client = await broker.Connect(
            new ConnectOptions { ClientId = "c", Properties = Hex.Read(properties), Will = new WillOptions("w", "gone") });
        await client.Send("E0 07 00 05 11 0000000A");
        await client.ExpectDisconnect(0x82);
        await watcher.Receives("gone");
        await using var back = await broker.Connect(Steps.Lasting("c"));
        Assert.False(ReceivedAnswer.Read(back.ConnAck).SessionPresent);
    }

    [Fact]
    [Statement("U5-18")]
    public async Task A_DISCONNECT_with_expiry_0_ends_a_lasting_session_at_once()
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect(Steps.Lasting("c"));
        await client.Send("E0 07 00 05 11 00000000");
        await client.ExpectClosed();
        await using var back = await broker.Connect(Steps.Lasting("c"));
        Assert.False(ReceivedAnswer.Read(back.ConnAck).SessionPresent);
    }

    [Theory]
    [InlineData("F0 00")]
    [InlineData("F0 02 19 00")]
    [InlineData("F0 06 19 04 15 0001 78")]
    [Statement("U5-19")]
    public async Task AUTH_on_a_connection_without_a_method_is_a_protocol_error(string packet)
    {
        await using var broker = TestBroker.Start();
        await broker.Rejects(packet, 0x82);
    }

    [Fact]
    [Statement("U5-20", "U5-21")]
    public async Task Steps_of_an_exchange_that_is_not_open_are_answered_and_the_connection_stays()
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect("c");
        await client.Send(Packet.Ack(6, 77));
        await client.Expect("70 03 004D 92");
        await client.Send(Packet.Ack(5, 78));
        await client.Expect("62 03 004E 92");
        await client.ExpectNothing();
    }

    [Fact]
    [Statement("U5-24")]
    public async Task An_open_QoS_2_identifier_is_taken_for_a_repeat_and_not_delivered_twice()
    {
        await using var broker = TestBroker.Start();
        await using var subscriber = await broker.Connect("sub");
        await subscriber.Subscribe("t", 0);
        await using var client = await broker.Connect("c");
        Assert.Equal(0, (await client.Ask(Packet.Publish("t", "first", 2, 1))).Code);
        var again = await client.Ask(Packet.Publish("t", "second", 2, 1));
        Assert.Contains(again.Code, new byte[] { 0x00, 0x91 });
        await subscriber.Receives("first");
        await subscriber.ExpectNothing();
        await client.Ask(Packet.Ack(6, 1));
        await client.Ask(Packet.Publish("t", "third", 2, 1));
        await subscriber.Receives("third");
    }

    [Fact]
    [Statement("U5-25")]
    public async Task A_publish_that_nobody_gets_is_acknowledged_as_that()
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect("c");
        Assert.Equal(0x10, (await client.Ask(Packet.Publish("t", "x", 1, 1))).Code);
        Assert.Equal(0x10, (await client.Ask(Packet.Publish("t", "x", 2, 2))).Code);
        Assert.Equal(0x00, (await client.Ask(Packet.Ack(6, 2))).Code);
        await client.Subscribe("t", 0);
        await client.Send(Packet.Publish("t", "x", 1, 3));
        var codes = new[] { await client.Next(), await client.Next() };
        Assert.Contains(codes, c => Hex.Fits("40 02 0003", c));
    }

    [Fact]
    [Statement("U5-35")]
    public async Task An_orderly_stop_is_told_to_every_client()
    {
        await using var broker = TestBroker.Start();
        await using var first = await broker.Connect("a");
        await using var second = await broker.Connect("b");
        broker.Broker.Stop();
        await first.ExpectDisconnect(0x8B);
        await second.ExpectDisconnect(0x8B);
    }

    [Fact]
    [Statement("U5-36")]
    public async Task SUBACK_comes_before_what_its_subscription_brings()
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect("c");
        await client.PublishSettled("t", "kept", retain: true);
        await client.Send(Packet.Subscribe(1, true, 0, ("t", 0)), Packet.Publish("t", "live"));
        Assert.Equal(0x90, (await client.NextAnswer()).FirstByte);
        await client.Receives("kept");
        await client.Receives("live");
    }

    [Fact]
    [Statement("U5-37")]
    public async Task An_error_on_one_connection_leaves_the_others_alone()
    {
        await using var broker = TestBroker.Start();
        await using var healthy = await broker.Connect(Steps.Lasting("healthy"));
        await healthy.Subscribe("t", 1);
        foreach (var bad in new[] { "00 00", "30 80 80 80 80 01", "30 04 0000 00 78", "36 07 0001 74 0001 00 78", "82 02 0001", "D0 00" })
        {
            await broker.Rejects(bad, 0x81, 0x82);
            await healthy.Send(Packet.Publish("t", "x"));
            await healthy.Receives("x");
        }
        await healthy.ExpectNothing();
    }
}
