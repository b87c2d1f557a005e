using System.Net;
using System.Net.Security;
using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using IotHub.Broker;
using IotHub.Broker.Transport;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace IotHub.Harness.Mqtt;

/// <summary>The ways to a broker: plain TCP over its own loop or over the framework's sockets, TLS, and WebSocket on either.</summary>
public enum Via
{
    Tcp,
    Sockets,
    Tls,
    WebSocket,
    SecureWebSocket,

    /// <summary>Plain TCP, to a broker that writes what must survive to a disk.</summary>
    Durable,
}

/// <summary>The client's half of each transport, over a connected socket.</summary>
public static class Transports
{
    public static async Task<Stream> Speak(Stream socket, Via via)
    {
        var bytes = via is Via.Tls or Via.SecureWebSocket ? await Encrypt(socket) : socket;
        if (via is Via.Tcp or Via.Sockets or Via.Tls or Via.Durable)
        {
            return bytes;
        }
        var answer = await Upgrade(bytes, "mqtt");
        Assert.StartsWith("HTTP/1.1 101", answer, StringComparison.Ordinal);
        var webSocket = WebSocket.CreateFromStream(bytes, new WebSocketCreationOptions { SubProtocol = "mqtt" });
        return WebSocketStream.Create(webSocket, WebSocketMessageType.Binary, ownsWebSocket: true);
    }

    /// <summary>Asks for a WebSocket and returns the head of the answer.</summary>
    public static async Task<string> Upgrade(Stream stream, string? subprotocols, string path = "/mqtt")
    {
        var offer = subprotocols is null ? "" : $"Sec-WebSocket-Protocol: {subprotocols}\r\n";
        await stream.WriteAsync(Encoding.ASCII.GetBytes(
            $"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            + $"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offer}\r\n"));
        var head = new StringBuilder();
        var one = new byte[1];
        while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
        {
            await stream.ReadExactlyAsync(one);
            head.Append((char)one[0]);
        }
        return head.ToString();
    }

    private static async Task<Stream> Encrypt(Stream socket)
    {
#pragma warning disable CA5359 // The certificate was made a moment ago by the other half of the test.
        var tls = new SslStream(socket, leaveInnerStreamOpen: false, (_, _, _, _) => true);
#pragma warning restore CA5359
        await tls.AuthenticateAsClientAsync("localhost");
        return tls;
    }
}

/// <summary>The broker's half: one listener on a free loopback port.</summary>
internal sealed class TestListener : IAsyncDisposable
{
    private readonly EpollLoop? _epoll;
    private readonly IClientListener? _tcp;
    private readonly HttpListenerHost? _http;

    public TestListener(MqttBroker broker, Via via)
    {
        var endPoint = new IPEndPoint(IPAddress.Loopback, 0);
        if (via is Via.Tcp or Via.Sockets or Via.Tls or Via.Durable)
        {
            _epoll = via is Via.Tcp or Via.Durable && EpollLoop.IsSupported ? new EpollLoop(broker, NullLogger.Instance) : null;
            _tcp = _epoll is not null ? new EpollListener(_epoll, endPoint)
                : new TcpListenerLoop(broker, endPoint, via == Via.Tls ? TestCertificate.Create() : null);
            _tcp.Start();
            Port = _tcp.EndPoint.Port;
            return;
        }
        var listening = new HttpListening(endPoint, via == Via.SecureWebSocket ? TestCertificate.Create().TargetCertificate : null);
        // Kestrel starts on other threads only.
        _http = WebSocketTransport.Start(broker, [listening], NullLoggerFactory.Instance).GetAwaiter().GetResult();
        Port = _http.Ports[0];
    }

    public int Port { get; }

    /// <summary>No new clients; those that are there stay for a moment.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_tcp is not null)
        {
            await _tcp.DisposeAsync();
        }
        if (_epoll is not null)
        {
            await _epoll.DisposeAsync();
        }
        if (_http is not null)
        {
            await _http.Stop();
            await _http.DisposeAsync();
        }
    }
}

/// <summary>A certificate that no one trusts, for one broker of a test.</summary>
public static class TestCertificate
{
    public static SslStreamCertificateContext Create()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        return SslStreamCertificateContext.Create(OfLocalhost(key), additionalCertificates: null, offline: true);
    }

    /// <summary>One of localhost (P-256) as files, for a server process; made once per folder.</summary>
    public static (string Certificate, string Key) Write(TempFolder files)
    {
        var (certificate, key) = (files.Combine("server.pem"), files.Combine("server-key.pem"));
        if (!File.Exists(key))
        {
            using var ecdsa = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            using var made = OfLocalhost(ecdsa);
            File.WriteAllText(certificate, made.ExportCertificatePem() + "\n");
            File.WriteAllText(key, ecdsa.ExportPkcs8PrivateKeyPem() + "\n");
        }
        return (certificate, key);
    }

    private static X509Certificate2 OfLocalhost(ECDsa key)
    {
        var now = DateTimeOffset.UtcNow;
        return new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256).CreateSelfSigned(now.AddDays(-1), now.AddDays(2));
    }
}
