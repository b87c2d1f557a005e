using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.Both;

public sealed class PlainWebSockets() : WebSockets(Via.WebSocket);

public sealed class SecureWebSockets() : WebSockets(Via.SecureWebSocket);

/// <summary>Chapter 6: MQTT in WebSocket frames.</summary>
public abstract class WebSockets(Via via) : Conversation(via)
{
    [Theory, BothVersions]
    [Statement("MQTT-6.0.0-1", "MQTT-6.0.0-2")]
    [Statement("MQTT-6.0.0-1", "MQTT-6.0.0-2", Version = 4)]
    public async Task Packets_and_frames_need_not_begin_together_and_the_server_answers_in_binary_frames(byte level)
    {
        using var socket = await Dial();
        var connect = Packet.Connect(new ConnectOptions { ClientId = "c", Level = level });
        await socket.SendAsync(connect.AsMemory(0, 1), WebSocketMessageType.Binary, true, default);
        await socket.SendAsync(connect.AsMemory(1, 5), WebSocketMessageType.Binary, false, default);
        await socket.SendAsync(ReadOnlyMemory<byte>.Empty, WebSocketMessageType.Binary, false, default);
        await socket.SendAsync(connect.AsMemory(6), WebSocketMessageType.Binary, true, default);
        Assert.Equal(0x20, (await Receive(socket))[0]);
        byte[] both = [.. Packet.Subscribe(1, level == 5, 0, ("t", 0)), .. Packet.Publish("t", "x", isV5: level == 5)];
        await socket.SendAsync(both, WebSocketMessageType.Binary, true, default);
        var expected = Hex.Read(level == 5 ? "90 04 0001 00 00 30 05 0001 74 00 78" : "90 03 0001 00 30 04 0001 74 78");
        var received = new List<byte>();
        while (received.Count < expected.Length)
        {
            received.AddRange(await Receive(socket));
        }
        Assert.Equal(Hex.Write(expected), Hex.Write(received.ToArray()));
    }

    [Theory, BothVersions]
    [Statement("MQTT-6.0.0-1")]
    [Statement("MQTT-6.0.0-1", Version = 4)]
    public async Task A_text_frame_ends_the_connection(byte level)
    {
        var watcher = await Connect("watcher", level);
        await watcher.Subscribe("w", 0);
        using var socket = await Dial();
        var options = new ConnectOptions { ClientId = "c", Level = level, Will = new WillOptions("w", "gone") };
        await socket.SendAsync(Packet.Connect(options), WebSocketMessageType.Binary, true, default);
        Assert.Equal(0x20, (await Receive(socket))[0]);
        await socket.SendAsync(new byte[] { 0xC0, 0 }, WebSocketMessageType.Text, true, default);
        var end = await socket.ReceiveAsync(new byte[100], default);
        Assert.Equal(WebSocketMessageType.Close, end.MessageType);
        Assert.Equal("gone", (await watcher.Take()).Payload);

        using var first = await Dial();
        await first.SendAsync(Packet.Connect(options), WebSocketMessageType.Text, true, default);
        Assert.Equal(WebSocketMessageType.Close, (await first.ReceiveAsync(new byte[100], default)).MessageType);
    }

    [Theory]
    [InlineData("mqtt", "101")]
    [InlineData("foo, mqtt", "101")]
    [InlineData("foo", "400")]
    [Statement("MQTT-6.0.0-4")]
    [Statement("MQTT-6.0.0-4", Version = 4)]
    public async Task The_subprotocol_mqtt_is_selected_among_those_offered(string offered, string status)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(new IPEndPoint(IPAddress.Loopback, Broker.Port));
        var stream = await Transports.Speak(client.GetStream(), Broker.Via == Via.WebSocket ? Via.Tcp : Via.Tls);
        var answer = await Transports.Upgrade(stream, offered);
        Assert.StartsWith($"HTTP/1.1 {status}", answer, StringComparison.Ordinal);
        Assert.Equal(status == "101", answer.Contains("Sec-WebSocket-Protocol: mqtt\r\n", StringComparison.Ordinal));
    }

    private async Task<WebSocket> Dial()
    {
        var client = new TcpClient();
        await client.ConnectAsync(new IPEndPoint(IPAddress.Loopback, Broker.Port));
        var stream = await Transports.Speak(client.GetStream(), Broker.Via == Via.WebSocket ? Via.Tcp : Via.Tls);
        Assert.StartsWith("HTTP/1.1 101", await Transports.Upgrade(stream, "mqtt"), StringComparison.Ordinal);
        return WebSocket.CreateFromStream(stream, new WebSocketCreationOptions { SubProtocol = "mqtt" });
    }

    private static async Task<byte[]> Receive(WebSocket socket)
    {
        var buffer = new byte[1000];
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(15));
        var received = await socket.ReceiveAsync(buffer, patience.Token);
        Assert.Equal(WebSocketMessageType.Binary, received.MessageType);
        return buffer[..received.Count];
    }
}
