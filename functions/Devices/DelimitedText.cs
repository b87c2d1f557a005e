using System.Text;

namespace IotHub.Functions.Devices;

/// <summary>CSV as RFC 4180 has it: commas, quotes around what holds commas, quotes or line ends, quotes doubled inside.</summary>
internal static class DelimitedText
{
    /// <summary>The fields of one record, which comes without its line end.</summary>
    /// <exception cref="FormatException">A quote is not closed, or stands where none may.</exception>
    public static IReadOnlyList<string> Fields(string record)
    {
        var (fields, at) = (new List<string>(), 0);
        while (true)
        {
            fields.Add(Field(record, ref at));
            if (at >= record.Length)
            {
                return fields;
            }
            at++;
        }
    }

    public static void Append(StringBuilder line, IEnumerable<string> fields)
    {
        var isFirst = true;
        foreach (var field in fields)
        {
            line.Append(isFirst ? "" : ",");
            isFirst = false;
            if (field.AsSpan().IndexOfAny("\",\r\n") < 0)
            {
                line.Append(field);
            }
            else
            {
                line.Append('"').Append(field.Replace("\"", "\"\"", StringComparison.Ordinal)).Append('"');
            }
        }
        line.Append("\r\n");
    }

    /// <summary>Goes on to the comma behind the field, or to the end.</summary>
    private static string Field(string record, ref int at)
    {
        if (at >= record.Length || record[at] != '"')
        {
            var length = record.AsSpan(at).IndexOf(',');
            var plain = length < 0 ? record[at..] : record.Substring(at, length);
            at += plain.Length;
            return plain.Contains('"', StringComparison.Ordinal)
                ? throw new FormatException("a quote stands inside of a field that does not begin with one")
                : plain;
        }
        var field = new StringBuilder();
        at++;
        while (true)
        {
            var quote = record.IndexOf('"', at);
            if (quote < 0)
            {
                throw new FormatException("a quote is not closed");
            }
            field.Append(record, at, quote - at);
            at = quote + 1;
            if (at >= record.Length || record[at] != '"')
            {
                break;
            }
            field.Append('"');
            at++;
        }
        return at >= record.Length || record[at] == ','
            ? field.ToString()
            : throw new FormatException("text stands behind a closed quote");
    }
}
