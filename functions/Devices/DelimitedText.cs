using System.Text;

namespace IotHub.Functions.Devices;

/// <summary>One record of a CSV text, with the line that it begins in.</summary>
internal sealed record DelimitedRecord(int Line, IReadOnlyList<string> Fields);

/// <summary>CSV as RFC 4180 has it: commas, quotes around what holds commas, quotes or line ends, quotes doubled inside.</summary>
internal static class DelimitedText
{
    /// <exception cref="FormatException">A quote is not closed, or stands where none may.</exception>
    public static IEnumerable<DelimitedRecord> Read(string text)
    {
        var (at, line) = (0, 1);
        while (at < text.Length)
        {
            var (fields, begin) = (new List<string>(), line);
            while (true)
            {
                fields.Add(Field(text, ref at, ref line));
                if (at >= text.Length || text[at] != ',')
                {
                    break;
                }
                at++;
            }
            at += text.AsSpan(at).StartsWith("\r\n") ? 2 : at < text.Length ? 1 : 0;
            line++;
            if (fields is not [""])
            {
                yield return new DelimitedRecord(begin, fields);
            }
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

    private static string Field(string text, ref int at, ref int line)
    {
        if (at >= text.Length || text[at] != '"')
        {
            var length = text.AsSpan(at).IndexOfAny(",\r\n");
            var plain = length < 0 ? text[at..] : text.Substring(at, length);
            at += plain.Length;
            return plain.Contains('"', StringComparison.Ordinal)
                ? throw new FormatException($"line {line}: a quote inside of a field that does not begin with one")
                : plain;
        }
        var (field, begin) = (new StringBuilder(), line);
        at++;
        while (true)
        {
            var quote = text.IndexOf('"', at);
            if (quote < 0)
            {
                throw new FormatException($"line {begin}: a quote is not closed");
            }
            line += text.AsSpan(at, quote - at).Count('\n');
            field.Append(text, at, quote - at);
            at = quote + 1;
            if (at >= text.Length || text[at] != '"')
            {
                break;
            }
            field.Append('"');
            at++;
        }
        return at >= text.Length || text[at] is ',' or '\r' or '\n'
            ? field.ToString()
            : throw new FormatException($"line {line}: text behind a closed quote");
    }
}
