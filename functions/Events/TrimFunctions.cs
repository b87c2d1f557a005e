using IotHub.Core.Queues;
using IotHub.Core.Storage;

namespace IotHub.Functions.Events;

/// <summary>Drops what has been read, or is too old to be read.</summary>
public sealed class TrimFunctions(
    IChangeFeed changes, IEventLog events, IPayloads payloads, ICreations creations, Belongings belongings, FunctionsSettings settings,
    TimeProvider clock)
{
    /// <summary>A broker that was away longer reads the registry anew instead of the feed.</summary>
    public static readonly TimeSpan ChangesKept = TimeSpan.FromHours(24);

    /// <summary>How long it is known which key of a caller belongs to which creation.</summary>
    public static readonly TimeSpan CreationsKept = TimeSpan.FromHours(48);

    /// <summary>Longer than any delivery is retried (a week at most) and than a queue message lives (a week).</summary>
    public static readonly TimeSpan PayloadsKept = TimeSpan.FromDays(9);

    /// <summary>
    /// Drops old changes, and looks for what hangs on things that they say may be gone: once soon after the change, when its writer is done
    /// or dead, and once more before the change is forgotten, so that an hour in which this did not run does no harm.
    /// </summary>
    public async Task TrimChanges(CancellationToken cancel)
    {
        var now = clock.GetUtcNow();
        await belongings.Sweep(await changes.ReadHours(now.AddHours(-2), now.AddHours(-1), cancel), cancel);
        await belongings.Sweep(await changes.ReadHours(DateTimeOffset.UnixEpoch, now - ChangesKept, cancel), cancel);
        await changes.Trim(now - ChangesKept, cancel);
    }

    /// <summary>A day later than they count, so that none goes that a slow clock still counts.</summary>
    public Task TrimCreations(CancellationToken cancel) => creations.Trim(clock.GetUtcNow() - CreationsKept, cancel);

    public Task TrimEvents(CancellationToken cancel) => events.Trim(clock.GetUtcNow() - settings.EventsKept, cancel);

    public Task TrimPayloads(CancellationToken cancel) => payloads.Trim(clock.GetUtcNow() - PayloadsKept, cancel);
}
