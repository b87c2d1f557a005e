using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Xunit;

namespace IotHub.Contract.Api;

/// <summary>An operation as the OpenAPI document describes it.</summary>
public sealed record DescribedOperation(string Method, string Path, JsonNode Description)
{
    public string Name => $"{Method} {Path}";

    public JsonNode? BodySchema => Description["requestBody"]?["content"]?["application/json"]?["schema"];

    public IEnumerable<JsonNode> Parameters(string place) =>
        Description["parameters"]!.AsArray().Where(parameter => (string)parameter!["in"]! == place)!;
}

/// <summary>The OpenAPI document of an app, and what it says about its operations.</summary>
public sealed class DescribedApi(JsonNode document)
{
    private const string Prefix = "/iot/v1/regions/{region}/";

    public JsonNode Document => document;

    /// <summary>Paths stand without the region.</summary>
    public IReadOnlyList<DescribedOperation> Operations { get; } =
    [
        .. document["paths"]!.AsObject().SelectMany(path => path.Value!.AsObject().Select(operation =>
            new DescribedOperation(operation.Key.ToUpperInvariant(), path.Key[Prefix.Length..], operation.Value!))),
    ];

    public static async Task<DescribedApi> Of(TestApi api) => new((await api.Get("/iot/openapi.json", "")).Ok);

    public JsonNode Resolve(JsonNode schema) => schema["$ref"] is { } reference
        ? document["components"]!["schemas"]![((string)reference!).Split('/')[^1]]!
        : schema;

    /// <summary>Fails unless the answer is one that the operation is described with.</summary>
    public void AssertAnswers(DescribedOperation operation, ApiAnswer answer)
    {
        var described = operation.Description["responses"]![answer.Status.ToString(CultureInfo.InvariantCulture)];
        Assert.True(described is not null, $"{operation.Name} answered {answer.Status}: {answer.Text}");
        if (described["content"]?["application/json"]?["schema"] is { } schema)
        {
            AssertIs(schema, answer.Json, operation.Name);
        }
    }

    /// <summary>The parts of JSON Schema that the document uses. Members that are not described are wrong.</summary>
    private void AssertIs(JsonNode schema, JsonNode? value, string where)
    {
        schema = Resolve(schema);
        if (schema["enum"] is JsonArray choices)
        {
            Assert.True(choices.Any(choice => JsonNode.DeepEquals(choice, value)), $"{where} is {value?.ToJsonString()}");
            return;
        }
        var types = schema["type"] switch
        {
            JsonArray several => several.Select(type => (string)type!).ToList(),
            JsonValue one => [(string)one!],
            _ => [],
        };
        Assert.True(types.Count == 0 || types.Contains(TypeOf(value)) || (types.Contains("number") && TypeOf(value) == "integer"),
            $"{where} is no {string.Join(" or ", types)}: {value?.ToJsonString()}");
        if ((string?)schema["format"] == "date-time")
        {
            Assert.True(DateTimeOffset.TryParse((string)value!, CultureInfo.InvariantCulture, out _), $"{where} is no date: {value}");
        }
        if (value is JsonArray items && schema["items"] is { } item)
        {
            for (var i = 0; i < items.Count; i++)
            {
                AssertIs(item, items[i], $"{where}[{i}]");
            }
        }
        if (value is JsonObject members && schema["properties"] is JsonObject described)
        {
            foreach (var (name, member) in members)
            {
                Assert.True(described.ContainsKey(name), $"{where}.{name} is not described");
                AssertIs(described[name]!, member, $"{where}.{name}");
            }
            foreach (var name in schema["required"]?.AsArray() ?? [])
            {
                Assert.True(members.ContainsKey((string)name!), $"{where} has no {name}");
            }
        }
    }

    private static string TypeOf(JsonNode? value) => value?.GetValueKind() switch
    {
        null or JsonValueKind.Null => "null",
        JsonValueKind.Object => "object",
        JsonValueKind.Array => "array",
        JsonValueKind.String => "string",
        JsonValueKind.True or JsonValueKind.False => "boolean",
        _ => value.ToJsonString().All(c => char.IsAsciiDigit(c) || c == '-') ? "integer" : "number",
    };
}
