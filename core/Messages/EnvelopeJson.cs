using System.Text.Json;
using System.Text.Json.Serialization;

namespace IotHub.Core.Messages;

/// <summary>The JSON of envelopes: snake_case, compact, unknown members ignored, newer versions refused.</summary>
public static class EnvelopeJson
{
    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    public static byte[] Write<T>(T envelope) => JsonSerializer.SerializeToUtf8Bytes(envelope, Options);

    /// <exception cref="FormatException">Not JSON, a required member is missing, or a newer writer made it.</exception>
    public static T Read<T>(ReadOnlySpan<byte> json)
    {
        try
        {
            var envelope = JsonSerializer.Deserialize<T>(json, Options) ?? throw new FormatException("the envelope is null");
            var (version, known) = envelope switch
            {
                DeliveryEnvelope e => (e.Version, DeliveryEnvelope.CurrentVersion),
                EventsEnvelope e => (e.Version, EventsEnvelope.CurrentVersion),
                IngressEnvelope e => (e.Version, IngressEnvelope.CurrentVersion),
                TwinPushEnvelope e => (e.Version, TwinPushEnvelope.CurrentVersion),
                MetricsEnvelope e => (e.Version, MetricsEnvelope.CurrentVersion),
                _ => (1, 1),
            };
            return version >= 1 && version <= known
                ? envelope
                : throw new FormatException($"{typeof(T).Name} has version {version}, this program knows up to {known}");
        }
        catch (JsonException e)
        {
            throw new FormatException($"not a {typeof(T).Name}: {e.Message}", e);
        }
    }
}
