using IotHub.Core.Messages;

namespace IotHub.Core.Storage.Memory;

/// <summary>Events in this process.</summary>
public sealed class MemoryEventLog : IEventLog
{
    private readonly Lock _lock = new();
    private readonly Dictionary<(Guid HubId, string Id), HubEvent> _events = [];

    public Task Append(Guid hubId, string id, HubEvent happened, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            _events[(hubId, id)] = happened;
        }
        return Task.CompletedTask;
    }

    public Task<IReadOnlyList<HubEvent>> Newest(Guid hubId, int maximum, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            return Task.FromResult<IReadOnlyList<HubEvent>>(
            [
                .. _events.Where(at => at.Key.HubId == hubId).Select(at => at.Value)
                    .OrderByDescending(happened => happened.Time).Take(maximum),
            ]);
        }
    }

    public Task Trim(DateTimeOffset before, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            foreach (var key in _events.Where(at => at.Value.Time < before).Select(at => at.Key).ToList())
            {
                _events.Remove(key);
            }
        }
        return Task.CompletedTask;
    }
}
