using IotHub.Core.Domain;
using IotHub.Core.Storage;

namespace IotHub.Functions.Metrics;

/// <summary>
/// Rolls full hours up into days, months and years: messages are added, devices counted. Each step sets what it found, so that a run that
/// ends half way is repeated by the next without harm.
/// </summary>
public sealed class RollUpFunction(IMetrics metrics, TimeProvider clock)
{
    private const int Quarters = 4;

    public async Task Run(CancellationToken cancel)
    {
        foreach (var hour in await metrics.ToRollUp(clock.GetUtcNow(), cancel))
        {
            if ((await metrics.Read(hour.HubId, null, MetricSpan.Hour, hour.Hour, cancel)).Slots.Count > 0)
            {
                await Fold(hour.HubId, MetricSpan.Hour, MetricSpan.Day, hour.Hour, cancel);
                await Fold(hour.HubId, MetricSpan.Day, MetricSpan.Month, hour.Hour, cancel);
                await Fold(hour.HubId, MetricSpan.Month, MetricSpan.Year, hour.Hour, cancel);
            }
            await metrics.RolledUp(hour, cancel);
        }
    }

    public Task Trim(CancellationToken cancel) => metrics.Trim(clock.GetUtcNow(), cancel);

    /// <summary>Makes one slot of the outer span from all of the inner one.</summary>
    private async Task Fold(Guid hubId, MetricSpan inner, MetricSpan outer, DateTimeOffset at, CancellationToken cancel)
    {
        var slot = MetricTimes.SlotOf(outer, at);
        var rows = new List<MetricRow>();
        var quarters = new long[Quarters];
        await foreach (var device in metrics.Devices(hubId, inner, at, cancel))
        {
            rows.Add(new MetricRow(device.DeviceId, Slot(slot, new MetricValue(device.Slots.Values.Sum(value => value.Messages), 1))));
            for (var quarter = 0; quarter < Quarters; quarter++)
            {
                quarters[quarter] += device.Slots.Keys.Any(hour => hour / MetricTimes.HoursOfQuarter == quarter) ? 1 : 0;
            }
        }
        // The hub's own messages, not the sum of those devices that are still there.
        var own = await metrics.Read(hubId, null, inner, at, cancel);
        var soFar = own.Slots.Values.Select(value => value.Active).DefaultIfEmpty().Max();
        rows.Add(new MetricRow(null, Slot(slot, new MetricValue(own.Slots.Values.Sum(value => value.Messages), Math.Max(rows.Count, soFar)))));
        await metrics.Write(hubId, outer, at, rows, cancel);
        if (inner == MetricSpan.Day)
        {
            var counts = quarters.Index().Where(quarter => quarter.Item > 0)
                .ToDictionary(quarter => MetricTimes.FirstQuarter + quarter.Index, quarter => new MetricValue(0, quarter.Item));
            await metrics.Write(hubId, inner, at, [new MetricRow(null, counts)], cancel);
        }
    }

    private static Dictionary<int, MetricValue> Slot(int slot, MetricValue value) => new() { [slot] = value };
}
