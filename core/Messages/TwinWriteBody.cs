using System.Text.Json;
using System.Text.Json.Nodes;
using IotHub.Core.Domain;

namespace IotHub.Core.Messages;

/// <summary>What stands in a put or patch of a twin document, over REST and MQTT alike. Other members are ignored.</summary>
/// <param name="Version">0 when absent: no check.</param>
/// <param name="Data">Empty when absent.</param>
public sealed record TwinWriteBody(uint Version, JsonObject Data)
{
    /// <summary>A document of full size, with its escapes and its version.</summary>
    public const int MaximumBytes = 2 * TwinRules.MaximumBytes;

    public static Outcome<TwinWriteBody> Read(ReadOnlySpan<byte> body)
    {
        JsonObject request;
        try
        {
            request = body.IsEmpty ? [] : TwinRules.Parse(body);
        }
        catch (JsonException e)
        {
            return new Problem.InvalidArguments("body", "format", $"must be a JSON object without members that stand there twice: {e.Message}");
        }
        if (request["version"] is { } version && !(version is JsonValue number && IsVersion(number)))
        {
            return new Problem.InvalidArguments("version", "format", "must be a whole number from 0 to 4294967295");
        }
        if (request["data"] is { } data and not JsonObject)
        {
            return new Problem.InvalidArguments("data", "format", "must be a JSON object");
        }
        return new TwinWriteBody(request["version"]?.GetValue<uint>() ?? 0, request["data"] as JsonObject ?? []);
    }

    private static bool IsVersion(JsonValue number) => number.GetValueKind() == JsonValueKind.Number && number.TryGetValue<uint>(out _);
}
