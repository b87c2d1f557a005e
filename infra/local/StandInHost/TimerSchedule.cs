using System.Globalization;
using NCrontab;

namespace IotHub.Local.StandInHost;

/// <summary>When a timer runs: NCrontab with six fields (or five, then at second 0), or a time span.</summary>
public sealed class TimerSchedule
{
    private const int CheckedOccurrences = 10;
    private readonly CrontabSchedule? _cron;
    private readonly TimeSpan _interval;

    private TimerSchedule(string text, CrontabSchedule? cron, TimeSpan interval) => (Text, _cron, _interval) = (text, cron, interval);

    public string Text { get; }

    /// <summary>False for time spans, whose length does not depend on the clock's zone.</summary>
    public bool AdjustsForDaylightSaving => _cron is not null;

    public static TimerSchedule Parse(string text)
    {
        if (TimeSpan.TryParse(text, CultureInfo.InvariantCulture, out var interval) && text.Contains(':', StringComparison.Ordinal))
        {
            return interval > TimeSpan.Zero
                ? new TimerSchedule(text, null, interval)
                : throw new FunctionAppException($"the timer schedule {text} is not a positive time span");
        }
        var fields = text.Split(' ', StringSplitOptions.RemoveEmptyEntries).Length;
        var cron = CrontabSchedule.TryParse(text, new CrontabSchedule.ParseOptions { IncludingSeconds = fields == 6 });
        return cron is not null
            ? new TimerSchedule(text, cron, default)
            : throw new FunctionAppException(
                $"{text} is no timer schedule: six fields (second minute hour day month weekday), such as 0 */5 * * * *");
    }

    /// <summary>The first occurrence after <paramref name="after"/>, by the wall clock of <paramref name="zone"/>.</summary>
    public DateTimeOffset Next(DateTimeOffset after, TimeZoneInfo zone)
    {
        if (_cron is null)
        {
            return after + _interval;
        }
        var wall = TimeZoneInfo.ConvertTime(after, zone).DateTime;
        while (true)
        {
            wall = _cron.GetNextOccurrence(wall);
            // An hour that the clock skips does not happen; the occurrence comes as much later as the clock jumped.
            var real = zone.IsInvalidTime(wall) ? wall + Skipped(wall, zone) : wall;
            var next = new DateTimeOffset(real, zone.GetUtcOffset(real));
            if (next > after)
            {
                return next;
            }
        }
    }

    /// <summary>More than once a minute: no status is kept for such a timer.</summary>
    public bool IsFrequent(DateTimeOffset from)
    {
        for (var n = 0; n < CheckedOccurrences; n++)
        {
            var first = Next(from, TimeZoneInfo.Utc);
            from = Next(first, TimeZoneInfo.Utc);
            if (from - first < TimeSpan.FromMinutes(1))
            {
                return true;
            }
        }
        return false;
    }

    private static TimeSpan Skipped(DateTime wall, TimeZoneInfo zone) =>
        zone.GetUtcOffset(wall.AddDays(1)) - zone.GetUtcOffset(wall.AddDays(-1));
}
