using IotHub.Core.Messages;

namespace IotHub.Core.Storage.Memory;

/// <summary>Events in this process.</summary>
public sealed class MemoryEventLog : IEventLog
{
    private readonly Lock _lock = new();
    private readonly Dictionary<(Guid HubId, string Position), HubEvent> _events = [];

    public Task Append(Guid hubId, IReadOnlyList<LoggedEvent> happened, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            foreach (var (id, one) in happened)
            {
                _events[(hubId, EventPosition.Of(one.Time, id))] = one;
            }
        }
        return Task.CompletedTask;
    }

    public Task<EventPage> Newest(Guid hubId, int maximum, string? before = null, CancellationToken cancel = default)
    {
        if (before is not null)
        {
            EventPosition.TimeOf(before);
        }
        lock (_lock)
        {
            var found = _events.Where(at => at.Key.HubId == hubId && string.CompareOrdinal(at.Key.Position, before ?? "") > 0)
                .OrderBy(at => at.Key.Position, StringComparer.Ordinal).Take(maximum + 1).ToList();
            return Task.FromResult(new EventPage(
                [.. found.Take(maximum).Select(at => at.Value)], found.Count > maximum ? found[maximum - 1].Key.Position : null));
        }
    }

    public Task Trim(DateTimeOffset before, CancellationToken cancel = default) => Remove((_, happened) => happened.Time < before);

    public Task DeleteHub(Guid hubId, CancellationToken cancel = default) => Remove((hub, _) => hub == hubId);

    private Task Remove(Func<Guid, HubEvent, bool> which)
    {
        lock (_lock)
        {
            foreach (var key in _events.Where(at => which(at.Key.HubId, at.Value)).Select(at => at.Key).ToList())
            {
                _events.Remove(key);
            }
        }
        return Task.CompletedTask;
    }
}
