using System.Threading.Channels;
using IotHub.Broker.Auth;
using IotHub.Core.Storage;

namespace IotHub.Broker.Bridge;

/// <summary>
/// Follows what the backend changes: reads the feed twice a second, takes nudges at once, and has the directory look at each changed thing
/// now and again after 1, 5 and 60 seconds. A look that fails is repeated until it succeeds.
/// </summary>
public sealed partial class ChangeFeed
{
    private const int LooksPerRound = 1_000;

    private readonly IChangeFeed _feed;
    private readonly HubDirectory _directory;
    private readonly TimeProvider _clock;
    private readonly BridgeLimits _limits;
    private readonly ILogger<ChangeFeed> _logger;
    private readonly Lock _lock = new();
    private readonly Dictionary<Thing, Pending> _pending = [];
    private readonly PriorityQueue<(Thing Thing, Pending Pending), DateTimeOffset> _due = new();
    private readonly Dictionary<string, DateTimeOffset> _seen = [];
    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(1);
    private DateTimeOffset _since;
    private bool _feedFails;
    private bool _looksFail;

    public ChangeFeed(IChangeFeed feed, HubDirectory directory, TimeProvider clock, BridgeLimits limits, ILogger<ChangeFeed> logger)
    {
        _feed = feed;
        _directory = directory;
        _clock = clock;
        _limits = limits;
        _logger = logger;
        // A change announced before we started may take effect after it.
        _since = clock.GetUtcNow() - limits.LookAgainAfter.DefaultIfEmpty().Max() - limits.FeedClockSkew;
    }

    /// <summary>Changed things that will be looked at (again).</summary>
    public int PendingLooks
    {
        get
        {
            lock (_lock)
            {
                return _pending.Count;
            }
        }
    }

    public Task Run(CancellationToken cancel) => Task.WhenAll(Follow(cancel), LookWhenDue(cancel));

    /// <summary>Someone says that this has changed: looked at now. Best effort; the feed itself is the truth.</summary>
    public void Nudge(Guid hubId, ChangedKind kind, Guid id)
    {
        lock (_lock)
        {
            if (_pending.Count < _limits.PendingLooks)
            {
                Schedule(hubId, kind, id);
            }
        }
        _wake.Writer.TryWrite(true);
    }

    /// <summary>Reads the feed once.</summary>
    internal async Task Poll(CancellationToken cancel)
    {
        var now = _clock.GetUtcNow();
        var timestamp = _clock.GetTimestamp();
        if (PendingLooks >= _limits.PendingLooks)
        {
            return;
        }
        IReadOnlyList<RegistryChange> changes;
        try
        {
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            patience.CancelAfter(_limits.RegistryTimeout);
            changes = await _feed.ReadSince(_since, patience.Token).WaitAsync(patience.Token);
        }
        catch (Exception e) when (!cancel.IsCancellationRequested)
        {
            if (!_feedFails)
            {
                Log.FeedFails(_logger, e.Message, _limits.FeedStaleAfter.TotalSeconds);
            }
            _feedFails = true;
            return;
        }
        if (_feedFails)
        {
            Log.FeedWorks(_logger);
        }
        _feedFails = false;
        Take(changes, now);
        if (!IsBehind(now))
        {
            _directory.MarkCurrent(timestamp);
        }
        _wake.Writer.TryWrite(true);
    }

    /// <summary>Looks at what is due.</summary>
    /// <returns>When the next look is due; null when none is waiting.</returns>
    internal async Task<DateTimeOffset?> Look(CancellationToken cancel)
    {
        List<(Thing Thing, Pending Pending)> now;
        while ((now = TakeDue()).Count > 0)
        {
            var options = new ParallelOptions { MaxDegreeOfParallelism = _limits.ConcurrentLooks, CancellationToken = cancel };
            await Parallel.ForEachAsync(now, options, async (item, token) => await LookAt(item.Thing, item.Pending, token));
        }
        lock (_lock)
        {
            return _due.TryPeek(out _, out var next) ? next : null;
        }
    }

    private async Task Follow(CancellationToken cancel)
    {
        try
        {
            while (true)
            {
                await Poll(cancel);
                await Task.Delay(_limits.FeedInterval, _clock, cancel);
            }
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
        }
    }

    private async Task LookWhenDue(CancellationToken cancel)
    {
        try
        {
            while (!cancel.IsCancellationRequested)
            {
                var next = await Look(cancel);
                using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel);
                var wait = next is { } at ? at - _clock.GetUtcNow() : Timeout.InfiniteTimeSpan;
                var sleep = Task.Delay(wait < TimeSpan.Zero && next is not null ? TimeSpan.Zero : wait, _clock, either.Token);
                await Task.WhenAny(_wake.Reader.ReadAsync(either.Token).AsTask(), sleep);
                await either.CancelAsync();
            }
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
        }
    }

    private void Take(IReadOnlyList<RegistryChange> changes, DateTimeOffset now)
    {
        lock (_lock)
        {
            foreach (var change in changes)
            {
                if (_seen.TryAdd(change.Position, change.At))
                {
                    Schedule(change.HubId, change.Kind, change.Id);
                }
            }
            _since = now - _limits.FeedClockSkew;
            foreach (var old in _seen.Where(seen => seen.Value < _since).Select(seen => seen.Key).ToList())
            {
                _seen.Remove(old);
            }
        }
    }

    /// <summary>Are looks that should have been taken long ago still waiting? Then what is remembered may be wrong.</summary>
    private bool IsBehind(DateTimeOffset now)
    {
        lock (_lock)
        {
            return _pending.Values.Any(pending => pending.Due < now - _limits.FeedStaleAfter);
        }
    }

    private void Schedule(Guid hubId, ChangedKind kind, Guid id)
    {
        if (kind == ChangedKind.Network)
        {
            return;
        }
        var thing = kind == ChangedKind.Device ? new Thing(hubId, kind, id) : new Thing(hubId, ChangedKind.Hub, hubId);
        var now = _clock.GetUtcNow();
        var pending = new Pending(now, now, Looks: 0);
        _pending[thing] = pending;
        _due.Enqueue((thing, pending), now);
    }

    private List<(Thing Thing, Pending Pending)> TakeDue()
    {
        List<(Thing, Pending)> found = [];
        lock (_lock)
        {
            var now = _clock.GetUtcNow();
            while (found.Count < LooksPerRound && _due.TryPeek(out var item, out var at) && at <= now)
            {
                _due.Dequeue();
                if (_pending.TryGetValue(item.Thing, out var current) && ReferenceEquals(current, item.Pending))
                {
                    found.Add(item);
                }
            }
        }
        return found;
    }

    private async Task LookAt(Thing thing, Pending pending, CancellationToken cancel)
    {
        var done = true;
        try
        {
            await _directory.LookAgain(thing.HubId, thing.Kind, thing.Id, cancel);
        }
        catch (Exception e) when (!cancel.IsCancellationRequested)
        {
            done = false;
            if (!_looksFail)
            {
                Log.LookFails(_logger, thing.Kind, thing.Id, e.Message);
            }
        }
        _looksFail = !done;
        lock (_lock)
        {
            if (!_pending.TryGetValue(thing, out var current) || !ReferenceEquals(current, pending))
            {
                return;
            }
            if (!done)
            {
                _due.Enqueue((thing, pending), _clock.GetUtcNow() + _limits.FeedInterval);
                return;
            }
            if (pending.Looks == _limits.LookAgainAfter.Count)
            {
                _pending.Remove(thing);
                return;
            }
            var next = new Pending(pending.Since, pending.Since + _limits.LookAgainAfter[pending.Looks], pending.Looks + 1);
            _pending[thing] = next;
            _due.Enqueue((thing, next), next.Due);
        }
    }

    private readonly record struct Thing(Guid HubId, ChangedKind Kind, Guid Id);

    /// <param name="Since">When the change was read.</param>
    /// <param name="Due">When it should be looked at next; a look that fails leaves it in the past.</param>
    /// <param name="Looks">Looks that succeeded since.</param>
    private sealed record Pending(DateTimeOffset Since, DateTimeOffset Due, int Looks);

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning,
            "The change feed cannot be read: {Reason}. New connections are put off after {Seconds} s of it")]
        public static partial void FeedFails(ILogger logger, string reason, double seconds);

        [LoggerMessage(2, LogLevel.Information, "The change feed can be read again")]
        public static partial void FeedWorks(ILogger logger);

        [LoggerMessage(3, LogLevel.Warning, "Changed {Kind} {Id} could not be looked at, trying again: {Reason}")]
        public static partial void LookFails(ILogger logger, ChangedKind kind, Guid id, string reason);
    }
}
