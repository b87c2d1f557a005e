using System.Net;
using System.Net.WebSockets;
using IotHub.Broker;
using IotHub.Broker.Auth;
using IotHub.Broker.Bridge;
using IotHub.Broker.Transport;
using IotHub.Harness;
using IotHub.Harness.Mqtt;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace IotHub.Unit.Transport;

/// <summary>MQTT over WebSocket: the handshake, frames cut anywhere, and what is not MQTT.</summary>
public sealed class WebSocketTests : IAsyncLifetime
{
    private readonly MqttBroker _broker = new(new BrokerLimits(), new AnonymousAuthenticator(), new NullBridge(), TimeProvider.System);
    private HttpListenerHost? _host;
    private int _secure;

    private int Port => _host!.Ports[0];

    public async Task InitializeAsync()
    {
        var certificate = TestCertificate.Create();
        _host = await WebSocketTransport.Start(
            _broker,
            [
                new HttpListening(new IPEndPoint(IPAddress.Loopback, 0)),
                new HttpListening(new IPEndPoint(IPAddress.Loopback, 0), certificate.TargetCertificate),
            ],
            NullLoggerFactory.Instance);
        _secure = _host.Ports[1];
    }

    public async Task DisposeAsync()
    {
        _broker.Stop();
        await _host!.Stop();
        await _host.DisposeAsync();
    }

    [Theory]
    [InlineData("/mqtt", false)]
    [InlineData("/", false)]
    [InlineData("/mqtt", true)]
    public async Task A_client_connects_subscribes_and_gets_what_is_published(string path, bool secure)
    {
        using var socket = await Open(path, ["mqtt"], secure);
        Assert.Equal("mqtt", socket.SubProtocol);
        await Send(socket, Packet.Connect(new ConnectOptions { ClientId = "a" }));
        Assert.Equal(0x20, (await Read(socket, 4))[0]);
        await Send(socket, Packet.Subscribe(1, true, 0, ("t", 0)));
        await Send(socket, Packet.Publish("t", new string('x', 100_000)));
        await Eventually.True(async () =>
        {
            var bytes = await Read(socket, 1);
            return bytes[0] == (byte)'x';
        });
    }

    [Fact]
    public async Task Packets_and_frames_need_not_begin_together()
    {
        using var socket = await Open("/mqtt", ["mqtt"]);
        byte[] all =
        [
            .. Packet.Connect(new ConnectOptions { ClientId = "a", Level = 4 }), .. Packet.Subscribe(1, false, 0, ("t", 0)), 0xC0, 0,
        ];
        foreach (var part in all.Chunk(3))
        {
            await socket.SendAsync(part, WebSocketMessageType.Binary, endOfMessage: part.Length % 2 == 0, default);
            await socket.SendAsync(Array.Empty<byte>(), WebSocketMessageType.Binary, endOfMessage: true, default);
        }
        Assert.Equal("20 02 00 00 90 03 00 01 00 D0 00", Hex.Write(await Read(socket, 11)));
        await Send(socket, [0xC0, 0, 0xC0, 0]);
        Assert.Equal("D0 00 D0 00", Hex.Write(await Read(socket, 4)));
    }

    [Fact]
    public async Task A_text_frame_ends_the_connection()
    {
        using var socket = await Open("/mqtt", ["mqtt"]);
        await Send(socket, Packet.Connect(new ConnectOptions { ClientId = "a", Level = 4 }));
        await Read(socket, 4);
        await socket.SendAsync("hello"u8.ToArray(), WebSocketMessageType.Text, true, default);
        Assert.Equal(WebSocketCloseStatus.InvalidMessageType, await Closed(socket));
        await Eventually.True(() => _broker.Connections == 0);
    }

    [Fact]
    public async Task The_last_packet_arrives_before_the_close()
    {
        using var socket = await Open("/mqtt", ["mqtt"]);
        await Send(socket, Packet.Connect(new ConnectOptions { ClientId = "a" }));
        await Read(socket, 4);
        await Eventually.True(() => _broker.Connections == 1);
        _broker.Stop();
        var received = new List<byte>();
        var status = await Closed(socket, received);
        Assert.Equal(WebSocketCloseStatus.NormalClosure, status);
        // DISCONNECT, server shutting down; what follows the code may differ.
        var disconnect = received.IndexOf(0xE0);
        Assert.Equal(0x8B, received[disconnect + 2]);
    }

    [Fact]
    public async Task A_client_that_goes_without_a_word_is_noticed()
    {
        var socket = await Open("/mqtt", ["mqtt"]);
        await Send(socket, Packet.Connect(new ConnectOptions { ClientId = "a", Level = 4 }));
        await Read(socket, 4);
        socket.Dispose();
        await Eventually.True(() => _broker.Connections == 0);
    }

    [Fact]
    public async Task A_client_that_says_good_bye_is_answered()
    {
        using var socket = await Open("/mqtt", ["mqtt"]);
        await Send(socket, Packet.Connect(new ConnectOptions { ClientId = "a", Level = 4 }));
        await Read(socket, 4);
        using var patience = new CancellationTokenSource(Eventually.DefaultDeadline);
        await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, null, patience.Token);
        Assert.Equal(WebSocketState.Closed, socket.State);
    }

    [Fact]
    public async Task The_subprotocol_mqtt_is_picked_from_a_list()
    {
        using var socket = await Open("/mqtt", ["soap", "mqtt"]);
        Assert.Equal("mqtt", socket.SubProtocol);
    }

    [Fact]
    public async Task A_client_that_offers_nothing_is_let_in()
    {
        using var socket = await Open("/mqtt", []);
        Assert.Null(socket.SubProtocol);
    }

    [Theory]
    [InlineData("/mqtt", "soap")]
    [InlineData("/other", "mqtt")]
    public async Task Other_subprotocols_and_paths_are_refused(string path, string subprotocol) =>
        await Assert.ThrowsAsync<WebSocketException>(() => Open(path, [subprotocol]));

    [Theory]
    [InlineData("/mqtt", HttpStatusCode.UpgradeRequired)]
    [InlineData("/internal/changes", HttpStatusCode.NotFound)]
    public async Task Plain_requests_are_told_what_this_is(string path, HttpStatusCode expected)
    {
        using var http = new HttpClient();
        using var response = await http.GetAsync(new Uri($"http://127.0.0.1:{Port}{path}"));
        Assert.Equal(expected, response.StatusCode);
        Assert.NotEmpty(await response.Content.ReadAsStringAsync());
    }

    private async Task<ClientWebSocket> Open(string path, string[] subprotocols, bool secure = false)
    {
        var socket = new ClientWebSocket();
        foreach (var subprotocol in subprotocols)
        {
            socket.Options.AddSubProtocol(subprotocol);
        }
#pragma warning disable CA5359 // The certificate was made a moment ago by the other half of the test.
        socket.Options.RemoteCertificateValidationCallback = (_, _, _, _) => true;
#pragma warning restore CA5359
        await socket.ConnectAsync(new Uri($"{(secure ? "wss" : "ws")}://127.0.0.1:{(secure ? _secure : Port)}{path}"), default);
        return socket;
    }

    private static Task Send(ClientWebSocket socket, byte[] bytes) => socket.SendAsync(bytes, WebSocketMessageType.Binary, true, default);

    private static async Task<byte[]> Read(ClientWebSocket socket, int count)
    {
        var buffer = new byte[count];
        using var patience = new CancellationTokenSource(Eventually.DefaultDeadline);
        for (var read = 0; read < count;)
        {
            var received = await socket.ReceiveAsync(buffer.AsMemory(read), patience.Token);
            Assert.Equal(WebSocketMessageType.Binary, received.MessageType);
            read += received.Count;
        }
        return buffer;
    }

    private static async Task<WebSocketCloseStatus?> Closed(ClientWebSocket socket, List<byte>? rest = null)
    {
        var buffer = new byte[1024];
        using var patience = new CancellationTokenSource(Eventually.DefaultDeadline);
        while (true)
        {
            var received = await socket.ReceiveAsync(buffer.AsMemory(), patience.Token);
            if (received.MessageType == WebSocketMessageType.Close)
            {
                return socket.CloseStatus;
            }
            rest?.AddRange(buffer.AsSpan(0, received.Count));
        }
    }
}
