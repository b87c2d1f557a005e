using System.Text.Json.Nodes;

namespace IotHub.Functions.Twins;

/// <summary>What a put or patch takes; read by <c>TwinWriteBody</c>, as over MQTT.</summary>
internal sealed record TwinWriteRequest
{
    public uint? Version { get; init; }
    public JsonObject? Data { get; init; }
}

internal sealed record TwinDocumentAnswer(Guid TwinId, string DocumentName, uint Version, JsonObject Data);

internal sealed record TwinDocumentName(string DocumentName);

internal sealed record TwinDocumentList(IReadOnlyList<TwinDocumentName> Documents);
