using System.Security.Cryptography;
using System.Text;
using IotHub.Broker.Protocol;

namespace IotHub.Broker.Auth;

/// <summary>
/// The stand-alone mode with credentials: only who has proven a name comes in, may do everything, and has sessions that no other name
/// reaches.
/// </summary>
public sealed class ProvenAuthenticator : IAuthenticator
{
    public ValueTask<ConnectVerdict> Authenticate(ConnectAttempt attempt, CancellationToken cancel) => ValueTask.FromResult<ConnectVerdict>(
        cancel.IsCancellationRequested ? new ConnectVerdict.Refused(ReasonCode.ServerUnavailable)
        : attempt.ProvenName is { } name
            ? new ConnectVerdict.Accepted(AnonymousAuthenticator.HubId, DeviceOf(name), attempt.ClientId, Rights.All)
        : new ConnectVerdict.Refused(ReasonCode.NotAuthorized));

    /// <summary>A name's device: always the same, because stored sessions carry it.</summary>
    private static Guid DeviceOf(string name) =>
        new(SHA256.HashData(Encoding.UTF8.GetBytes($"scram:{name}")).AsSpan(0, 16), bigEndian: true);
}
