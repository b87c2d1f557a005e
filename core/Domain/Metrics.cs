namespace IotHub.Core.Domain;

/// <summary>What one stored row of metrics covers, and its slots: minutes of an hour, hours of a day, days of a month, months of a year.</summary>
public enum MetricSpan { Hour, Day, Month, Year }

/// <param name="Messages">MQTT packets of any type, sent or received.</param>
/// <param name="Active">Of a device: 1 when it was connected; of a hub: how many different devices were.</param>
public readonly record struct MetricValue(long Messages, long Active);

/// <summary>Where metrics stand in time (UTC).</summary>
public static class MetricTimes
{
    /// <summary>In a hub's hour: the different devices of the hour so far, as far as one broker knows. Its messages are 0.</summary>
    public const int HourSoFar = 60;

    /// <summary>In a hub's day: the different devices of its four quarters are in slots 24 to 27. Their messages are 0.</summary>
    public const int FirstQuarter = 24;

    public const int HoursOfQuarter = 6;

    public static DateTimeOffset StartOf(MetricSpan span, DateTimeOffset at)
    {
        var utc = at.ToUniversalTime();
        return span switch
        {
            MetricSpan.Hour => utc.DownTo(TimeSpan.FromHours(1)),
            MetricSpan.Day => utc.DownTo(TimeSpan.FromDays(1)),
            MetricSpan.Month => new(utc.Year, utc.Month, 1, 0, 0, 0, TimeSpan.Zero),
            MetricSpan.Year => new(utc.Year, 1, 1, 0, 0, 0, TimeSpan.Zero),
            _ => throw new ArgumentOutOfRangeException(nameof(span), span, "not a span"),
        };
    }

    /// <summary>The slot of a moment in its span.</summary>
    public static int SlotOf(MetricSpan span, DateTimeOffset at)
    {
        var utc = at.ToUniversalTime();
        return span switch
        {
            MetricSpan.Hour => utc.Minute,
            MetricSpan.Day => utc.Hour,
            MetricSpan.Month => utc.Day,
            MetricSpan.Year => utc.Month,
            _ => throw new ArgumentOutOfRangeException(nameof(span), span, "not a span"),
        };
    }

    /// <summary>How long a row is kept after its span began: what the API shows from it, and time for a roll-up that is late.</summary>
    public static TimeSpan KeptFor(MetricSpan span) => span switch
    {
        MetricSpan.Hour => TimeSpan.FromHours(49),
        MetricSpan.Day => TimeSpan.FromDays(10),
        MetricSpan.Month => TimeSpan.FromDays(75),
        MetricSpan.Year => TimeSpan.FromDays(732),
        _ => throw new ArgumentOutOfRangeException(nameof(span), span, "not a span"),
    };
}
