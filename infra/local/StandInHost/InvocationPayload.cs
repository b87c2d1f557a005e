using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Azure.Storage.Queues.Models;

namespace IotHub.Local.StandInHost;

/// <summary>Writes the bodies that the host posts to the handler: <c>{"Data":{…},"Metadata":{…}}</c>.</summary>
public static partial class InvocationPayload
{
    private const string HiddenEnding = "trigger";

    private static readonly JsonSerializerOptions Compact =
        new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <param name="body">The message after decoding.</param>
    public static string ForQueue(string function, QueueTrigger trigger, QueueMessage message, byte[] body, DateTimeOffset now)
    {
        var metadata = new OrderedDictionary<string, string>(StringComparer.OrdinalIgnoreCase)
        {
            ["DequeueCount"] = HostJson.Number(message.DequeueCount),
        };
        if (message.ExpiresOn is { } expires)
        {
            metadata["ExpirationTime"] = HostJson.Date(expires);
        }
        metadata["Id"] = HostJson.Text(message.MessageId);
        if (message.InsertedOn is { } inserted)
        {
            metadata["InsertionTime"] = HostJson.Date(inserted);
        }
        if (message.NextVisibleOn is { } next)
        {
            metadata["NextVisibleTime"] = HostJson.Date(next);
        }
        metadata["PopReceipt"] = HostJson.Text(message.PopReceipt);

        string data;
        if (trigger.Binary)
        {
            data = HostJson.String(Convert.ToBase64String(body));
        }
        else
        {
            var text = Encoding.UTF8.GetString(body);
            data = HostJson.Text(text);
            AddProperties(metadata, text);
        }
        return Body(function, trigger.BindingName, data, metadata, now);
    }

    public static string ForTimer(string function, TimerTrigger trigger, TimerStatus? status, bool isPastDue, DateTimeOffset now)
    {
        var schedule = $$"""{"AdjustForDST":{{Bool(trigger.Schedule.AdjustsForDaylightSaving)}}}""";
        var data = $$"""{"Schedule":{{schedule}},"ScheduleStatus":{{Json(status)}},"IsPastDue":{{Bool(isPastDue)}}}""";
        return Body(function, trigger.BindingName, data, new OrderedDictionary<string, string>(StringComparer.OrdinalIgnoreCase), now);
    }

    private static string Json(TimerStatus? status)
    {
        if (status is null)
        {
            return "null";
        }
        var last = HostJson.PreciseDate(status.Last);
        var next = HostJson.PreciseDate(status.Next);
        return $$"""{"Last":{{last}},"Next":{{next}},"LastUpdated":{{HostJson.PreciseDate(status.LastUpdated)}}}""";
    }

    private static string Bool(bool value) => value ? "true" : "false";

    private static string Body(
        string function, string binding, string data, OrderedDictionary<string, string> metadata, DateTimeOffset now)
    {
        metadata["sys"] =
            $"{{\"MethodName\":{HostJson.String(function)}," +
            $"\"UtcNow\":\"{now.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.FFFFFFFZ", CultureInfo.InvariantCulture)}\"," +
            $"\"RandGuid\":\"{Guid.NewGuid()}\"}}";
        var shown = metadata
            .Where(m => !m.Key.EndsWith(HiddenEnding, StringComparison.OrdinalIgnoreCase))
            .Select(m => $"{HostJson.String(m.Key)}:{m.Value}");
        return $"{{\"Data\":{{{HostJson.String(binding)}:{data}}},\"Metadata\":{{{string.Join(',', shown)}}}}}";
    }

    /// <summary>
    /// The properties of a message that is a JSON object go into the metadata, replacing built-in ones of the same name in any case.
    /// That is what the host does, and why the handler must not trust the metadata.
    /// </summary>
    private static void AddProperties(OrderedDictionary<string, string> metadata, string text)
    {
        var trimmed = text.AsSpan().Trim();
        if (trimmed is not ['{', .., '}'])
        {
            return;
        }
        try
        {
            using var json = JsonDocument.Parse(text);
            foreach (var property in json.RootElement.EnumerateObject())
            {
                if (Value(property.Value) is { } value)
                {
                    metadata[property.Name] = value;
                }
            }
        }
        catch (JsonException)
        {
            // Looks like an object, is none: then it has no properties.
        }
    }

    private static string? Value(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => JsonSerializer.Serialize(value, Compact),
        JsonValueKind.String => HostJson.Text(StringText(value.GetString()!)),
        JsonValueKind.Number => HostJson.Text(NumberText(value)),
        JsonValueKind.True => HostJson.Text("True"),
        JsonValueKind.False => HostJson.Text("False"),
        _ => null,
    };

    /// <summary>The host reads what looks like an ISO date as a date and writes it in the invariant culture's way.</summary>
    private static string StringText(string text) =>
        IsoDate().IsMatch(text) && DateTime.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.RoundtripKind, out var date)
            ? date.ToString(CultureInfo.InvariantCulture)
            : text;

    private static string NumberText(JsonElement number) => number.TryGetInt64(out var whole)
        ? whole.ToString(CultureInfo.InvariantCulture)
        : number.GetDouble().ToString(CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,7})?(Z|[+-]\d{2}:\d{2})?$")]
    private static partial Regex IsoDate();
}
