using System.Globalization;
using IotHub.Core.Domain;

namespace IotHub.Core.Storage.Memory;

/// <summary>The change feed of one process.</summary>
public sealed class MemoryChangeFeed(TimeProvider time) : IChangeFeed
{
    private readonly Lock _lock = new();
    private readonly List<RegistryChange> _changes = [];
    private long _count;

    public Task Append(Guid hubId, ChangedKind kind, Guid id, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            var now = time.GetUtcNow();
            var position = string.Create(CultureInfo.InvariantCulture, $"{now.Ticks:D19}-{_count++:D19}");
            _changes.Add(new RegistryChange(position, now, hubId, kind, id));
        }
        return Task.CompletedTask;
    }

    public Task<IReadOnlyList<RegistryChange>> ReadSince(DateTimeOffset since, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            return Task.FromResult<IReadOnlyList<RegistryChange>>([.. _changes.Where(change => change.At >= since)]);
        }
    }

    public Task<IReadOnlyList<RegistryChange>> ReadHours(DateTimeOffset from, DateTimeOffset until, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            return Task.FromResult<IReadOnlyList<RegistryChange>>(
                [.. _changes.Where(change => change.At >= Hour(from) && change.At < Hour(until))]);
        }
    }

    public Task Trim(DateTimeOffset before, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            _changes.RemoveAll(change => change.At < Hour(before));
        }
        return Task.CompletedTask;
    }

    private static DateTimeOffset Hour(DateTimeOffset at) => at.DownTo(TimeSpan.FromHours(1));
}
