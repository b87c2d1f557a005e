using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.V311;

/// <summary>MQTT 3.1 (protocol name MQIsdp, level 3), which 3.1.1 succeeded. [MQTT-3.1.2-1]</summary>
public sealed class OldVersionTests : Conversation
{
    [Fact]
    [Statement("MQTT-3.1.2-1", Version = 4)]
    public async Task A_client_of_3_1_connects_subscribes_and_publishes_at_each_quality()
    {
        var client = await Open(3);
        await client.Send("10 0F 0006 4D5149736470 03 02 003C 0001 61");
        await client.Expect("20 02 00 00");
        await client.Subscribe("t", 2);
        for (byte qos = 0; qos <= 2; qos++)
        {
            var publisher = await Connect($"pub{qos}", 3);
            await publisher.Publish("t", $"{qos}", qos);
            Assert.Equal((qos, $"{qos}"), Short(await client.Take()));
        }
        await client.Send("E0 00");
        await client.ExpectClosed();
    }

    [Fact]
    [Statement("MQTT-3.1.2-1", Version = 4)]
    public async Task CONNACK_of_3_1_has_no_session_present_flag_though_the_session_is_there()
    {
        var client = await Resume("c", 3);
        await client.Subscribe("t", 1);
        await Cut(client);
        var publisher = await Connect("pub", 3);
        await publisher.Publish("t", "x", 1);
        client = await Resume("c", 3);
        Assert.Equal("20 02 00 00", Hex.Write(client.ConnAck));
        Assert.Equal("x", (await client.Take()).Payload);
    }

    [Fact]
    [Statement("MQTT-3.1.2-1", Version = 4)]
    public async Task Requests_of_3_1_may_be_sent_again_with_DUP()
    {
        var client = await Connect("c", 3);
        await client.Send("8A 06 0001 0001 74 00");
        await client.Expect("90 03 0001 00");
        await client.Send("34 06 0001 74 0005 78");
        await client.Expect("30 04 0001 74 78");
        await client.Expect("50 02 0005");
        await client.Send("6A 02 0005");
        await client.Expect("70 02 0005");
        await client.Send("AA 05 0002 0001 74");
        await client.Expect("B0 02 0002");
    }

    [Theory]
    [InlineData("10 0E 0006 4D5149736470 03 02 003C 0000", "20 02 00 02")] // 3.1 knows no empty identifier
    [InlineData("10 0F 0006 4D5149736470 04 02 003C 0001 61", "20 02 00 01")]
    [InlineData("10 0D 0004 4D515454 03 02 003C 0001 61", "20 02 00 01")]
    [Statement("MQTT-3.1.2-1", "MQTT-3.1.2-2", Version = 4)]
    public async Task Name_and_level_belong_together(string connect, string answer)
    {
        var client = await Open(3);
        await client.Send(connect);
        await client.Expect(answer);
        await client.ExpectClosed();
    }

    private static (byte Qos, string Payload) Short(ReceivedPublish received) => (received.Qos, received.Payload);
}
