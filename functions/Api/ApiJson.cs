using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Schema;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace IotHub.Functions.Api;

/// <summary>The JSON of the management API (Scaleway IoT reference, JSON conventions).</summary>
internal static class ApiJson
{
    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        TypeInfoResolver = new DefaultJsonTypeInfoResolver(),
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        IgnoreReadOnlyProperties = true,
        // Which of two values counts would be a guess, and another one than that of whoever checked the body before us.
        AllowDuplicateProperties = false,
        NumberHandling = JsonNumberHandling.AllowReadingFromString,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        Converters =
        {
            new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower, allowIntegerValues: false),
            new Timestamps(),
            new Booleans(),
        },
    };

    /// <summary>JSON Schema of what is read or written as this type.</summary>
    public static JsonNode Schema(Type type)
    {
        var schema = Options.GetJsonSchemaAsNode(type, Exported);
        return Inlined(schema, schema);
    }

    private static readonly JsonSchemaExporterOptions Exported = new()
    {
        TreatNullObliviousAsNonNullable = true,
        // What our own converters write cannot be seen by the exporter.
        TransformSchemaNode = (context, schema) => Marked(context, context.TypeInfo.Type == typeof(DateTimeOffset) ? new JsonObject { ["type"] = "string", ["format"] = "date-time" }
            : context.TypeInfo.Type == typeof(bool) ? new JsonObject { ["type"] = "boolean" }
            : context.TypeInfo.Type == typeof(bool?) ? new JsonObject { ["type"] = new JsonArray("boolean", "null") }
            : WithoutNeedless(schema)),
    };

    /// <summary>
    /// The exporter points to where a type stood before, from the root of this schema, which is not the root of the document it becomes a
    /// part of. None of our types contains itself.
    /// </summary>
    private static JsonNode Inlined(JsonNode schema, JsonNode root)
    {
        switch (schema)
        {
            case JsonObject { Count: 1 } pointer when pointer["$ref"] is { } path:
                var target = ((string)path!).Split('/').Skip(1).Aggregate(root, (node, name) => node[name]!);
                return Inlined(target, root);
            case JsonObject members:
                return new JsonObject(members.Select(member =>
                    KeyValuePair.Create(member.Key, member.Value is null ? null : (JsonNode?)Inlined(member.Value, root))));
            case JsonArray items:
                return new JsonArray([.. items.Select(item => item is null ? null : Inlined(item, root))]);
            default:
                return schema.DeepClone();
        }
    }

    private static JsonNode Marked(JsonSchemaExporterContext context, JsonNode schema)
    {
        if (schema is JsonObject described && context.PropertyInfo?.AttributeProvider?.IsDefined(typeof(ExtensionAttribute), false) == true)
        {
            described[ExtensionAttribute.Mark] = true;
        }
        return schema;
    }

    /// <summary>What may be null is left out when it is, so nobody may require it.</summary>
    private static JsonNode WithoutNeedless(JsonNode schema)
    {
        if (schema is JsonObject described && described["required"] is JsonArray required && described["properties"] is JsonObject members)
        {
            var always = required.Select(name => (string)name!)
                .Where(name => members[name]?["type"] is not JsonArray types || types.All(type => (string)type! != "null"));
            described["required"] = new JsonArray([.. always.Select(name => JsonValue.Create(name))]);
        }
        return schema;
    }

    public static byte[] Write<T>(T answer) => JsonSerializer.SerializeToUtf8Bytes(answer, Options);

    /// <exception cref="JsonException">
    /// Not JSON or too deep; or a member has the wrong type or stands there twice, then its path is told.
    /// </exception>
    public static T? Read<T>(ReadOnlySpan<byte> body)
    {
        // Looked through first, so that a broken text is not blamed on the member before the break.
        var reader = new Utf8JsonReader(body);
        while (reader.Read())
        {
        }
        return JsonSerializer.Deserialize<T>(body, Options);
    }

    /// <summary>The text of an enum value.</summary>
    public static string Text<T>(T value)
        where T : struct, Enum => JsonNamingPolicy.SnakeCaseLower.ConvertName(value.ToString());

    /// <summary>The enum value of a text, however it is cased.</summary>
    public static bool TryParse<T>(string text, out T value)
        where T : struct, Enum
    {
        foreach (var candidate in Enum.GetValues<T>())
        {
            if (string.Equals(Text(candidate), text, StringComparison.OrdinalIgnoreCase))
            {
                value = candidate;
                return true;
            }
        }
        value = default;
        return false;
    }

    /// <summary>UTC with milliseconds; "never" is the Unix epoch without a fraction.</summary>
    private sealed class Timestamps : JsonConverter<DateTimeOffset>
    {
        public override DateTimeOffset Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
            reader.GetDateTimeOffset();

        public override void Write(Utf8JsonWriter writer, DateTimeOffset value, JsonSerializerOptions options) =>
            writer.WriteStringValue(value == DateTimeOffset.UnixEpoch
                ? "1970-01-01T00:00:00Z"
                : value.ToUniversalTime().ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture));
    }

    /// <summary>A sample of the original's documentation writes <c>"true"</c>.</summary>
    private sealed class Booleans : JsonConverter<bool>
    {
        public override bool Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => reader.TokenType switch
        {
            JsonTokenType.True => true,
            JsonTokenType.False => false,
            JsonTokenType.String when bool.TryParse(reader.GetString(), out var value) => value,
            _ => throw new JsonException(),
        };

        public override void Write(Utf8JsonWriter writer, bool value, JsonSerializerOptions options) => writer.WriteBooleanValue(value);
    }
}
