using System.Text;
using IotHub.Broker.Auth;
using IotHub.Broker.Protocol;
using IotHub.Core.Domain;

namespace IotHub.Harness.Mqtt;

/// <summary>
/// Lets everyone in with the rights that the test sets, except with the password <c>wrong</c>, and keeps what it was shown.
/// </summary>
public sealed class ScriptedAuthenticator : IAuthenticator
{
    private readonly Lock _gate = new();
    private readonly List<ConnectAttempt> _attempts = [];

    public Rights Rights { get; init; } = Rights.All;

    public IReadOnlyList<ConnectAttempt> Attempts
    {
        get
        {
            lock (_gate)
            {
                return [.. _attempts];
            }
        }
    }

    /// <summary>Everything but publishing on, and subscribing to, <c>denied</c>.</summary>
    public static Rights AllButDenied { get; } = new(
        new MessageFilters(
            new MessageFilterRule(MessageFilterPolicy.Reject, ["denied"]), new MessageFilterRule(MessageFilterPolicy.Reject, ["denied"])),
        PlanRules.None,
        allowMultipleConnections: true);

    /// <summary>A hub on the shared plan.</summary>
    public static Rights SharedPlan { get; } = new(MessageFilters.AllowAll, PlanRules.Shared, allowMultipleConnections: false);

    public ValueTask<ConnectVerdict> Authenticate(ConnectAttempt attempt, CancellationToken cancel)
    {
        lock (_gate)
        {
            _attempts.Add(attempt);
        }
        var isWrong = attempt.Password is { } password && Encoding.UTF8.GetString(password.Span) == "wrong";
        return ValueTask.FromResult<ConnectVerdict>(isWrong
            ? new ConnectVerdict.Refused(ReasonCode.BadUserNameOrPassword)
            : new ConnectVerdict.Accepted(AnonymousAuthenticator.HubId, AnonymousAuthenticator.DeviceId, attempt.ClientId, Rights));
    }
}
