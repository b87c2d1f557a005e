using System.Text.Json;
using System.Text.Json.Nodes;
using IotHub.Core.Domain;

namespace IotHub.Core.Messages;

/// <summary>
/// Which values of a document are pushed as time series, as the twin's <c>_config</c> says (Scaleway IoT reference, the _config document):
/// under <c>documents.{name}</c> a tree that mirrors the document, keys with <c>_</c> being settings for their level and all below.
/// </summary>
public static class TwinSeries
{
    private const string Trigger = "_tsdb_trigger";
    private const string Tags = "_tags";
    private const string OnUpdate = "on-update";
    private const string OnChange = "on-change";

    /// <summary>Series of one write; what a document has beyond it is not pushed.</summary>
    private const int MaximumValues = 10_000;

    private static readonly Settings None = new(null, new Dictionary<string, string>());

    /// <param name="before">The data before the write.</param>
    /// <param name="updated">What the write named: the patch, or all of the document.</param>
    public static IReadOnlyList<TwinValue> Of(JsonObject config, TwinDocument document, JsonObject before, JsonObject updated)
    {
        var values = new List<TwinValue>();
        if (config["documents"] is JsonObject documents)
        {
            // Settings above the document count for it as well.
            var outer = None.Under(config).Under(documents);
            var tree = documents[document.Name] as JsonObject;
            Walk(document.Data, before, updated, tree, tree is null ? outer : outer.Under(tree), "", values);
        }
        return values;
    }

    /// <summary>The values in envelopes of at most so many bytes.</summary>
    public static IEnumerable<TwinPushEnvelope> Envelopes(
        Guid hubId, TwinDocument document, IReadOnlyList<TwinValue> values, DateTimeOffset now, int maximumBytes)
    {
        const int Overhead = 1_024;
        const int Margin = 64;
        var batch = new List<TwinValue>();
        var size = Overhead;
        foreach (var value in values)
        {
            var bytes = JsonSerializer.SerializeToUtf8Bytes(value).Length + Margin;
            if (bytes > maximumBytes - Overhead)
            {
                // Tags or a path of tens of kilobytes: no series database would take it either.
                continue;
            }
            if (size + bytes > maximumBytes)
            {
                yield return Envelope(batch);
                (batch, size) = ([], Overhead);
            }
            batch.Add(value);
            size += bytes;
        }
        if (batch.Count > 0)
        {
            yield return Envelope(batch);
        }

        TwinPushEnvelope Envelope(IReadOnlyList<TwinValue> some) => new()
        {
            HubId = hubId,
            TwinId = document.TwinId,
            DocumentName = document.Name,
            At = now,
            Values = some,
        };
    }

    private static void Walk(
        JsonNode? now, JsonNode? before, JsonNode? updated, JsonObject? config, Settings settings, string path, List<TwinValue> values)
    {
        switch (now)
        {
            case JsonObject members:
                foreach (var (key, value) in members)
                {
                    var below = config?[key] as JsonObject;
                    Walk(
                        value, (before as JsonObject)?[key], (updated as JsonObject)?[key], below,
                        below is null ? settings : settings.Under(below), path.Length == 0 ? key : $"{path}.{key}", values);
                }
                break;
            case JsonArray items:
                for (var i = 0; i < items.Count; i++)
                {
                    // Arrays are replaced as a whole: each value in one that was written counts as written.
                    var old = before is JsonArray was && i < was.Count ? was[i] : null;
                    var given = updated is JsonArray written && i < written.Count ? written[i] : null;
                    Walk(items[i], old, given, null, settings, $"{path}.{i}", values);
                }
                break;
            case JsonValue leaf when NumberOf(leaf) is { } number && values.Count < MaximumValues:
                if (settings.Trigger == OnUpdate ? updated is not null : settings.Trigger == OnChange && !JsonNode.DeepEquals(now, before))
                {
                    values.Add(new TwinValue(path, number, settings.Tags));
                }
                break;
            default:
                break;
        }
    }

    private static double? NumberOf(JsonValue leaf) => leaf.GetValueKind() switch
    {
        JsonValueKind.True => 1,
        JsonValueKind.False => 0,
        JsonValueKind.Number when leaf.Deserialize<double>() is var number && double.IsFinite(number) => number,
        _ => null,
    };

    private sealed record Settings(string? Trigger, IReadOnlyDictionary<string, string> Tags)
    {
        /// <summary>With what a level sets: a value replaces, null removes.</summary>
        public Settings Under(JsonObject level)
        {
            var trigger = level.ContainsKey(TwinSeries.Trigger) ? TextOf(level[TwinSeries.Trigger]) : Trigger;
            if (!level.TryGetPropertyValue(TwinSeries.Tags, out var tags))
            {
                return this with { Trigger = trigger };
            }
            var own = new Dictionary<string, string>();
            foreach (var (name, value) in tags as JsonObject ?? [])
            {
                if (TextOf(value) is { } text)
                {
                    own[name] = text;
                }
            }
            return new Settings(trigger, own);
        }

        private static string? TextOf(JsonNode? node) => node switch
        {
            JsonValue value when value.GetValueKind() == JsonValueKind.String => value.GetValue<string>(),
            JsonValue value => value.ToJsonString(),
            _ => null,
        };
    }
}
