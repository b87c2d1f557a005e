using System.Text.Json.Nodes;
using IotHub.Core.Domain;
using IotHub.Functions.Hosting;

namespace IotHub.Functions.Networks;

/// <summary>What a poster is told. Error bodies have the shape of the management API's.</summary>
public sealed record IngestAnswer(int Status, JsonObject? Body)
{
    public static IngestAnswer Accepted => new(StatusCodes.Status200OK, null);

    public static IngestAnswer Denied => new(StatusCodes.Status401Unauthorized, new JsonObject
    {
        ["message"] = "authentication is denied",
        ["method"] = "api_key",
        ["reason"] = "not_found",
        ["type"] = "denied_authentication",
    });

    /// <summary>Nothing was kept; the sender should come again.</summary>
    public static IngestAnswer Unavailable => new(StatusCodes.Status503ServiceUnavailable, new JsonObject
    {
        ["message"] = "the service is temporarily unavailable, try again",
        ["type"] = "unavailable",
    });

    /// <param name="reason">One of the API's: <c>required</c>, <c>format</c>, <c>constraint</c>.</param>
    public static IngestAnswer InvalidArgument(string argument, string reason, string help) =>
        new(StatusCodes.Status400BadRequest, InvalidArguments(argument, reason, help));

    public static IngestAnswer TooLarge(int maximumBytes) => new(
        StatusCodes.Status413PayloadTooLarge, InvalidArguments("body", "constraint", $"the body is longer than {maximumBytes} bytes"));

    public static IngestAnswer HubNotReady(Guid hubId, HubStatus? status) => new(StatusCodes.Status503ServiceUnavailable, new JsonObject
    {
        ["current_state"] = status?.ToString().ToLowerInvariant() ?? "unknown",
        ["message"] = "hub is not ready",
        ["resource"] = "hub",
        ["resource_id"] = hubId.ToString(),
        ["type"] = "transient_state",
    });

    public Task Write(HttpContext context)
    {
        if (Body is not null)
        {
            return Invocations.Answer(context, Status, Body.ToJsonString());
        }
        context.Response.StatusCode = Status;
        context.Response.ContentLength = 0;
        return Task.CompletedTask;
    }

    private static JsonObject InvalidArguments(string argument, string reason, string help) => new()
    {
        ["details"] = new JsonArray(new JsonObject { ["argument_name"] = argument, ["help_message"] = help, ["reason"] = reason }),
        ["message"] = "invalid argument(s)",
        ["type"] = "invalid_arguments",
    };
}
