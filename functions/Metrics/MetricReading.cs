using IotHub.Core.Domain;
using IotHub.Core.Storage;

namespace IotHub.Functions.Metrics;

/// <summary>
/// Reads the values of a hub or device for the steps of a scale: a handful of point reads, whatever was counted. What was not rolled up yet
/// comes from the rows below: the last hours from their minutes, the running day from its hours, the running month from its days.
/// </summary>
internal sealed class MetricReading(IMetrics metrics, Guid hubId, Guid? deviceId, DateTimeOffset now, CancellationToken cancel)
{
    /// <summary>Hours that the roll-up, which runs every hour, may not have reached yet.</summary>
    private const int FreshHours = 3;

    private readonly Dictionary<(MetricSpan Span, DateTimeOffset Start), Task<MetricRow>> _rows = [];

    public async Task<MetricValue[]> Values(MetricScale scale, IReadOnlyList<DateTimeOffset> steps)
    {
        Prefetch(scale, steps);
        var values = new MetricValue[steps.Count];
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = await (scale switch
            {
                MetricScale.Minutes => Minute(steps[i]),
                MetricScale.Hours => Hour(steps[i]),
                MetricScale.Quarters => Quarter(steps[i]),
                MetricScale.Days => Day(steps[i]),
                _ => Month(steps[i]),
            });
        }
        return values;
    }

    private async Task<MetricValue> Minute(DateTimeOffset at) => await Stored(MetricSpan.Hour, at);

    private async Task<MetricValue> Hour(DateTimeOffset at)
    {
        var rolledUp = await Stored(MetricSpan.Day, at);
        if (at <= MetricTimes.StartOf(MetricSpan.Hour, now).AddHours(-FreshHours))
        {
            return rolledUp;
        }
        var minutes = (await Row(MetricSpan.Hour, at)).Slots;
        return minutes.Count == 0 ? rolledUp : Larger(rolledUp, Sum(minutes.Values));
    }

    private async Task<MetricValue> Quarter(DateTimeOffset at)
    {
        var counted = (await Row(MetricSpan.Day, at)).Slots
            .GetValueOrDefault(MetricTimes.FirstQuarter + (at.UtcDateTime.Hour / MetricTimes.HoursOfQuarter));
        return Larger(counted, await SumOf(Enumerable.Range(0, MetricTimes.HoursOfQuarter).Select(i => at.AddHours(i)), Hour));
    }

    private async Task<MetricValue> Day(DateTimeOffset at)
    {
        var rolledUp = await Stored(MetricSpan.Month, at);
        return at < MetricTimes.StartOf(MetricSpan.Day, now.AddHours(-FreshHours))
            ? rolledUp
            : Larger(rolledUp, await SumOf(Enumerable.Range(0, 24).Select(i => at.AddHours(i)), Hour));
    }

    private async Task<MetricValue> Month(DateTimeOffset at)
    {
        var rolledUp = await Stored(MetricSpan.Year, at);
        return at < MetricTimes.StartOf(MetricSpan.Month, now.AddHours(-FreshHours))
            ? rolledUp
            : Larger(rolledUp, await SumOf(
                Enumerable.Range(0, DateTime.DaysInMonth(at.Year, at.Month)).Select(i => at.AddDays(i)).Where(day => day <= now), Day));
    }

    private static async Task<MetricValue> SumOf(IEnumerable<DateTimeOffset> steps, Func<DateTimeOffset, Task<MetricValue>> value)
    {
        var values = new List<MetricValue>();
        foreach (var step in steps)
        {
            values.Add(await value(step));
        }
        return Sum(values);
    }

    /// <summary>Different devices of several steps: at least as many as in the one that had the most. The roll-up counts them.</summary>
    private static MetricValue Sum(IEnumerable<MetricValue> values) =>
        values.Aggregate(default(MetricValue), (sum, value) => new(sum.Messages + value.Messages, Math.Max(sum.Active, value.Active)));

    private static MetricValue Larger(MetricValue one, MetricValue other) =>
        new(Math.Max(one.Messages, other.Messages), Math.Max(one.Active, other.Active));

    private async Task<MetricValue> Stored(MetricSpan span, DateTimeOffset at) =>
        (await Row(span, at)).Slots.GetValueOrDefault(MetricTimes.SlotOf(span, at));

    /// <summary>All at once what would be read one after the other.</summary>
    private void Prefetch(MetricScale scale, IReadOnlyList<DateTimeOffset> steps)
    {
        var span = scale switch
        {
            MetricScale.Minutes => MetricSpan.Hour,
            MetricScale.Hours or MetricScale.Quarters => MetricSpan.Day,
            MetricScale.Days => MetricSpan.Month,
            _ => MetricSpan.Year,
        };
        foreach (var step in steps)
        {
            _ = Row(span, step);
        }
        for (var i = 0; i < FreshHours && scale != MetricScale.Minutes; i++)
        {
            _ = Row(MetricSpan.Hour, now.AddHours(-i));
        }
    }

    private Task<MetricRow> Row(MetricSpan span, DateTimeOffset at)
    {
        var start = MetricTimes.StartOf(span, at);
        if (!_rows.TryGetValue((span, start), out var row))
        {
            _rows[(span, start)] = row = start > now
                ? Task.FromResult(new MetricRow(deviceId, new Dictionary<int, MetricValue>()))
                : metrics.Read(hubId, deviceId, span, start, cancel);
        }
        return row;
    }
}
