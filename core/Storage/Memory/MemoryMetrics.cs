using System.Globalization;
using IotHub.Core.Domain;
using IotHub.Core.Messages;

namespace IotHub.Core.Storage.Memory;

/// <summary>Metrics in this process.</summary>
public sealed class MemoryMetrics : IMetrics
{
    private readonly Lock _lock = new();
    private readonly Dictionary<(Guid HubId, MetricSpan Span, DateTimeOffset Start), Dictionary<Guid, Slots>> _partitions = [];
    private readonly SortedDictionary<(DateTimeOffset Hour, Guid HubId), long> _marks = [];
    private long _lastVersion;

    public Task Record(MetricsEnvelope counted, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            var hour = MetricTimes.StartOf(MetricSpan.Hour, counted.Minute);
            _marks[(hour, counted.HubId)] = ++_lastVersion;
            var slot = MetricTimes.SlotOf(MetricSpan.Hour, counted.Minute);
            foreach (var device in counted.Devices)
            {
                SlotsOf(counted.HubId, MetricSpan.Hour, hour, device.Id)[(slot, counted.Source)] = new MetricValue(device.Messages, 1);
            }
            if (counted.Hub is { } hub)
            {
                var slots = SlotsOf(counted.HubId, MetricSpan.Hour, hour, Guid.Empty);
                slots[(slot, counted.Source)] = new MetricValue(hub.Messages, hub.Active);
                slots[(MetricTimes.HourSoFar, counted.Source)] = new MetricValue(0, hub.ActiveInHour);
            }
        }
        return Task.CompletedTask;
    }

    public Task<MetricRow> Read(Guid hubId, Guid? deviceId, MetricSpan span, DateTimeOffset start, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            var rows = _partitions.GetValueOrDefault((hubId, span, MetricTimes.StartOf(span, start)));
            return Task.FromResult(RowOf(deviceId ?? Guid.Empty, rows?.GetValueOrDefault(deviceId ?? Guid.Empty) ?? []));
        }
    }

    public async IAsyncEnumerable<MetricRow> Devices(
        Guid hubId, MetricSpan span, DateTimeOffset start,
        [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancel = default)
    {
        await Task.CompletedTask;
        List<MetricRow> found;
        lock (_lock)
        {
            var rows = _partitions.GetValueOrDefault((hubId, span, MetricTimes.StartOf(span, start)));
            found = [.. (rows ?? []).Where(row => row.Key != Guid.Empty).Select(row => RowOf(row.Key, row.Value))];
        }
        foreach (var row in found)
        {
            cancel.ThrowIfCancellationRequested();
            yield return row;
        }
    }

    public Task Write(Guid hubId, MetricSpan span, DateTimeOffset start, IReadOnlyList<MetricRow> rows, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            foreach (var row in rows)
            {
                var slots = SlotsOf(hubId, span, MetricTimes.StartOf(span, start), row.DeviceId ?? Guid.Empty);
                foreach (var (slot, value) in row.Slots)
                {
                    slots[(slot, "")] = value;
                }
            }
        }
        return Task.CompletedTask;
    }

    public Task<IReadOnlyList<MetricHour>> ToRollUp(DateTimeOffset now, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            return Task.FromResult<IReadOnlyList<MetricHour>>(
            [
                .. _marks.Where(mark => mark.Key.Hour < MetricTimes.StartOf(MetricSpan.Hour, now)).Select(mark =>
                    new MetricHour(mark.Key.HubId, mark.Key.Hour, mark.Value.ToString(CultureInfo.InvariantCulture))),
            ]);
        }
    }

    public Task RolledUp(MetricHour hour, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            if (_marks.TryGetValue((hour.Hour, hour.HubId), out var version) && version.ToString(CultureInfo.InvariantCulture) == hour.Version)
            {
                _marks.Remove((hour.Hour, hour.HubId));
            }
        }
        return Task.CompletedTask;
    }

    public Task Trim(DateTimeOffset now, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            // In whole days, as the other driver does it.
            foreach (var key in _partitions.Keys.Where(key =>
                MetricTimes.StartOf(MetricSpan.Day, key.Start + MetricTimes.KeptFor(key.Span)) < MetricTimes.StartOf(MetricSpan.Day, now)).ToList())
            {
                _partitions.Remove(key);
            }
        }
        return Task.CompletedTask;
    }

    public Task DeleteDevice(Guid hubId, Guid deviceId, DateTimeOffset now, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            foreach (var (_, rows) in _partitions.Where(partition => partition.Key.HubId == hubId))
            {
                rows.Remove(deviceId);
            }
        }
        return Task.CompletedTask;
    }

    public Task DeleteHub(Guid hubId, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            foreach (var key in _partitions.Keys.Where(key => key.HubId == hubId).ToList())
            {
                _partitions.Remove(key);
            }
        }
        return Task.CompletedTask;
    }

    private Slots SlotsOf(Guid hubId, MetricSpan span, DateTimeOffset start, Guid id)
    {
        if (!_partitions.TryGetValue((hubId, span, start), out var rows))
        {
            _partitions[(hubId, span, start)] = rows = [];
        }
        if (!rows.TryGetValue(id, out var slots))
        {
            rows[id] = slots = [];
        }
        return slots;
    }

    private static MetricRow RowOf(Guid id, Slots slots) => new(
        id == Guid.Empty ? null : id,
        slots.GroupBy(slot => slot.Key.Slot).ToDictionary(
            same => same.Key,
            same => same.Select(slot => slot.Value).Aggregate((one, other) => MetricSums.Join(same.Key, id != Guid.Empty, one, other))));

    private sealed class Slots : Dictionary<(int Slot, string Source), MetricValue>;
}
