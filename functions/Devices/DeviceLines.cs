using System.Globalization;
using System.Text;
using IotHub.Functions.Api;

namespace IotHub.Functions.Devices;

/// <summary>How many devices stand in one text; the first one stands for none of them.</summary>
internal enum BulkFormat { Unknown, Csv, Jsonl }

/// <summary>Devices as lines of text: how an export writes them, and what an import knows of them.</summary>
internal static class DeviceLines
{
    public const char TagSeparator = ';';

    private static readonly string[] Columns =
    [
        "id", "name", "description", "status", "allow_insecure", "allow_multiple_connections", "message_filters", "tags",
        "has_custom_certificate", "is_connected", "last_activity_at", "created_at", "updated_at",
    ];

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

    private static string Text(bool flag) => flag ? "true" : "false";

    private static string Text(DateTimeOffset moment) =>
        moment.ToUniversalTime().ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture);
}
