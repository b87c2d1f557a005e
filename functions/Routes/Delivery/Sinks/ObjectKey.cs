using System.Globalization;

namespace IotHub.Functions.Routes.Delivery.Sinks;

/// <summary>Names of objects that a route writes (Scaleway IoT reference, S3 route).</summary>
public static class ObjectKey
{
    public static string PerTopic(string prefix, string topic) => Join(prefix, topic);

    public static string PerMessage(string prefix, string topic, DateTimeOffset receivedAt, int extraNanoseconds) =>
        Join(Join(prefix, topic), Timestamp(receivedAt, extraNanoseconds));

    /// <summary>
    /// Go's layout <c>2006-01-02T15:04:05.999999999Z</c>: up to nine digits of a second, without trailing zeros. Ours come from ticks
    /// of 100 ns; <paramref name="extraNanoseconds"/> (0 to 99) tells messages of one tick apart.
    /// </summary>
    public static string Timestamp(DateTimeOffset at, int extraNanoseconds)
    {
        var utc = at.UtcDateTime;
        var fraction = string.Create(
            CultureInfo.InvariantCulture, $"{utc.Ticks % TimeSpan.TicksPerSecond:D7}{extraNanoseconds:D2}").TrimEnd('0');
        var seconds = utc.ToString("yyyy-MM-dd'T'HH:mm:ss", CultureInfo.InvariantCulture);
        return fraction.Length == 0 ? seconds + "Z" : $"{seconds}.{fraction}Z";
    }

    /// <summary>One slash between the two, whoever brings it; nothing where one is empty. No empty level is added.</summary>
    private static string Join(string prefix, string rest)
    {
        if (prefix.Length == 0)
        {
            return WithoutDotSegments(rest);
        }
        return WithoutDotSegments($"{prefix.TrimEnd('/')}/{(rest.StartsWith('/') ? rest[1..] : rest)}");
    }

    /// <summary>
    /// A topic is the sender's to choose, and <c>..</c> in a URL leads out of the bucket. Levels that are only dots are written with
    /// <c>%2E</c> for the dot.
    /// </summary>
    private static string WithoutDotSegments(string key) =>
        key.Contains('.', StringComparison.Ordinal)
            ? string.Join('/', key.Split('/').Select(level =>
                level is "." or ".." ? level.Replace(".", "%2E", StringComparison.Ordinal) : level))
            : key;
}
