using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using IotHub.Core;

namespace IotHub.Functions.Api;

/// <summary>The OpenAPI 3.1 description of the management API, made from the mapped routes and the types that they read and write.</summary>
internal static partial class OpenApi
{
    public const string Path = "/iot/openapi.json";

    public static byte[] Document(IEnumerable<ApiOperation> operations)
    {
        var (paths, schemas) = (new JsonObject(), new JsonObject());
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
            ["info"] = new JsonObject { ["title"] = "IoT hub management API", ["version"] = "v1" },
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
            parameters.Add(Parameter(name.Groups[1].Value, "path"));
        }
        foreach (var name in operation.Query)
        {
            parameters.Add(Parameter(name, "query"));
        }
        var described = new JsonObject
        {
            ["operationId"] = OperationId(operation),
            ["description"] = $"Needs the role {ApiJson.Text(operation.Role)}.",
            ["parameters"] = parameters,
            ["responses"] = new JsonObject
            {
                [operation.Answer == typeof(Nothing) ? "204" : "200"] = operation.Answer == typeof(Nothing)
                    ? new JsonObject { ["description"] = "Done." }
                    : Content("Done.", Reference(operation.Answer, schemas)),
                ["default"] = Content("What is wrong, by its type.", new JsonObject
                {
                    ["type"] = "object",
                    ["properties"] = new JsonObject
                    {
                        ["message"] = new JsonObject { ["type"] = "string" },
                        ["type"] = new JsonObject { ["type"] = "string" },
                    },
                }),
            },
        };
        if (operation.Body is { } body)
        {
            described["requestBody"] = Content("Null and absent mean the same.", Reference(body, schemas));
        }
        return described;
    }

    private static JsonObject Parameter(string name, string place)
    {
        var schema = new JsonObject { ["type"] = name is "page" or "page_size" ? "integer" : "string" };
        if (name.EndsWith("_id", StringComparison.Ordinal))
        {
            schema["format"] = "uuid";
        }
        return new JsonObject { ["name"] = name, ["in"] = place, ["required"] = place == "path", ["schema"] = schema };
    }

    private static JsonObject Content(string description, JsonObject schema) => new()
    {
        ["description"] = description,
        ["content"] = new JsonObject { ["application/json"] = new JsonObject { ["schema"] = schema } },
    };

    private static JsonObject Reference(Type type, JsonObject schemas)
    {
        schemas[type.Name] ??= ApiJson.Schema(type);
        return new JsonObject { ["$ref"] = "#/components/schemas/" + type.Name };
    }

    private static string OperationId(ApiOperation operation) =>
        string.Join('_', operation.Path.Split('/').Skip(5).Select(part => part.Trim('{', '}')).Prepend(operation.Method.ToLowerInvariant()));

    [GeneratedRegex(@"\{([a-z_]+)\}")]
    private static partial Regex PathParameter();
}
