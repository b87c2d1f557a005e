using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Unicode;

namespace IotHub.Core.Domain;

/// <summary>One versioned JSON document of a device's twin.</summary>
/// <param name="Version">1 after the first write, one more with each.</param>
/// <param name="Data">Not to be changed: a new state is a new object.</param>
public sealed record TwinDocument(Guid TwinId, string Name, uint Version, JsonObject Data);

/// <summary>What a document may be called and hold (Scaleway IoT reference, cloud twins).</summary>
public static class TwinRules
{
    /// <summary>The document whose data drives extra features.</summary>
    public const string ConfigName = "_config";

    /// <summary>Of the data as compact JSON in UTF-8.</summary>
    public const int MaximumBytes = 1024 * 1024;

    /// <summary>Objects and arrays inside each other.</summary>
    public const int MaximumDepth = 32;

    public const int MaximumNameLength = 255;
    public const int MaximumDocuments = 100;

    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false, MaxDepth = MaximumDepth + 4 };
    private static readonly JsonSerializerOptions Readable = new()
    {
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        MaxDepth = MaximumDepth + 4,
    };

    /// <summary>What <see cref="IsValidName"/> demands, for whoever broke it.</summary>
    public static readonly string NameHelp = $"must have 1 to {MaximumNameLength} characters of [-_.~0-9a-zA-Z]";

    public static bool IsValidName(string name) => name.Length is > 0 and <= MaximumNameLength
        && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '~');

    /// <summary>Names that start with <c>_</c> are kept for documents that mean something to the hub.</summary>
    public static bool IsReservedName(string name) => name.StartsWith('_') && name != ConfigName;

    /// <summary>A request's JSON: one object, no member twice, all of it Unicode.</summary>
    /// <exception cref="JsonException">It is not; the message says where.</exception>
    public static JsonObject Parse(ReadOnlySpan<byte> utf8)
    {
        CheckText(utf8);
        return JsonNode.Parse(utf8, null, Strict) as JsonObject ?? throw new JsonException("must be a JSON object");
    }

    public static byte[] Write(JsonObject data) => JsonSerializer.SerializeToUtf8Bytes<JsonNode>(data, Readable);

    /// <summary>What is wrong with data to be written, or null.</summary>
    public static string? Problem(string documentName, JsonObject data) => Problem(data, 1, documentName == ConfigName);

    /// <summary>
    /// Merges a patch into data: members that are absent stay, null removes, objects go on inside, all else replaces. (RFC 7396) Merging
    /// into an empty object leaves what may be stored: no null anywhere.
    /// </summary>
    public static JsonObject Merge(JsonObject data, JsonObject patch)
    {
        var merged = (JsonObject)data.DeepClone();
        foreach (var (name, value) in patch)
        {
            if (value is null)
            {
                merged.Remove(name);
            }
            else
            {
                merged[name] = value is JsonObject inner ? Merge(merged[name] as JsonObject ?? [], inner) : value.DeepClone();
            }
        }
        return merged;
    }

    /// <summary>
    /// A parsed document reads its texts when they are asked for, and then fails in other ways or puts U+FFFD in their place. So what is no
    /// Unicode is found here.
    /// </summary>
    private static void CheckText(ReadOnlySpan<byte> utf8)
    {
        if (!Utf8.IsValid(utf8))
        {
            throw new JsonException("is not UTF-8");
        }
        var reader = new Utf8JsonReader(utf8, new JsonReaderOptions { MaxDepth = Strict.MaxDepth });
        while (reader.Read())
        {
            if (!reader.ValueIsEscaped)
            {
                continue;
            }
            try
            {
                reader.GetString();
            }
            catch (InvalidOperationException e)
            {
                throw new JsonException($"half of a surrogate pair stands alone, at byte {reader.TokenStartIndex}", e);
            }
        }
    }

    private static string? Problem(JsonNode node, int depth, bool mayReserve)
    {
        if (depth > MaximumDepth)
        {
            return $"must not have more than {MaximumDepth} objects and arrays inside each other";
        }
        if (node is JsonArray array)
        {
            return array.Contains(null)
                ? "must not have null inside an array"
                : array.Select(item => item is JsonObject or JsonArray ? Problem(item, depth + 1, mayReserve) : null)
                    .FirstOrDefault(problem => problem is not null);
        }
        foreach (var (name, value) in (JsonObject)node)
        {
            if (!mayReserve && name.StartsWith('_'))
            {
                return "must not have keys that start with _: they are reserved";
            }
            if (value is JsonObject or JsonArray && Problem(value, depth + 1, mayReserve) is { } inside)
            {
                return inside;
            }
        }
        return null;
    }
}
