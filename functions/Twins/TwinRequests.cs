using System.Text.Json.Nodes;

namespace IotHub.Functions.Twins;

internal sealed record TwinDocumentAnswer(Guid TwinId, string DocumentName, uint Version, JsonObject Data);

internal sealed record TwinDocumentName(string DocumentName);

internal sealed record TwinDocumentList(IReadOnlyList<TwinDocumentName> Documents);
