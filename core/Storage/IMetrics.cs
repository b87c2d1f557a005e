using IotHub.Core.Domain;
using IotHub.Core.Messages;

namespace IotHub.Core.Storage;

/// <param name="DeviceId">Null for the hub itself.</param>
/// <param name="Slots">Values by slot (see <see cref="MetricTimes"/>); a slot without one is absent.</param>
public sealed record MetricRow(Guid? DeviceId, IReadOnlyDictionary<int, MetricValue> Slots);

/// <summary>An hour of a hub of which something came in since it was last rolled up.</summary>
public sealed record MetricHour(Guid HubId, DateTimeOffset Hour, string Version);

/// <summary>
/// Metrics of hubs and their devices. A write says what a slot holds, not what to add to it, so that all writes may be repeated.
/// </summary>
/// <exception cref="RegistryUnavailableException">Storage did not answer.</exception>
public interface IMetrics
{
    /// <summary>Stores what a broker counted in one minute, and marks the hour for the next roll-up.</summary>
    Task Record(MetricsEnvelope counted, CancellationToken cancel = default);

    /// <summary>The values of a hub (<paramref name="deviceId"/> null) or device; empty when there are none.</summary>
    Task<MetricRow> Read(Guid hubId, Guid? deviceId, MetricSpan span, DateTimeOffset start, CancellationToken cancel = default);

    /// <summary>The rows of all devices of a hub.</summary>
    IAsyncEnumerable<MetricRow> Devices(Guid hubId, MetricSpan span, DateTimeOffset start, CancellationToken cancel = default);

    /// <summary>Sets slots of rows of a hub; others of the same rows stay.</summary>
    Task Write(Guid hubId, MetricSpan span, DateTimeOffset start, IReadOnlyList<MetricRow> rows, CancellationToken cancel = default);

    /// <summary>Hours to roll up that ended by <paramref name="now"/>, oldest first.</summary>
    Task<IReadOnlyList<MetricHour>> ToRollUp(DateTimeOffset now, CancellationToken cancel = default);

    /// <summary>The hour was rolled up; it stays marked if something came in meanwhile.</summary>
    Task RolledUp(MetricHour hour, CancellationToken cancel = default);

    /// <summary>Drops rows whose time is over (<see cref="MetricTimes.KeptFor"/>).</summary>
    Task Trim(DateTimeOffset now, CancellationToken cancel = default);

    Task DeleteDevice(Guid hubId, Guid deviceId, DateTimeOffset now, CancellationToken cancel = default);
    Task DeleteHub(Guid hubId, CancellationToken cancel = default);
}
