using IotHub.Core.Storage;

namespace IotHub.Functions.Events;

/// <summary>Drops what has been read, or is too old to be read.</summary>
public sealed class TrimFunctions(IChangeFeed changes, IEventLog events, TimeProvider clock)
{
    /// <summary>A broker that was away longer reads the registry anew instead of the feed.</summary>
    public static readonly TimeSpan ChangesKept = TimeSpan.FromHours(24);

    public static readonly TimeSpan EventsKept = TimeSpan.FromDays(7);

    public Task TrimChanges(CancellationToken cancel) => changes.Trim(clock.GetUtcNow() - ChangesKept, cancel);

    public Task TrimEvents(CancellationToken cancel) => events.Trim(clock.GetUtcNow() - EventsKept, cancel);
}
