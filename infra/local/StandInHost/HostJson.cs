using System.Globalization;
using System.Text;

namespace IotHub.Local.StandInHost;

/// <summary>
/// JSON text as the host's serializer writes it: only quotes, backslashes, control characters and the three odd line ends are escaped,
/// and a string that goes into <c>Data</c> or <c>Metadata</c> is a JSON string inside a JSON string.
/// </summary>
public static class HostJson
{
    public static string String(string text)
    {
        var json = new StringBuilder(text.Length + 2).Append('"');
        foreach (var c in text)
        {
            _ = c switch
            {
                '"' => json.Append("\\\""),
                '\\' => json.Append("\\\\"),
                '\b' => json.Append("\\b"),
                '\t' => json.Append("\\t"),
                '\n' => json.Append("\\n"),
                '\f' => json.Append("\\f"),
                '\r' => json.Append("\\r"),
                < ' ' or '\u0085' or '\u2028' or '\u2029' => json.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}"),
                _ => json.Append(c),
            };
        }
        return json.Append('"').ToString();
    }

    /// <summary>A string, encoded twice.</summary>
    public static string Text(string text) => String(String(text));

    /// <summary>A number, as the string of its JSON text.</summary>
    public static string Number(long number) => String(number.ToString(CultureInfo.InvariantCulture));

    /// <summary>A date with offset, whole seconds.</summary>
    public static string Date(DateTimeOffset date) => String(date.ToString("yyyy-MM-ddTHH:mm:sszzz", CultureInfo.InvariantCulture));

    /// <summary>A date inside an object: as many fraction digits as it needs.</summary>
    public static string PreciseDate(DateTimeOffset date) =>
        String(date.ToString("yyyy-MM-ddTHH:mm:ss.FFFFFFFzzz", CultureInfo.InvariantCulture));
}
