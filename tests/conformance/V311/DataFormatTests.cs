using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.V311;

/// <summary>3.1.1, chapters 1 and 2: strings, fixed header, packet identifiers.</summary>
public sealed class DataFormatTests : Conversation
{
    [Theory]
    [InlineData("ED A0 80")]
    [InlineData("ED BF BF")]
    [InlineData("C0 AF")]
    [InlineData("80")]
    [InlineData("E2 82")]
    [InlineData("F4 90 80 80")]
    [InlineData("61 00 62")]
    [Statement("MQTT-1.5.3-1", "MQTT-1.5.3-2", "MQTT-3.1.3-4", "MQTT-3.1.3-10", "MQTT-3.1.3-11", "MQTT-3.3.2-1", Version = 4)]
    public async Task An_ill_formed_string_ends_the_connection_wherever_it_stands(string bytes)
    {
        var text = Packet.Binary(Hex.Read(bytes));
        var good = Packet.Text("x");
        var client = await Connect("c", 4);
        await client.Send(Packet.Whole(0x30, text));
        await client.ExpectClosed();

        byte[] head = Hex.Read("0004 4D515454 04");
        foreach (var connect in new byte[][]
        {
            [.. head, 0x02, 0, 60, .. text],
            [.. head, 0x06, 0, 60, .. good, .. text, .. good],
            [.. head, 0x82, 0, 60, .. good, .. text],
        })
        {
            client = await Open(4);
            await client.Send(Packet.Whole(0x10, connect));
            await client.ExpectClosed();
        }
    }

    [Fact]
    [Statement("MQTT-1.5.3-3", Version = 4)]
    public async Task A_byte_order_mark_is_a_character_like_any_other()
    {
        var a = await Connect("a", 4);
        var b = await Connect("b", 4);
        await a.Send("82 09 0001 0004 EFBBBF61 00");
        await a.Expect("90 03 0001 00");
        await b.Send("82 06 0001 0001 61 00");
        await b.Expect("90 03 0001 00");
        await a.Send("30 07 0004 EFBBBF61 78");
        await a.Expect("30 07 0004 EFBBBF61 78");
        await a.ExpectNothing();
        await b.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-2.2.2-1", "MQTT-2.3.1-6", "MQTT-2.3.1-7", Version = 4)]
    public async Task Server_packets_carry_the_flags_of_their_type_and_the_identifier_of_their_request()
    {
        var client = await Open(4);
        await client.Send("10 0D 0004 4D515454 04 02 003C 0001 61");
        await client.Expect("20 02 00 00");
        await client.Send("82 06 ABCD 0001 74 02");
        await client.Expect("90 03 ABCD 02");
        await client.Send("34 06 0001 74 FFFF 78");
        await client.Expect("34 06 0001 74 0001 78");
        await client.Expect("50 02 FFFF");
        await client.Send("50 02 0001");
        await client.Expect("62 02 0001");
        await client.Send("70 02 0001 62 02 FFFF");
        await client.Expect("70 02 FFFF");
        await client.Send("32 06 0001 74 1234 78");
        await client.Expect("32 06 0001 74 0002 78");
        await client.Expect("40 02 1234");
        await client.Send("A2 05 0001 0001 74");
        await client.Expect("B0 02 0001");
        await client.Send("C0 00");
        await client.Expect("D0 00");
    }

    [Fact]
    [Statement("MQTT-2.3.1-4", "MQTT-2.3.1-1", Version = 4)]
    public async Task Identifiers_go_round_after_65535_and_skip_what_is_open()
    {
        var client = await Connect("c", 4);
        await client.Subscribe("t", 1);
        var publisher = await Connect("pub", 4);
        await publisher.Publish("t", "open", 1);
        var open = (await client.NextPublish()).Id;
        var ids = new HashSet<ushort>();
        var batch = Enumerable.Range(1, 700).SelectMany(i => Packet.Publish("t", "x", 1, (ushort)i, isV5: false)).ToArray();
        for (var round = 0; round < 100; round++)
        {
            await publisher.Send(batch);
            for (var i = 1; i <= 700; i++)
            {
                var id = (await client.NextPublish()).Id;
                Assert.True(id != 0 && id != open);
                ids.Add(id);
                await client.Send(Packet.Ack(4, id));
                await publisher.ExpectAck(4, (ushort)i);
            }
        }
        // 70,000 deliveries: nearly every identifier was used, and the first ones again.
        Assert.InRange(ids.Count, 60_000, 65_534);
    }
}
