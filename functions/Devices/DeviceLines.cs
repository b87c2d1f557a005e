using System.Globalization;
using System.Text;
using System.Text.Json;
using IotHub.Core;
using IotHub.Functions.Api;

namespace IotHub.Functions.Devices;

/// <summary>How many devices stand in one text; the first one stands for none of them.</summary>
internal enum BulkFormat { Unknown, Csv, Jsonl }

/// <summary>A device of an import, or what is wrong with its line.</summary>
internal sealed record DeviceLine(int Number, CreateDeviceRequest? Device, Problem? Problem = null);

/// <summary>Devices as lines of text: read for an import, written for an export. Unknown columns and members are passed over.</summary>
internal static class DeviceLines
{
    private const char TagSeparator = ';';

    private static readonly string[] Columns =
    [
        "id", "name", "description", "status", "allow_insecure", "allow_multiple_connections", "message_filters", "tags",
        "has_custom_certificate", "is_connected", "last_activity_at", "created_at", "updated_at",
    ];

    /// <summary>One JSON object on each line, with the members that a device is created with.</summary>
    public static IEnumerable<DeviceLine> OfJson(ReadOnlyMemory<byte> text)
    {
        var number = 0;
        while (!text.IsEmpty)
        {
            number++;
            var end = text.Span.IndexOf((byte)'\n');
            var line = end < 0 ? text : text[..end];
            text = end < 0 ? default : text[(end + 1)..];
            if (!line.Span.TrimStart(" \t\r"u8).IsEmpty)
            {
                yield return Parsed(number, line.Span);
            }
        }
    }

    /// <summary>The first record names the columns; <c>message_filters</c> holds JSON, <c>tags</c> are separated by semicolons.</summary>
    public static Outcome<IReadOnlyList<DeviceLine>> OfCsv(ReadOnlySpan<byte> text)
    {
        List<DelimitedRecord> records;
        try
        {
            records = [.. DelimitedText.Read(new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(text))];
        }
        catch (Exception e) when (e is FormatException or DecoderFallbackException)
        {
            return new Problem.InvalidArguments("body", "format", $"must be CSV in UTF-8: {e.Message}");
        }
        if (records.Count == 0 || !records[0].Fields.Contains("name", StringComparer.Ordinal))
        {
            return new Problem.InvalidArguments("body", "format", "must begin with the names of its columns, one of them name");
        }
        var columns = records[0].Fields;
        return records.Skip(1).Select(record => OfRecord(columns, record)).ToList();
    }

    public static byte[] Header()
    {
        var line = new StringBuilder();
        DelimitedText.Append(line, Columns);
        return Encoding.UTF8.GetBytes(line.ToString());
    }

    public static byte[] Csv(DeviceAnswer device)
    {
        var line = new StringBuilder();
        DelimitedText.Append(
            line,
            [
                device.Id.ToString(), device.Name, device.Description, ApiJson.Text(device.Status), Text(device.AllowInsecure),
                Text(device.AllowMultipleConnections), Encoding.UTF8.GetString(ApiJson.Write(device.MessageFilters)),
                string.Join(TagSeparator, device.Tags ?? []), Text(device.HasCustomCertificate), Text(device.IsConnected),
                Text(device.LastActivityAt), Text(device.CreatedAt), Text(device.UpdatedAt),
            ]);
        return Encoding.UTF8.GetBytes(line.ToString());
    }

    private static DeviceLine OfRecord(IReadOnlyList<string> columns, DelimitedRecord record)
    {
        var checks = new Checks("");
        string? Field(string name) =>
            columns.ToList().IndexOf(name) is >= 0 and var i && i < record.Fields.Count && record.Fields[i].Length > 0
                ? record.Fields[i]
                : null;
        bool? Flag(string name)
        {
            if (Field(name) is not { } text)
            {
                return null;
            }
            checks.Require(bool.TryParse(text, out var flag), name, "must be true or false");
            return flag;
        }

        var device = new CreateDeviceRequest
        {
            Name = Field("name"),
            Description = Field("description"),
            AllowInsecure = Flag("allow_insecure"),
            AllowMultipleConnections = Flag("allow_multiple_connections"),
            MessageFilters = Filters(Field("message_filters"), checks),
            Tags = Field("tags")?.Split(TagSeparator, StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries),
        };
        return new DeviceLine(record.Line, device, checks.Problem);
    }

    private static FiltersRequest? Filters(string? json, Checks checks)
    {
        try
        {
            return json is null ? null : ApiJson.Read<FiltersRequest>(Encoding.UTF8.GetBytes(json));
        }
        catch (JsonException)
        {
            checks.Wrong("message_filters", "format", "must be a JSON object with publish and subscribe");
            return null;
        }
    }

    private static DeviceLine Parsed(int number, ReadOnlySpan<byte> line)
    {
        try
        {
            return new DeviceLine(number, ApiJson.Read<CreateDeviceRequest>(line) ?? new CreateDeviceRequest());
        }
        catch (JsonException e)
        {
            return new DeviceLine(number, null, ApiRequest.ProblemOf(e));
        }
    }

    private static string Text(bool flag) => flag ? "true" : "false";

    private static string Text(DateTimeOffset moment) =>
        moment.ToUniversalTime().ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture);
}
