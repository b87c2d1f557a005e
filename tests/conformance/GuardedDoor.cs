using IotHub.Broker.Auth;
using IotHub.Broker.Protocol;
using IotHub.Core.Domain;

namespace IotHub.Conformance;

/// <summary>
/// Lets everyone in but those whose password is "wrong" (0x86), whose name is "stranger" (0x87) or whose id is "forbidden" (0x85). No
/// one, or only the client that is named, may publish to or read what is below <c>denied</c>.
/// </summary>
internal sealed class GuardedDoor(string? guarded = null) : IAuthenticator
{
    private static readonly MessageFilterRule NotDenied = new(MessageFilterPolicy.Reject, ["denied/#"]);

    private readonly Rights _rights = new(new MessageFilters(NotDenied, NotDenied), PlanRules.None, allowMultipleConnections: true);

    /// <summary>What the last client showed.</summary>
    public ConnectAttempt? Last { get; private set; }

    public ValueTask<ConnectVerdict> Authenticate(ConnectAttempt attempt, CancellationToken cancel)
    {
        Last = attempt;
        return ValueTask.FromResult<ConnectVerdict>(attempt switch
        {
            { Password: { } password } when password.Span.SequenceEqual("wrong"u8) => Refused(ReasonCode.BadUserNameOrPassword),
            { UserName: "stranger" } => Refused(ReasonCode.NotAuthorized),
            { UserName: "early" } => Refused(ReasonCode.ServerUnavailable),
            { ClientId: "forbidden" } => Refused(ReasonCode.ClientIdentifierNotValid),
            _ => new ConnectVerdict.Accepted(
                AnonymousAuthenticator.HubId, AnonymousAuthenticator.DeviceId, attempt.ClientId, RightsOf(attempt)),
        });
    }

    private Rights RightsOf(ConnectAttempt attempt) => guarded is null || guarded == attempt.ClientId ? _rights : Rights.All;

    private static ConnectVerdict.Refused Refused(ReasonCode reason) => new(reason);
}
