namespace IotHub.Core.Storage.Tables;

/// <summary>
/// The indexes of hubs that this process made, as many as there is room for; what was not used for longest goes first. None is used
/// without a look at the hub's trail.
/// </summary>
internal sealed class DeviceIndexes(long maximumBytes)
{
    /// <summary>What a hub takes beside its devices.</summary>
    private const int BytesOfHub = 1_000;

    private readonly Lock _lock = new();
    private readonly Dictionary<Guid, LinkedListNode<Entry>> _entries = [];
    private readonly LinkedList<Entry> _byUse = [];
    private long _bytes;

    /// <summary>The hub's devices, at least as they were when the trail was read.</summary>
    /// <param name="refresh">Reads what is missing to what is known, or everything.</param>
    public async Task<DeviceIndex> Of(
        Guid hubId, DeviceTrail trail, Func<KnownDevices?, Task<DeviceIndex>> refresh, CancellationToken cancel)
    {
        var entry = Use(hubId);
        if (entry.Known is { } known && known.Trail.Covers(trail))
        {
            return known.Index;
        }
        await entry.Gate.WaitAsync(cancel);
        try
        {
            if (entry.Known is { } meanwhile && meanwhile.Trail.Covers(trail))
            {
                return meanwhile.Index;
            }
            var index = await refresh(entry.Known);
            Keep(entry, new KnownDevices(trail, index));
            return index;
        }
        finally
        {
            entry.Gate.Release();
        }
    }

    private Entry Use(Guid hubId)
    {
        lock (_lock)
        {
            if (_entries.TryGetValue(hubId, out var node))
            {
                _byUse.Remove(node);
            }
            else
            {
                _entries[hubId] = node = new LinkedListNode<Entry>(new Entry(hubId));
                _bytes += BytesOfHub;
            }
            _byUse.AddFirst(node);
            return node.Value;
        }
    }

    private void Keep(Entry entry, KnownDevices known)
    {
        lock (_lock)
        {
            if (!_entries.TryGetValue(entry.HubId, out var node) || node.Value != entry)
            {
                return;
            }
            if (known.Index.Bytes > maximumBytes / 2)
            {
                // It would drive out all others.
                Drop(node);
                return;
            }
            _bytes += known.Index.Bytes - (entry.Known?.Index.Bytes ?? 0);
            entry.Known = known;
            while (_bytes > maximumBytes && _byUse.Last is { } oldest)
            {
                Drop(oldest);
            }
        }
    }

    private void Drop(LinkedListNode<Entry> node)
    {
        _byUse.Remove(node);
        _entries.Remove(node.Value.HubId);
        _bytes -= BytesOfHub + (node.Value.Known?.Index.Bytes ?? 0);
    }

    /// <summary>One at a time refreshes it; the others wait for that and look again.</summary>
    private sealed class Entry(Guid hubId)
    {
        private volatile KnownDevices? _known;

        public Guid HubId => hubId;
        public SemaphoreSlim Gate { get; } = new(1, 1);

        public KnownDevices? Known
        {
            get => _known;
            set => _known = value;
        }
    }
}

/// <summary>An index, and the trail that was read before it was made.</summary>
internal sealed record KnownDevices(DeviceTrail Trail, DeviceIndex Index);
