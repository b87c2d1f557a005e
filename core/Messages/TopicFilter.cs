namespace IotHub.Core.Messages;

/// <summary>
/// MQTT topic names and filters as text (MQTT 5.0 section 4.7): what is valid, what matches, what contains what. The broker's hot path
/// has its own tree over bytes; this is for rules, routes and checks, and the judge that the tree is tested against.
/// </summary>
public static class TopicFilter
{
    /// <summary>Longest topic or filter in UTF-8 bytes (MQTT 5.0 section 4.7.3).</summary>
    public const int MaximumBytes = 65_535;

    /// <summary>A name to publish on: 1 to 65,535 UTF-8 bytes, no wildcard, no U+0000. [MQTT-4.7.1-1] [MQTT-4.7.3-1] [MQTT-4.7.3-2]</summary>
    public static bool IsValidName(string topic) =>
        topic.Length > 0 && topic.AsSpan().IndexOfAny('+', '#', '\0') < 0 && FitsUtf8(topic);

    /// <summary>A filter: <c>#</c> only as the last level, <c>+</c> only as a whole level. [MQTT-4.7.1-1] [MQTT-4.7.1-2]</summary>
    public static bool IsValidFilter(string filter)
    {
        if (filter.Length == 0 || filter.Contains('\0', StringComparison.Ordinal) || !FitsUtf8(filter))
        {
            return false;
        }
        foreach (var range in filter.AsSpan().Split('/'))
        {
            var level = filter.AsSpan()[range];
            if (level is "#" ? range.End.Value != filter.Length : level is not "+" && level.IndexOfAny('+', '#') >= 0)
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>Does the filter match the name? Both must be valid. <c>$</c> topics need a filter that starts so. [MQTT-4.7.2-1]</summary>
    public static bool Matches(string filter, string topic)
    {
        if (topic.StartsWith('$') && (filter.StartsWith('#') || filter.StartsWith('+')))
        {
            return false;
        }
        var f = filter.Split('/');
        var t = topic.Split('/');
        for (var i = 0; i < f.Length; i++)
        {
            if (f[i] == "#")
            {
                return true;
            }
            if (i >= t.Length || (f[i] != "+" && f[i] != t[i]))
            {
                return false;
            }
        }
        return f.Length == t.Length;
    }

    /// <summary>Is every topic that <paramref name="inner"/> can match also matched by <paramref name="outer"/>?</summary>
    public static bool Contains(string outer, string inner)
    {
        if (inner.StartsWith('$') && (outer.StartsWith('#') || outer.StartsWith('+')))
        {
            return false;
        }
        var o = outer.Split('/');
        var n = inner.Split('/');
        for (var i = 0; i < o.Length; i++)
        {
            if (o[i] == "#")
            {
                return true;
            }
            if (i >= n.Length || n[i] == "#" || (o[i] != "+" && o[i] != n[i]))
            {
                return false;
            }
        }
        return n.Length == o.Length;
    }

    private static bool FitsUtf8(string text) => System.Text.Encoding.UTF8.GetByteCount(text) <= MaximumBytes;
}
