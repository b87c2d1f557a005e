using System.Net;
using System.Security.Cryptography.X509Certificates;

namespace IotHub.Broker.Transport;

/// <summary>The way bytes leave for one client: a socket, TLS on a socket, or a WebSocket. Reading is the transport's own loop.</summary>
public abstract class Channel
{
    private volatile bool _isBroken;

    public required bool IsEncrypted { get; init; }
    public virtual IPEndPoint? RemoteAddress => null;

    /// <summary>Certificate that the client proved to hold in the TLS handshake; it is not yet checked against anything.</summary>
    public virtual X509Certificate2? ClientCertificate => null;

    /// <summary>What else the client sent with its certificate, unchecked like it.</summary>
    public virtual IReadOnlyList<X509Certificate2> ClientChain => [];

    /// <summary>Something that was sent has not left yet, or never will: the connection broke under it.</summary>
    public virtual bool HasUnsent => _isBroken;

    /// <summary>
    /// Sends all bytes. Never throws: a broken connection counts as sent and shows itself in the read loop.
    /// </summary>
    /// <returns>True when all were taken at once; false when <paramref name="done"/> will be called once, later.</returns>
    public abstract bool Send(byte[] buffer, int count, Action done);

    /// <summary>
    /// Nothing more will be sent; what the peer still sends is read and dropped, so that the last packet is not lost to a reset. Where
    /// half-closing is not possible the channel is closed.
    /// </summary>
    public abstract void FinishSending();

    /// <summary>Closes both directions; the read loop ends. Safe to call from any thread and more than once.</summary>
    public abstract void Close();

    /// <summary>What was being sent is lost.</summary>
    protected void Broke() => _isBroken = true;
}
