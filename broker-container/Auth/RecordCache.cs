using System.Collections.Concurrent;

namespace IotHub.Broker.Auth;

/// <summary>
/// Remembers records by id: bounded, each loaded once however many ask at the same time. What was read before a record was reloaded or
/// forgotten is never stored afterwards, so an old reading cannot outlive the news that it is old.
/// </summary>
/// <remarks>
/// A record that changes, by whomever it was reloaded, is reported exactly once, in order, before anyone gets the new one. The report runs
/// under the cache's lock; <see cref="Peek"/> and <see cref="Holds"/> take no lock, so whoever is called by a report may use them.
/// </remarks>
/// <param name="mayForget">Asked before a record is dropped for lack of space.</param>
internal sealed class RecordCache<T>(
    int capacity, Func<Guid, CancellationToken, Task<T?>> load, Action<Guid, T?, T?> changed, Func<T, bool> mayForget, TimeSpan timeout)
    where T : class
{
    /// <summary>Records asked before room is given up for this time.</summary>
    private const int SweepLength = 64;

    private readonly Lock _lock = new();
    private readonly ConcurrentDictionary<Guid, Entry> _entries = new();
    private readonly Queue<(Guid Id, Entry Entry)> _clockHand = new();
    private readonly Dictionary<Guid, Load> _loads = [];
    private int _count;

    public IEnumerable<T> All => _entries.Values.Select(entry => entry.Value);

    public T? Peek(Guid id) => _entries.TryGetValue(id, out var entry) ? entry.Value : null;

    /// <summary>Is this very reading of the record still the newest?</summary>
    public bool Holds(Guid id, T value) => ReferenceEquals(Peek(id), value);

    /// <summary>The remembered record, or null; marks it as used.</summary>
    public T? Recall(Guid id)
    {
        if (!_entries.TryGetValue(id, out var entry))
        {
            return null;
        }
        entry.Used = true;
        return entry.Value;
    }

    /// <summary>The record, read if it is not remembered. Null when there is none.</summary>
    public async ValueTask<T?> Get(Guid id, CancellationToken cancel)
    {
        while (true)
        {
            if (Recall(id) is { } known)
            {
                return known;
            }
            var outcome = await Begin(id, supersede: false).WaitAsync(cancel);
            if (outcome.Stored)
            {
                return outcome.Value;
            }
        }
    }

    /// <summary>The record as a reading says that begins now or later.</summary>
    public async Task<T?> Reload(Guid id, CancellationToken cancel)
    {
        var outcome = await Begin(id, supersede: true).WaitAsync(cancel);
        return outcome.Stored ? outcome.Value : await Get(id, cancel);
    }

    /// <summary>Forgets a record without reporting it, and whatever is being read of it.</summary>
    public void Forget(Guid id)
    {
        lock (_lock)
        {
            if (_loads.Remove(id, out var running))
            {
                running.Superseded = true;
            }
            Remove(id);
        }
    }

    private Task<Outcome> Begin(Guid id, bool supersede)
    {
        lock (_lock)
        {
            if (_loads.TryGetValue(id, out var running))
            {
                if (!supersede)
                {
                    return running.Task;
                }
                running.Superseded = true;
            }
            var next = new Load();
            _loads[id] = next;
            return next.Task = Task.Run(() => Run(id, next));
        }
    }

    private async Task<Outcome> Run(Guid id, Load mine)
    {
        T? value;
        try
        {
            using var patience = new CancellationTokenSource(timeout);
            value = await load(id, patience.Token).WaitAsync(patience.Token);
        }
        catch
        {
            lock (_lock)
            {
                Done(id, mine);
            }
            throw;
        }
        lock (_lock)
        {
            if (mine.Superseded)
            {
                return default;
            }
            Done(id, mine);
            Store(id, value);
            return new Outcome(true, value);
        }
    }

    private void Done(Guid id, Load mine)
    {
        if (!mine.Superseded)
        {
            _loads.Remove(id);
        }
    }

    private void Store(Guid id, T? value)
    {
        var before = Peek(id);
        if (value is null)
        {
            Remove(id);
        }
        else
        {
            var entry = new Entry(value);
            _count += before is null ? 1 : 0;
            _entries[id] = entry;
            _clockHand.Enqueue((id, entry));
            MakeRoom(entry);
        }
        if (before is not null || value is not null)
        {
            changed(id, before, value);
        }
    }

    private void Remove(Guid id)
    {
        if (_entries.TryRemove(id, out _))
        {
            _count--;
        }
    }

    // Second chance: what was used since the hand passed stays for another round. Hands of replaced entries fall away here.
    private void MakeRoom(Entry newest)
    {
        for (var looked = 0; (_count > capacity || _clockHand.Count > 2 * capacity) && looked < SweepLength; looked++)
        {
            var (id, entry) = _clockHand.Dequeue();
            if (!_entries.TryGetValue(id, out var current) || !ReferenceEquals(current, entry))
            {
                continue;
            }
            if (_count <= capacity || ReferenceEquals(entry, newest) || entry.Used || !mayForget(entry.Value))
            {
                entry.Used = false;
                _clockHand.Enqueue((id, entry));
                continue;
            }
            Remove(id);
        }
    }

    private readonly record struct Outcome(bool Stored, T? Value);

    private sealed class Entry(T value)
    {
        public T Value { get; } = value;
        public volatile bool Used;
    }

    private sealed class Load
    {
        public Task<Outcome> Task { get; set; } = System.Threading.Tasks.Task.FromResult(default(Outcome));
        public bool Superseded { get; set; }
    }
}
