using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.Both;

public sealed class PingAndErrorsOverTcp() : PingAndErrors(Via.Tcp);

public sealed class PingAndErrorsOverSockets() : PingAndErrors(Via.Sockets);

public sealed class PingAndErrorsOverTls() : PingAndErrors(Via.Tls);

public sealed class PingAndErrorsOverWebSocket() : PingAndErrors(Via.WebSocket);

public sealed class PingAndErrorsOverSecureWebSocket() : PingAndErrors(Via.SecureWebSocket);

/// <summary>Sections 3.12, 3.14 and 4.8 / 4.13: PINGREQ, DISCONNECT, and what a breach of the protocol leads to.</summary>
public abstract class PingAndErrors(Via via) : Conversation(via)
{
    [Theory, BothVersions]
    [Statement("MQTT-3.12.4-1")]
    [Statement("MQTT-3.12.4-1", Version = 4)]
    public async Task Every_PINGREQ_is_answered(byte level)
    {
        var client = await Connect("c", level);
        await client.Send([.. Enumerable.Repeat<byte[]>([0xC0, 0], 100)]);
        for (var i = 0; i < 100; i++)
        {
            await client.Expect("D0 00");
        }
        await client.ExpectNothing();
    }

    [Theory, BothVersions]
    [Statement("MQTT-3.14.4-2", "MQTT-3.14.4-3")]
    [Statement("MQTT-3.14.4-3", "MQTT-3.1.2-10", Version = 4)]
    public async Task DISCONNECT_drops_the_will_and_the_server_closes(byte level)
    {
        var watcher = await Connect("watcher", level);
        await watcher.Subscribe("#", 0);
        foreach (var goodbye in level == 5 ? new[] { "E0 00", "E0 01 00", "E0 02 00 00" } : ["E0 00"])
        {
            var client = await Connect(Mortal("c", level));
            await client.Send(Hex.Read(goodbye), Packet.Publish("behind", "no effect", isV5: level == 5));
            await client.ExpectClosed();
        }
        await watcher.ExpectNothing();
    }

    [Theory, BothVersions]
    [Statement("MQTT-3.6.1-1", "MQTT-3.8.1-1", "MQTT-3.10.1-1", "MQTT-3.14.1-1", "MQTT-4.13.1-1")]
    [Statement("MQTT-2.2.2-2", "MQTT-3.6.1-1", "MQTT-3.8.1-1", "MQTT-3.10.1-1", "MQTT-3.14.1-1", "MQTT-4.8.0-1", Version = 4)]
    public async Task Wrong_flags_end_the_connection_and_others_notice_nothing(byte level)
    {
        var watcher = await Connect("watcher", level);
        await watcher.Subscribe("will", 0);
        var props = level == 5 ? "00" : "";
        string[] bodies =
        [
            "C1 00", "41 02 0001", "51 02 0001", "60 02 0001", "71 02 0001", "61 02 0001", "E1 00", "C2 00",
            $"80 {(level == 5 ? 7 : 6):X2} 0001 {props} 0001 74 00", $"A0 {(level == 5 ? 6 : 5):X2} 0001 {props} 0001 74",
            $"8A {(level == 5 ? 7 : 6):X2} 0001 {props} 0001 74 00", $"36 {(level == 5 ? 7 : 6):X2} 0001 74 0001 {props} 78",
            $"38 {(level == 5 ? 5 : 4):X2} 0001 74 {props} 78", "00 00",
        ];
        foreach (var packet in bodies)
        {
            var client = await Connect(Mortal("c", level));
            await client.Send(packet);
            await client.ExpectDisconnect(0x81);
            Assert.Equal("gone", (await watcher.Take()).Payload);
            await watcher.ExpectNothing();
        }
    }

    [Theory, BothVersions]
    [Statement("MQTT-3.8.3-2", "MQTT-3.10.3-2", "MQTT-4.13.1-1")]
    [Statement("MQTT-2.3.1-1", "MQTT-3.8.3-3", "MQTT-3.10.3-2", "MQTT-4.8.0-1", Version = 4)]
    public async Task Empty_requests_and_identifier_0_are_protocol_errors(byte level)
    {
        var props = level == 5 ? "00" : "";
        foreach (var (first, body, reason) in new[]
        {
            (0x82, $"0001 {props}", 0x82), (0xA2, $"0001 {props}", 0x82),
            (0x82, $"0001 {props} 0001 74", 0x81), (0x82, "00", 0x81), (0xA2, "00", 0x81),
            (0x82, $"0000 {props} 0001 74 00", 0x82), (0xA2, $"0000 {props} 0001 74", 0x82), (0x32, $"0001 74 0000 {props} 78", 0x82),
            (0x20, $"00 00 {props}", 0x82), (0x90, $"0001 {props} 00", 0x82), (0xB0, $"0001 {props}", 0x82), (0xD0, "", 0x82),
        })
        {
            var client = await Connect("c", level);
            await client.Send(Packet.Whole((byte)first, Hex.Read(body)));
            await client.ExpectDisconnect((byte)reason);
        }
    }

    [Theory, BothVersions]
    [Statement("MQTT-4.13.2-1")]
    [Statement("MQTT-4.8.0-1", Version = 4)]
    public async Task A_client_that_does_not_read_is_closed_after_an_error_all_the_same(byte level)
    {
        var watcher = await Connect("watcher", level);
        await watcher.Subscribe("will", 0);
        var client = await Connect(Mortal("deaf", level));
        await client.Subscribe("flood", 0);
        // Sent to itself and never read: the socket fills up, then the broker's own buffer for it.
        var flood = Packet.Publish("flood", new string('x', 100_000), isV5: level == 5);
        for (var i = 0; i < 200; i++)
        {
            await client.Send(flood);
        }
        await client.Send(Packet.Publish("#", "wildcard", isV5: level == 5));
        Assert.Equal("gone", (await watcher.Take()).Payload);
        Broker.Advance(TimeSpan.FromSeconds(10));
        await Harness.Eventually.True(() => Broker.Broker.Connections == 1);
    }

    private static ConnectOptions Mortal(string id, byte level) =>
        new() { ClientId = id, Level = level, Will = new WillOptions("will", "gone") };
}
