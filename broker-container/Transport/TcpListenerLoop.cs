using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;

namespace IotHub.Broker.Transport;

/// <summary>
/// Accepts MQTT clients on one TCP port, plain or with TLS (1.2 and 1.3; a client certificate is asked for, not required). Handshakes run
/// on the thread pool, so many at a time as <see cref="HandshakesMaximum"/>, and within <see cref="HandshakeTimeout"/>.
/// </summary>
public sealed class TcpListenerLoop : IClientListener
{
    /// <summary>A handshake costs milliseconds of CPU; more at once would only delay each other and everyone's messages.</summary>
    private const int HandshakesMaximum = 64;

    /// <summary>Certificates looked at beside the client's own.</summary>
    private const int ClientChainMaximum = 8;

    private static readonly TimeSpan HandshakeTimeout = TimeSpan.FromSeconds(10);

    private readonly MqttBroker _broker;
    private readonly Socket _listener;
    private readonly SslServerAuthenticationOptions? _tls;
    private readonly SemaphoreSlim _handshakes = new(HandshakesMaximum);
    private Task _loop = Task.CompletedTask;

    /// <param name="certificate">The server's certificate with its chain; null for plain TCP.</param>
    /// <exception cref="SocketException">The port is in use or may not be bound.</exception>
    public TcpListenerLoop(MqttBroker broker, IPEndPoint endPoint, SslStreamCertificateContext? certificate = null)
    {
        _broker = broker;
        _tls = certificate is null ? null : TlsOptions(certificate);
        _listener = new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        _listener.Bind(endPoint);
        _listener.Listen(4096);
    }

    public IPEndPoint EndPoint => (IPEndPoint)_listener.LocalEndPoint!;

    public void Start() => _loop = AcceptLoop();

    public async ValueTask DisposeAsync()
    {
        _listener.Dispose();
        await _loop.ConfigureAwait(false);
        _handshakes.Dispose();
    }

    private async Task AcceptLoop()
    {
        while (true)
        {
            try
            {
                var socket = await _listener.AcceptAsync().ConfigureAwait(false);
                _ = _tls is null ? SocketTransport.Serve(_broker, socket) : Task.Run(() => ServeTls(socket));
            }
            catch (Exception e) when (e is ObjectDisposedException or SocketException { SocketErrorCode: SocketError.OperationAborted })
            {
                return;
            }
            catch (SocketException)
            {
                // One client that went away between connect and accept, or no descriptors for a moment: go on.
                await Task.Delay(1).ConfigureAwait(false);
            }
        }
    }

    private async Task ServeTls(Socket socket)
    {
        var bytes = new HandshakeBytes(socket);
        IReadOnlyList<X509Certificate2> shown = [];
        // Whose certificate it is, is decided by the authenticator: by fingerprint or by the hub's own authority, never by the
        // machine's trust store. No certificate is accepted here as well: the device may be allowed to go without.
#pragma warning disable CA5359 // A client's certificate, not a server's: see above.
        var stream = new SslStream(bytes, leaveInnerStreamOpen: false, (_, leaf, chain, _) =>
        {
            shown = ShownWith(leaf, chain);
            return true;
        });
#pragma warning restore CA5359
        try
        {
            socket.NoDelay = true;
            var remote = socket.RemoteEndPoint as IPEndPoint;
            using var timeout = new CancellationTokenSource(HandshakeTimeout);
            await _handshakes.WaitAsync(timeout.Token).ConfigureAwait(false);
            try
            {
                await stream.AuthenticateAsServerAsync(_tls!, timeout.Token).ConfigureAwait(false);
            }
            finally
            {
                bytes.IsShakingHands = false;
                _handshakes.Release();
            }
            var client = stream.RemoteCertificate as X509Certificate2;
            await StreamTransport.Serve(_broker, stream, isEncrypted: true, remote, client, shown).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or OperationCanceledException
            or System.Security.Authentication.AuthenticationException)
        {
            // The handshake failed or took too long: nobody was let in.
        }
        finally
        {
            await stream.DisposeAsync().ConfigureAwait(false);
        }
    }

    /// <summary>The certificates that came with the leaf, copied out of the handshake; not more than a sensible chain has.</summary>
    private static List<X509Certificate2> ShownWith(X509Certificate? leaf, X509Chain? chain)
    {
        List<X509Certificate2> shown = [];
        foreach (var certificate in chain?.ChainPolicy.ExtraStore ?? [])
        {
            if (shown.Count == ClientChainMaximum)
            {
                break;
            }
            if (leaf is null || !certificate.RawDataMemory.Span.SequenceEqual(leaf.GetRawCertData()))
            {
                shown.Add(X509CertificateLoader.LoadCertificate(certificate.RawDataMemory.Span));
            }
        }
        return shown;
    }

    /// <summary>
    /// A socket's bytes; during the handshake what follows a read goes on in the pool: its milliseconds of CPU would hold up the messages
    /// of everyone else on the thread that watches the sockets.
    /// </summary>
    private sealed class HandshakeBytes(Socket socket) : NetworkStream(socket, ownsSocket: true)
    {
        public bool IsShakingHands { get; set; } = true;

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            IsShakingHands ? ReadAndHop(buffer, cancellationToken) : base.ReadAsync(buffer, cancellationToken);

        private async ValueTask<int> ReadAndHop(Memory<byte> buffer, CancellationToken cancel)
        {
            var read = await base.ReadAsync(buffer, cancel).ConfigureAwait(false);
            await Task.Yield();
            return read;
        }
    }

    private static SslServerAuthenticationOptions TlsOptions(SslStreamCertificateContext certificate) => new()
    {
        ServerCertificateContext = certificate,
        ClientCertificateRequired = true,
        // A resumed session shows the leaf alone, and the authority that leads to the hub may stand behind it.
        AllowTlsResume = false,
        EnabledSslProtocols = System.Security.Authentication.SslProtocols.Tls12 | System.Security.Authentication.SslProtocols.Tls13,
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
    };
}
