using System.Text.Encodings.Web;
using System.Text.Json;
using IotHub.Core.Domain;

namespace IotHub.Core.Messages;

/// <summary>Where a hub event is published. Official descriptions disagree about the order of the levels, so it is a setting.</summary>
public static class EventTopics
{
    // Texts quote names and queries: as \u0027 nobody could read them.
    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <param name="prefix">The hub's <c>events_topic_prefix</c>.</param>
    /// <param name="severityFirst"><c>prefix/severity/source/id</c> instead of <c>prefix/source/id/severity</c>.</param>
    public static string Of(string prefix, bool severityFirst, EventSource source, string id, EventSeverity severity) => severityFirst
        ? $"{prefix}/{Name(severity)}/{Name(source)}/{id}"
        : $"{prefix}/{Name(source)}/{id}/{Name(severity)}";

    public static string Name(EventSeverity severity) => severity.ToString().ToLowerInvariant();

    public static string Name(EventSource source) => source.ToString().ToLowerInvariant();

    /// <summary>The event's JSON, as published.</summary>
    public static byte[] Payload(HubEvent happened) => JsonSerializer.SerializeToUtf8Bytes(happened, Readable);
}
