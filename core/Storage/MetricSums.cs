using IotHub.Core.Domain;

namespace IotHub.Core.Storage;

/// <summary>How values of one slot from several brokers come together.</summary>
public static class MetricSums
{
    /// <summary>
    /// Messages add up. A device is active or not; a hub's devices are each on one broker in a minute, but over an hour a device may have
    /// been on several: there the larger count is what is known for sure.
    /// </summary>
    public static MetricValue Join(int slot, bool isDevice, MetricValue one, MetricValue other) => new(
        one.Messages + other.Messages,
        isDevice || slot == MetricTimes.HourSoFar ? Math.Max(one.Active, other.Active) : one.Active + other.Active);
}
