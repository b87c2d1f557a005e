using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using IotHub.Core;
using IotHub.Core.Domain;

namespace IotHub.Functions.Api;

/// <summary>The OpenAPI 3.1 description of the management API, made from the mapped routes and the types that they read and write.</summary>
internal static partial class OpenApi
{
    public const string Path = "/iot/openapi.json";

    public static byte[] Document(IEnumerable<ApiOperation> operations)
    {
        var (paths, schemas) = (new JsonObject(), new JsonObject { ["Problem"] = Problem() });
        foreach (var operation in operations)
        {
            if (paths[operation.Path] is not JsonObject item)
            {
                paths[operation.Path] = item = [];
            }
            item[operation.Method.ToLowerInvariant()] = Describe(operation, schemas);
        }
        return ApiJson.Write(new JsonObject
        {
            ["openapi"] = "3.1.0",
            ["info"] = new JsonObject
            {
                ["title"] = "IoT hub management API",
                ["version"] = "v1",
                ["description"] =
                    $"Operations, parameters and members marked {ExtensionAttribute.Mark} are not those of Scaleway's IoT Hub API.",
            },
            ["security"] = new JsonArray(new JsonObject { ["secretKey"] = new JsonArray() }),
            ["paths"] = paths,
            ["components"] = new JsonObject
            {
                ["schemas"] = schemas,
                ["securitySchemes"] = new JsonObject
                {
                    ["secretKey"] = new JsonObject { ["type"] = "apiKey", ["in"] = "header", ["name"] = "X-Auth-Token" },
                },
            },
        });
    }

    private static JsonObject Describe(ApiOperation operation, JsonObject schemas)
    {
        var parameters = new JsonArray();
        foreach (Match name in PathParameter().Matches(operation.Path))
        {
            parameters.Add(Parameter(operation, name.Groups[1].Value, "path"));
        }
        foreach (var name in operation.Query)
        {
            parameters.Add(Parameter(operation, name, "query"));
        }
        foreach (var name in operation.ExtraQuery)
        {
            parameters.Add(Marked(Parameter(operation, name, "query")));
        }
        if (operation.IsRepeatable)
        {
            parameters.Add(Marked(Parameter(operation, IdempotentCreates.Header, "header")));
        }
        var described = new JsonObject
        {
            ["operationId"] = OperationId(operation),
            ["tags"] = new JsonArray(operation.Path.Split('/')[5]),
            ["description"] = $"Needs the role {ApiJson.Text(operation.Role)}. {operation.Description}".TrimEnd(),
            ["parameters"] = parameters,
            ["responses"] = new JsonObject
            {
                [operation.Answer == typeof(Nothing) ? "204" : "200"] = operation.Answer == typeof(Nothing)
                    ? new JsonObject { ["description"] = "Done." }
                    : operation.TextAnswer.Count > 0 ? Text("Written while it is made.", operation.TextAnswer)
                    : Content("Done.", Reference(operation.Answer, schemas)),
                ["default"] = Content("What is wrong, by its type.", ReferenceTo("Problem")),
            },
        };
        if (operation.Body is { } body)
        {
            described["requestBody"] = Content("Null and absent mean the same.", Reference(body, schemas));
        }
        if (operation.TextBody.Count > 0)
        {
            described["requestBody"] = Text("One thing a line.", operation.TextBody);
        }
        return operation.IsExtension ? Marked(described) : described;
    }

    private static JsonObject Marked(JsonObject described)
    {
        described[ExtensionAttribute.Mark] = true;
        return described;
    }

    private static JsonObject Parameter(ApiOperation operation, string name, string place) => new()
    {
        ["name"] = name,
        ["in"] = place,
        ["required"] = place == "path",
        ["schema"] = Schema(operation, name),
    };

    private static JsonObject Schema(ApiOperation operation, string name) => name switch
    {
        _ when operation.Choices.TryGetValue(name, out var values) => Choice(values),
        "page" => new JsonObject { ["type"] = "integer", ["minimum"] = 1, ["default"] = 1 },
        "page_size" => new JsonObject
        {
            ["type"] = "integer",
            ["minimum"] = 1,
            ["maximum"] = ApiQuery.MaximumPageSize,
            ["default"] = ApiQuery.DefaultPageSize,
        },
        "order_by" => Choice(operation.Orders),
        "status" => Choice(Enum.GetValues<DeviceStatus>().Select(ApiJson.Text)),
        "delete_devices" or "allow_insecure" or "is_connected" or "certificates" => new JsonObject { ["type"] = "boolean" },
        "tags" => new JsonObject { ["type"] = "array", ["items"] = new JsonObject { ["type"] = "string" } },
        "start_date" => new JsonObject { ["type"] = "string", ["format"] = "date-time" },
        _ when name.EndsWith("_id", StringComparison.Ordinal) => new JsonObject { ["type"] = "string", ["format"] = "uuid" },
        _ => new JsonObject { ["type"] = "string" },
    };

    private static JsonObject Choice(IEnumerable<string> values) =>
        new() { ["type"] = "string", ["enum"] = new JsonArray([.. values.Select(value => JsonValue.Create(value))]) };

    private static JsonObject Problem()
    {
        static JsonObject Text() => new() { ["type"] = "string" };
        return new JsonObject
        {
            ["type"] = "object",
            ["description"] = "What further members there are depends on the type.",
            ["required"] = new JsonArray("message"),
            ["properties"] = new JsonObject
            {
                ["message"] = Text(),
                ["type"] = Text(),
                ["resource"] = Text(),
                ["resource_id"] = Text(),
                ["help_message"] = Text(),
                ["precondition"] = Text(),
                ["current_state"] = Text(),
                ["method"] = Text(),
                ["reason"] = Text(),
                ["details"] = new JsonObject
                {
                    ["type"] = "array",
                    ["description"] = "Of invalid_arguments: argument_name, reason and help_message of each that is wrong.",
                    ["items"] = new JsonObject { ["type"] = "object" },
                },
            },
        };
    }

    private static JsonObject Content(string description, JsonObject schema) => new()
    {
        ["description"] = description,
        ["content"] = new JsonObject { ["application/json"] = new JsonObject { ["schema"] = schema } },
    };

    private static JsonObject Text(string description, IReadOnlyList<string> contentTypes) => new()
    {
        ["description"] = description,
        ["content"] = new JsonObject(contentTypes.Select(type => KeyValuePair.Create(
            type,
            (JsonNode?)new JsonObject { ["schema"] = new JsonObject { ["type"] = type == "application/json" ? "object" : "string" } }))),
    };

    private static JsonObject Reference(Type type, JsonObject schemas)
    {
        schemas[type.Name] ??= ApiJson.Schema(type);
        return ReferenceTo(type.Name);
    }

    private static JsonObject ReferenceTo(string schema) => new() { ["$ref"] = "#/components/schemas/" + schema };

    private static string OperationId(ApiOperation operation) =>
        string.Join('_', operation.Path.Split('/').Skip(5).Select(part => part.Trim('{', '}')).Prepend(operation.Method.ToLowerInvariant()));

    [GeneratedRegex(@"\{([a-z_]+)\}")]
    private static partial Regex PathParameter();
}
