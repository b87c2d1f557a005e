using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using IotHub.Core;
using IotHub.Functions.Api;

namespace IotHub.Functions.Devices;

/// <summary>What a line of an import may say of a device: what creates one, and its certificate.</summary>
internal sealed record ImportedDevice : CreateDeviceRequest
{
    /// <summary>A certificate of the customer's own, in PEM, as <c>PUT …/certificate</c> takes it.</summary>
    public string? Certificate { get; init; }
}

/// <summary>A device of an import, or what is wrong with its line.</summary>
/// <param name="IsLost">What comes behind it cannot be read.</param>
internal sealed record DeviceLine(int Number, ImportedDevice? Device, Problem? Problem = null, bool IsLost = false);

/// <summary>
/// The devices of an import, one after the other while its text comes in. JSON has an object on each line; CSV names its columns in the
/// first record, <c>message_filters</c> holds JSON, <c>tags</c> are separated by semicolons. Unknown columns and members are passed over.
/// </summary>
internal sealed class ImportedText(Stream text, BulkFormat format)
{
    /// <summary>As long as the body of a call that creates one device.</summary>
    public const int MaximumLineBytes = ApiRequest.MaximumBodyBytes;

    private static readonly UTF8Encoding Utf8Text = new(false, throwOnInvalidBytes: true);
    private readonly TextRecords _records = new(text, format == BulkFormat.Csv, MaximumLineBytes);
    private readonly Dictionary<string, int> _columns = new(StringComparer.Ordinal);
    private int _columnCount;

    /// <summary>Reads what stands before the devices.</summary>
    /// <exception cref="IOException">The text does not come to its end.</exception>
    public async Task<Problem?> Begin(CancellationToken cancel)
    {
        if (format != BulkFormat.Csv)
        {
            return null;
        }
        if (await _records.Next(cancel) is not { Fault: RecordFault.None } heading || Fields(heading, out _) is not { } names)
        {
            return NoHeading();
        }
        _columnCount = names.Count;
        for (var i = 0; i < names.Count; i++)
        {
            if (names[i].Length > 0 && !_columns.TryAdd(names[i], i))
            {
                return NoHeading();
            }
        }
        return _columns.ContainsKey("name") ? null : NoHeading();
    }

    /// <summary>The next device, or null behind the last one.</summary>
    /// <exception cref="IOException">The text does not come to its end.</exception>
    public async ValueTask<DeviceLine?> Next(CancellationToken cancel)
    {
        if (await _records.Next(cancel) is not { } record)
        {
            return null;
        }
        return record.Fault switch
        {
            RecordFault.TooLong => Wrong(record, "constraint", $"must have at most {MaximumLineBytes} bytes"),
            RecordFault.QuoteOpen => Lost(record),
            _ => format == BulkFormat.Csv ? OfCsv(record) : OfJson(record),
        };
    }

    /// <summary>Reads on to the end, so that a client that sends all before it reads gets its answer.</summary>
    public Task Drain(CancellationToken cancel) => _records.Drain(cancel);

    private static DeviceLine OfJson(TextRecord record)
    {
        if (!Utf8.IsValid(record.Bytes.Span))
        {
            return Wrong(record, "format", "must be UTF-8");
        }
        try
        {
            return new DeviceLine(record.Line, ApiJson.Read<ImportedDevice>(record.Bytes.Span) ?? new ImportedDevice());
        }
        catch (JsonException e)
        {
            return new DeviceLine(record.Line, null, ApiRequest.ProblemOf(e));
        }
    }

    private DeviceLine OfCsv(TextRecord record)
    {
        if (Fields(record, out var reason) is not { } fields)
        {
            return Wrong(record, "format", reason);
        }
        if (fields.Count != _columnCount)
        {
            return Wrong(record, "format", $"must have {_columnCount} fields, as the first line has");
        }
        var checks = new Checks("");
        string? Field(string name) => _columns.TryGetValue(name, out var i) && fields[i].Length > 0 ? fields[i] : null;
        bool? Flag(string name)
        {
            if (Field(name) is not { } text)
            {
                return null;
            }
            checks.Require(bool.TryParse(text, out var flag), name, "must be true or false");
            return flag;
        }

        var device = new ImportedDevice
        {
            Name = Field("name"),
            Description = Field("description"),
            AllowInsecure = Flag("allow_insecure"),
            AllowMultipleConnections = Flag("allow_multiple_connections"),
            MessageFilters = Filters(Field("message_filters"), checks),
            Tags = Field("tags")?.Split(
                DeviceLines.TagSeparator, StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries),
            Certificate = Field("certificate"),
        };
        return new DeviceLine(record.Line, device, checks.Problem);
    }

    private static IReadOnlyList<string>? Fields(TextRecord record, out string reason)
    {
        reason = "";
        try
        {
            return DelimitedText.Fields(Utf8Text.GetString(record.Bytes.Span));
        }
        catch (DecoderFallbackException)
        {
            reason = "must be UTF-8";
        }
        catch (FormatException e)
        {
            reason = e.Message;
        }
        return null;
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

    private static Problem.InvalidArguments NoHeading() =>
        new("body", "format", "must be CSV in UTF-8 that begins with the names of its columns, each once, one of them name");

    private static DeviceLine Lost(TextRecord record) =>
        Wrong(record, "format", $"a quote is not closed within {MaximumLineBytes} bytes: what comes behind it cannot be read") with { IsLost = true };

    private static DeviceLine Wrong(TextRecord record, string reason, string help) =>
        new(record.Line, null, new Problem.InvalidArguments("line", reason, help));
}
