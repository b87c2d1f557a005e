using System.Text.Json.Nodes;
using IotHub.Core;

namespace IotHub.Functions.Api;

/// <summary>Status and body of each problem, as the official clients read them (Scaleway IoT reference, errors).</summary>
internal static class ProblemAnswers
{
    public static (int Status, JsonObject Body) Of(Problem problem) => problem switch
    {
        Problem.InvalidArguments invalid => (400, Body("invalid argument(s)", "invalid_arguments", Details(invalid))),
        Problem.AuthenticationDenied denied => (401, Body(
            "authentication is denied", "denied_authentication", ("method", denied.Method), ("reason", denied.Reason))),
        Problem.PermissionsDenied denied => (403, Body(
            "insufficient permissions",
            "permissions_denied",
            ("details", new JsonArray(new JsonObject { ["action"] = denied.Action, ["resource"] = denied.Resource })))),
        Problem.QuotasExceeded exceeded => (403, Body("quota(s) exceeded", "quotas_exceeded", Details(exceeded))),
        Problem.NotFound missing => (404, Body(
            "resource is not found", "not_found", ("resource", missing.Resource), ("resource_id", missing.ResourceId))),
        Problem.TransientState transient => (409, Body(
            "resource is in a transient state",
            "transient_state",
            ("resource", transient.Resource),
            ("resource_id", transient.ResourceId.ToString()),
            ("current_state", transient.CurrentState))),
        Problem.AlreadyExists exists => (409, Body(
            "resource already exists",
            "already_exists",
            ("resource", exists.Resource),
            ("resource_id", exists.ResourceId),
            ("help_message", exists.Help))),
        Problem.PreconditionFailed failed => (412, Body(
            "precondition is not respected",
            "precondition_failed",
            ("precondition", failed.Precondition),
            ("help_message", failed.Help))),
        Problem.TooManyRequests many => (429, Body(
            "too many requests",
            "too_many_requests",
            ("help_message", many.Help),
            ("limit", new JsonObject { ["quota"] = many.Quota, ["window_seconds"] = many.WindowSeconds }),
            ("reset_seconds", many.ResetSeconds))),
        Problem.UnknownService => (501, new JsonObject { ["message"] = "unknown service" }),
        Problem.Unavailable => (503, Body("the service is temporarily unavailable, try again", "unavailable")),
        _ => throw new InvalidOperationException($"no answer is known for {problem.GetType().Name}"),
    };

    /// <summary>A fault of ours, which is in the log.</summary>
    public static JsonObject InternalError(string requestId) =>
        new() { ["message"] = $"internal error, see the log for request {requestId}", ["type"] = "internal_error" };

    private static JsonObject Body(string message, string type, params (string Name, JsonNode? Value)[] members)
    {
        var body = new JsonObject { ["message"] = message, ["type"] = type };
        foreach (var (name, value) in members)
        {
            body[name] = value;
        }
        return body;
    }

    private static (string, JsonNode?) Details(Problem.InvalidArguments invalid) =>
        ("details", new JsonArray([.. invalid.Details.Select(detail => new JsonObject
        {
            ["argument_name"] = detail.Name,
            ["help_message"] = detail.Help,
            ["reason"] = detail.Reason,
        })]));

    private static (string, JsonNode?) Details(Problem.QuotasExceeded exceeded)
    {
        var detail = new JsonObject
        {
            ["resource"] = exceeded.Resource,
            ["quota"] = exceeded.Quota,
            ["current"] = exceeded.Current,
            ["scope"] = exceeded.Scope,
        };
        if (exceeded.OrganizationId is { } organization)
        {
            detail["organization_id"] = organization.ToString();
        }
        return ("details", new JsonArray(detail));
    }
}
