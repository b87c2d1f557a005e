using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace IotHub.Core.Messages;

/// <summary>A time as hub events show it: <c>2020-01-17T15:01:29Z</c>. Any RFC 3339 time is read.</summary>
public sealed class Rfc3339Seconds : JsonConverter<DateTimeOffset>
{
    private const string Format = "yyyy-MM-dd'T'HH:mm:ss'Z'";

    public override DateTimeOffset Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.GetDateTimeOffset();

    public override void Write(Utf8JsonWriter writer, DateTimeOffset value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value.UtcDateTime.ToString(Format, CultureInfo.InvariantCulture));
}
