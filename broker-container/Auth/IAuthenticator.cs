using System.Net;
using System.Security.Cryptography.X509Certificates;
using IotHub.Broker.Protocol;
using IotHub.Core.Messages;

namespace IotHub.Broker.Auth;

/// <summary>What a client shows before anything of a session is looked at.</summary>
/// <param name="ProtocolLevel">3 (MQTT 3.1), 4 (3.1.1) or 5.</param>
/// <param name="ClientCertificate">The certificate of a mutual TLS handshake, else null.</param>
/// <param name="RemainingLength">Of the CONNECT.</param>
public sealed record ConnectAttempt(
    byte ProtocolLevel,
    string ClientId,
    string? UserName,
    ReadOnlyMemory<byte>? Password,
    bool CleanStart,
    X509Certificate2? ClientCertificate,
    bool IsEncrypted,
    IPEndPoint? RemoteAddress,
    int RemainingLength)
{
    /// <summary>Header of the CONNECT for events, for example <c>CONNECT: dup: false qos: 0 retain: false rLength: 12</c>.</summary>
    public string PacketText => Protocol.PacketText.Of((byte)PacketType.Connect << 4, RemainingLength);

    /// <summary>The other certificates that the client sent in the handshake: intermediates and, where needed, the authority itself.</summary>
    public IReadOnlyList<X509Certificate2> ClientChain { get; init; } = [];

    /// <summary>The name that the client has proven by enhanced authentication, else null.</summary>
    public string? ProvenName { get; init; }
}

/// <summary>The answer to a <see cref="ConnectAttempt"/>.</summary>
public abstract record ConnectVerdict
{
    private ConnectVerdict()
    {
    }

    /// <summary>
    /// Let in. The session belongs to (<paramref name="HubId"/>, <paramref name="DeviceId"/>, <paramref name="ClientId"/>): no other
    /// device reaches it whatever client id it sends. An empty <paramref name="ClientId"/> lets the broker assign one.
    /// </summary>
    public sealed record Accepted(Guid HubId, Guid DeviceId, string ClientId, Rights Rights) : ConnectVerdict
    {
        /// <summary>
        /// Asked once on the hub's lane, right before the session is opened (null: always true). False when the registry changed since
        /// the verdict: authenticate again. Without it a change that is carried out between verdict and session would miss the session.
        /// </summary>
        public Func<bool>? StillStands { get; init; }

        /// <summary>The device was made for this client: raised on the hub whatever becomes of the session.</summary>
        public HubEvent? Provisioned { get; init; }

        /// <summary>Raised on the hub once the session is open.</summary>
        public IReadOnlyList<HubEvent> Events { get; init; } = [];
    }

    /// <param name="HubId">The hub on which <paramref name="Event"/> is raised; null when it could not be found.</param>
    public sealed record Refused(ReasonCode Reason, Guid? HubId = null, HubEvent? Event = null) : ConnectVerdict;
}

/// <summary>Decides who a client is. Two drivers: the registry's, and the anonymous one of the stand-alone mode.</summary>
public interface IAuthenticator
{
    /// <summary>Never throws for what a client sent or for a registry that does not answer: that is a refusal (0x88).</summary>
    ValueTask<ConnectVerdict> Authenticate(ConnectAttempt attempt, CancellationToken cancel);
}
