using IotHub.Broker.Protocol;

namespace IotHub.Broker.Auth;

/// <summary>The stand-alone mode: one hub, everyone may come in and do everything, a session belongs to its client id.</summary>
public sealed class AnonymousAuthenticator : IAuthenticator
{
    /// <summary>The only hub of a stand-alone broker; a fixed id, because stored sessions carry it.</summary>
    public static readonly Guid HubId = new("00000000-0000-4000-8000-000000000001");

    /// <summary>The device that every client is.</summary>
    public static readonly Guid DeviceId = new("00000000-0000-4000-8000-000000000002");

    public ValueTask<ConnectVerdict> Authenticate(ConnectAttempt attempt, CancellationToken cancel) => ValueTask.FromResult<ConnectVerdict>(
        cancel.IsCancellationRequested
            ? new ConnectVerdict.Refused(ReasonCode.ServerUnavailable)
            : new ConnectVerdict.Accepted(HubId, DeviceId, attempt.ClientId, Rights.All));
}
