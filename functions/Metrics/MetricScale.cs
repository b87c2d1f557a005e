using IotHub.Core.Domain;

namespace IotHub.Functions.Metrics;

/// <summary>The five scales of the API: how far back, in which steps (Scaleway IoT reference, metrics).</summary>
internal enum MetricScale { Minutes, Hours, Quarters, Days, Months }

internal static class MetricScales
{
    /// <summary>The smallest scale that reaches back to that moment; one that lies in the future, or none, is in the last hour.</summary>
    public static MetricScale Of(DateTimeOffset? start, DateTimeOffset now) => (now - (start ?? now)) switch
    {
        var span when span <= TimeSpan.FromMinutes(60) => MetricScale.Minutes,
        var span when span <= TimeSpan.FromHours(24) => MetricScale.Hours,
        var span when span <= TimeSpan.FromDays(7) => MetricScale.Quarters,
        var span when span <= TimeSpan.FromDays(30) => MetricScale.Days,
        _ => MetricScale.Months,
    };

    /// <summary>
    /// Where the steps begin, oldest first. Minutes are counted when they are over, so the running one is left out; of the others the
    /// running step is the last, which makes it one step more for the whole span to be in it.
    /// </summary>
    public static IReadOnlyList<DateTimeOffset> Steps(MetricScale scale, DateTimeOffset now)
    {
        var (hour, day, month) = (Start(MetricSpan.Hour), Start(MetricSpan.Day), Start(MetricSpan.Month));
        return scale switch
        {
            MetricScale.Minutes => Back(60, i => hour.AddMinutes(now.UtcDateTime.Minute - i - 1)),
            MetricScale.Hours => Back(25, i => hour.AddHours(-i)),
            MetricScale.Quarters => Back(29, i => QuarterOf(hour).AddHours(-i * MetricTimes.HoursOfQuarter)),
            MetricScale.Days => Back(31, i => day.AddDays(-i)),
            _ => Back(13, i => month.AddMonths(-i)),
        };

        DateTimeOffset Start(MetricSpan span) => MetricTimes.StartOf(span, now);

        static DateTimeOffset[] Back(int count, Func<int, DateTimeOffset> step) =>
            [.. Enumerable.Range(0, count).Reverse().Select(step)];
    }

    public static DateTimeOffset QuarterOf(DateTimeOffset at) =>
        MetricTimes.StartOf(MetricSpan.Day, at).AddHours(at.UtcDateTime.Hour / MetricTimes.HoursOfQuarter * MetricTimes.HoursOfQuarter);
}
