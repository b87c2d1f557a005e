using IotHub.Core.Queues;
using IotHub.Core.Storage;

namespace IotHub.Functions.Events;

/// <summary>Drops what has been read, or is too old to be read.</summary>
public sealed class TrimFunctions(IChangeFeed changes, IEventLog events, IPayloads payloads, TimeProvider clock)
{
    /// <summary>A broker that was away longer reads the registry anew instead of the feed.</summary>
    public static readonly TimeSpan ChangesKept = TimeSpan.FromHours(24);

    public static readonly TimeSpan EventsKept = TimeSpan.FromDays(7);

    /// <summary>Longer than any delivery is retried (a week at most) and than a queue message lives (a week).</summary>
    public static readonly TimeSpan PayloadsKept = TimeSpan.FromDays(9);

    public Task TrimChanges(CancellationToken cancel) => changes.Trim(clock.GetUtcNow() - ChangesKept, cancel);

    public Task TrimEvents(CancellationToken cancel) => events.Trim(clock.GetUtcNow() - EventsKept, cancel);

    public Task TrimPayloads(CancellationToken cancel) => payloads.Trim(clock.GetUtcNow() - PayloadsKept, cancel);
}
