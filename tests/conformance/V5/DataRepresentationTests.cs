using System.Text;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.V5;

/// <summary>Sections 1.5 (data representation) and 2 (packet format).</summary>
public sealed class DataRepresentationTests
{
    [Theory]
    [InlineData("EDA080")] // a surrogate
    [InlineData("C0AF")] // longer than it has to be
    [InlineData("80")] // a continuation of nothing
    [InlineData("E282")] // cut off
    [InlineData("F4908080")] // above U+10FFFF
    [InlineData("610062")] // U+0000
    [Statement("MQTT-1.5.4-1", "MQTT-1.5.4-2")]
    public async Task Text_that_is_not_UTF8_or_holds_a_null_is_malformed_wherever_it_stands(string text)
    {
        await using var broker = TestBroker.Start();
        var field = Packet.Binary(Hex.Read(text));
        await broker.Rejects(Packet.Whole(0x30, [.. field, 0]), 0x81);
        await broker.Rejects(Packet.Whole(0x82, [0, 1, 0, .. field, 0]), 0x81);
        await broker.Rejects(Packet.Whole(0xA2, [0, 1, 0, .. field]), 0x81);
        byte[] userProperty = [0x26, .. Packet.Text("k"), .. field];
        await broker.Rejects(Packet.Publish("t", "x", properties: userProperty), 0x81);
        await broker.Refuses(Packet.RawConnect("02", Hex.Write(field)), 0x81, 0x85);
    }

    [Fact]
    [Statement("MQTT-1.5.4-3")]
    public async Task A_byte_order_mark_is_a_character_of_the_topic()
    {
        await using var broker = TestBroker.Start();
        await using var marked = await broker.Connect("marked");
        await using var plain = await broker.Connect("plain");
        await using var publisher = await broker.Connect("pub");
        await marked.Send("82 0A 0001 00 0004 EFBBBF61 00");
        await marked.Next();
        await plain.Subscribe("a", 0);
        await publisher.Send("30 08 0004 EFBBBF61 00 78");
        await publisher.ExpectNothing();
        await marked.Expect("30 08 0004 EFBBBF61 00 78");
        await plain.ExpectNothing();
    }

    [Theory]
    [InlineData(127, "7F")]
    [InlineData(128, "80 01")]
    [InlineData(16_383, "FF 7F")]
    [InlineData(16_384, "80 80 01")]
    [InlineData(2_097_151, "FF FF 7F")]
    [InlineData(2_097_152, "80 80 80 01")]
    [Statement("MQTT-1.5.5-1")]
    public async Task Lengths_go_out_in_the_fewest_bytes(int remainingLength, string encoded)
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect("");
        await client.Subscribe("t", 1);
        // Topic 3, packet id 2, property length 1.
        var payload = new string('x', remainingLength - 6);
        await client.Send(Packet.Publish("t", payload, 1, 1));
        var first = await client.Next();
        var second = await client.Next();
        var delivered = first[0] >> 4 == 3 ? first : second;
        var length = Hex.Read(encoded);
        Assert.Equal(length, delivered[1..(1 + length.Length)]);
        Assert.Equal(1 + length.Length + remainingLength, delivered.Length);
    }

    [Theory]
    [InlineData("30 80 80 80 80 01")]
    [InlineData("C0 80 00")]
    [InlineData("30 06 0001 74 80 00 78")]
    [Statement("MQTT-1.5.5-1", "U5-04")]
    public async Task A_length_of_five_bytes_or_longer_than_it_has_to_be_is_malformed(string packet)
    {
        await using var broker = TestBroker.Start();
        await broker.Rejects(packet, 0x81);
    }

    [Theory]
    [InlineData("30 0D 0001 74 09 26 0001 6B 0003 EDA080")]
    [InlineData("30 0D 0001 74 09 26 0003 EDA080 0001 6B")]
    [InlineData("30 0B 0001 74 07 26 0001 00 0001 6B")]
    [Statement("MQTT-1.5.7-1")]
    public async Task Both_halves_of_a_string_pair_are_text(string publish)
    {
        await using var broker = TestBroker.Start();
        await broker.Rejects(publish, 0x81);
    }

    [Theory]
    [InlineData("C1 00")]
    [InlineData("41 02 0001")]
    [InlineData("52 02 0001")]
    [InlineData("60 02 0001")]
    [InlineData("71 02 0001")]
    [InlineData("80 07 0001 00 0001 74 00")]
    [InlineData("A0 06 0001 00 0001 74")]
    [InlineData("E1 00")]
    [InlineData("F1 00")]
    [Statement("MQTT-2.1.3-1")]
    public async Task Reserved_flags_of_the_fixed_header_have_one_value(string packet)
    {
        await using var broker = TestBroker.Start();
        await broker.Rejects(packet, 0x81);
    }

    [Fact]
    [Statement("MQTT-2.1.3-1")]
    public async Task The_server_sends_reserved_flags_as_they_have_to_be()
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect("");
        Assert.Equal(0x20, client.ConnAck[0]);
        Assert.Equal(0x90, (await client.Ask(Packet.Subscribe(1, true, 0, ("t", 2)))).FirstByte);
        Assert.Equal(0xB0, (await client.Ask(Packet.Unsubscribe(2, true, "x"))).FirstByte);
        await client.Send(Packet.Publish("t", "", 2, 3));
        var first = await client.Next();
        var second = await client.Next();
        Assert.Equal(new byte[] { 0x34, 0x50 }, new[] { first[0], second[0] }.Order().ToArray());
        var delivered = ReceivedPublish.Read(first[0] == 0x34 ? first : second, isV5: true);
        await client.Send(Packet.Ack(5, delivered.Id), Packet.Ack(6, 3));
        Assert.Equal(new byte[] { 0x62, 0x70 }, new[] { (await client.Next())[0], (await client.Next())[0] });
    }

    [Fact]
    [Statement("MQTT-2.2.1-2")]
    public async Task A_QoS_0_publish_has_no_packet_identifier()
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect("");
        await client.Subscribe("t", 0);
        await client.Send("30 05 0001 74 00 78");
        await client.Expect("30 05 0001 74 00 78");
        await client.Send("32 07 0001 74 000A 00 78");
        var answers = new[] { Hex.Write(await client.Next()), Hex.Write(await client.Next()) };
        Assert.Contains("30 05 00 01 74 00 78", answers);
    }

    [Theory]
    [InlineData("82 07 0000 00 0001 74 00")]
    [InlineData("A2 06 0000 00 0001 74")]
    [InlineData("32 07 0001 74 0000 00 78")]
    [InlineData("34 07 0001 74 0000 00 78")]
    [Statement("MQTT-2.2.1-3")]
    public async Task Packet_identifier_0_ends_the_connection(string packet)
    {
        await using var broker = TestBroker.Start();
        await broker.Rejects(packet, 0x82, 0x81);
    }

    [Fact]
    [Statement("MQTT-2.2.1-4")]
    public async Task Identifiers_of_the_server_are_not_zero_and_not_in_use()
    {
        await using var broker = TestBroker.Start();
        await using var subscriber = await broker.Connect("sub");
        await using var publisher = await broker.Connect("pub");
        await subscriber.Subscribe("t", 1);
        await publisher.PublishAcked("t", "first");
        var kept = (await subscriber.NextPublish()).Id;
        Assert.NotEqual(0, kept);
        const int Batch = 512;
        for (var sent = 0; sent < 66_048; sent += Batch)
        {
            await publisher.Send([.. Enumerable.Range(1, Batch).Select(i => Packet.Publish("t", "", 1, (ushort)i))]);
            var acks = new List<byte[]>(Batch);
            for (var i = 0; i < Batch; i++)
            {
                await publisher.Next();
                var id = (await subscriber.NextPublish()).Id;
                Assert.True(id != 0 && id != kept, $"packet identifier {id} was given while 0 is forbidden and {kept} in use");
                acks.Add(Packet.Ack(4, id));
            }
            Assert.Equal(Batch, acks.Select(a => Hex.Write(a)).Distinct().Count());
            await subscriber.Send([.. acks]);
        }
    }

    [Fact]
    [Statement("MQTT-2.2.1-5")]
    public async Task Acknowledgements_repeat_the_identifier_of_their_publish()
    {
        await using var broker = TestBroker.Start();
        await using var subscriber = await broker.Connect("sub");
        await using var publisher = await broker.Connect("pub");
        await subscriber.Subscribe("t", 2);
        await publisher.Send(Packet.Publish("t", "1", 1, 0x1234));
        await publisher.Expect("40 02 1234");
        await publisher.Send(Packet.Publish("t", "2", 2, 0xFFFF));
        await publisher.Expect("50 02 FFFF");
        await publisher.Send("62 02 FFFF");
        await publisher.Expect("70 02 FFFF");
        await subscriber.Receives("1");
        var second = await subscriber.Receives("2");
        await subscriber.Send(Packet.Ack(5, second.Id));
        await subscriber.Expect(Packet.Ack(6, second.Id));
    }

    [Fact]
    [Statement("MQTT-2.2.1-6")]
    public async Task Answers_to_subscribe_and_unsubscribe_repeat_their_identifier()
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect("");
        await client.Send(Packet.Subscribe(0xABCD, true, 0, ("t", 0)));
        await client.Expect("90 04 ABCD 00 00");
        await client.Send(Packet.Unsubscribe(1, true, "t"));
        await client.Expect("B0 04 0001 00 00");
    }

    [Fact]
    [Statement("MQTT-2.2.2-1")]
    public async Task An_empty_set_of_properties_is_a_length_of_zero()
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect("c");
        // Its own length says that the properties of CONNACK are all of it.
        Assert.Equal(client.ConnAck.Length - 5, client.ConnAck[4]);
        await client.Send(Packet.Subscribe(1, true, 0, ("t", 0)));
        await client.Expect("90 04 0001 00 00");
        await client.Send("30 04 0001 74 00");
        await client.Expect("30 04 0001 74 00");
        await client.Send(Packet.Unsubscribe(2, true, "t"));
        await client.Expect("B0 04 0002 00 00");
        // A filter where the property length should be: its first byte is 0, and then nothing fits.
        await broker.Rejects("82 06 0001 0001 74 00", 0x81);
        await broker.Rejects("30 03 0001 74", 0x81);
    }

    [Fact]
    [Statement("MQTT-1.5.4-1")]
    public async Task Text_of_all_lengths_of_UTF8_travels_unchanged()
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect("");
        const string Topic = "a/ä/€/😀";
        await client.Subscribe(Topic, 0);
        await client.Send(Packet.Publish(Topic, "x"));
        var received = await client.NextPublish();
        Assert.Equal(Encoding.UTF8.GetBytes(Topic), Encoding.UTF8.GetBytes(received.Topic));
    }
}
