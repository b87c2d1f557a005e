namespace IotHub.Broker.Sessions.Stored;

/// <summary>
/// The messages of one stored session that are not done, by sequence number: in flight ones first, then those not sent. Their payloads lie
/// in the log; here each costs 8 bytes. What is done in the middle leaves a hole until a whole chunk is done.
/// </summary>
public sealed class StoredQueue
{
    private const int ChunkSize = 32;

    private readonly List<ulong[]?> _chunks = [];
    private Dictionary<long, StoredExtra>? _extras;
    private ulong[]? _spare;
    private long _firstChunk;

    /// <summary>The sequence number that the next message gets; 1 is the first.</summary>
    public long Next { get; private set; } = 1;

    /// <summary>Everything before it has been sent or is done.</summary>
    public long Unsent { get; set; } = 1;

    public int Count { get; private set; }
    public long Bytes { get; private set; }

    /// <summary>Everything before it is done.</summary>
    public long First => FindLive(_firstChunk * ChunkSize);

    public StoredEntry this[long sequence]
    {
        get
        {
            var index = (sequence / ChunkSize) - _firstChunk;
            return index >= 0 && index < _chunks.Count && _chunks[(int)index] is { } chunk
                ? new StoredEntry(chunk[sequence % ChunkSize]) : default;
        }
    }

    /// <summary>Puts a message at the end and returns its sequence number.</summary>
    public long Add(StoredEntry entry, StoredExtra? extra)
    {
        var sequence = Next;
        Set(sequence, entry, extra);
        return sequence;
    }

    /// <summary>Puts a message at a place of its own, or gives the one there another place in the log.</summary>
    public void Set(long sequence, StoredEntry entry, StoredExtra? extra)
    {
        ref var slot = ref Slot(sequence);
        if (slot == 0)
        {
            Count++;
            Bytes += entry.Size;
        }
        else
        {
            Bytes += entry.Size - new StoredEntry(slot).Size;
        }
        slot = entry.Bits;
        Next = Math.Max(Next, sequence + 1);
        if (extra is not null)
        {
            (_extras ??= [])[sequence] = extra;
        }
    }

    /// <summary>The message is done. Empty when there is none.</summary>
    public StoredEntry Remove(long sequence)
    {
        var entry = this[sequence];
        if (entry.IsEmpty)
        {
            return entry;
        }
        Count--;
        Bytes -= entry.Size;
        if (entry.HasExtra)
        {
            _extras?.Remove(sequence);
        }
        var index = (int)((sequence / ChunkSize) - _firstChunk);
        var chunk = _chunks[index]!;
        chunk[sequence % ChunkSize] = 0;
        if (Count == 0)
        {
            Clear();
        }
        else if (!chunk.AsSpan().ContainsAnyExcept(0UL) && sequence / ChunkSize != Next / ChunkSize)
        {
            _chunks[index] = null;
            _spare = chunk;
            TrimFront();
        }
        return entry;
    }

    public StoredExtra? ExtraOf(long sequence) => _extras is not null && _extras.TryGetValue(sequence, out var extra) ? extra : null;

    /// <summary>The first message at or behind <paramref name="from"/>; <see cref="Next"/> when there is none.</summary>
    public long FindLive(long from)
    {
        var sequence = Math.Max(from, _firstChunk * ChunkSize);
        while (sequence < Next)
        {
            var index = (int)((sequence / ChunkSize) - _firstChunk);
            if (index >= _chunks.Count)
            {
                return Next;
            }
            if (_chunks[index] is not { } chunk)
            {
                sequence = (sequence / ChunkSize + 1) * ChunkSize;
                continue;
            }
            var found = chunk.AsSpan((int)(sequence % ChunkSize)).IndexOfAnyExcept(0UL);
            if (found >= 0)
            {
                return sequence + found;
            }
            sequence = (sequence / ChunkSize + 1) * ChunkSize;
        }
        return Next;
    }

    /// <summary>No sequence number below <paramref name="next"/> is given out.</summary>
    public void Skip(long next)
    {
        Next = Math.Max(Next, next);
        Unsent = Count == 0 ? Next : Unsent;
    }

    private void Clear()
    {
        _spare ??= _chunks.Find(c => c is not null);
        _spare?.AsSpan().Clear();
        _chunks.Clear();
        if (_chunks.Capacity > 64)
        {
            _chunks.TrimExcess();
        }
    }

    private void TrimFront()
    {
        var empty = 0;
        while (empty < _chunks.Count && _chunks[empty] is null)
        {
            empty++;
        }
        // Not at each chunk: a list moves all that is behind.
        if (empty >= 64 || empty * 2 >= _chunks.Count)
        {
            _chunks.RemoveRange(0, empty);
            _firstChunk += empty;
        }
    }

    private ref ulong Slot(long sequence)
    {
        var number = sequence / ChunkSize;
        if (_chunks.Count == 0)
        {
            _firstChunk = number;
        }
        else if (number < _firstChunk)
        {
            _chunks.InsertRange(0, new ulong[]?[(int)(_firstChunk - number)]);
            _firstChunk = number;
        }
        var index = (int)(number - _firstChunk);
        while (index >= _chunks.Count)
        {
            _chunks.Add(null);
        }
        if (_chunks[index] is not { } chunk)
        {
            chunk = _spare ?? new ulong[ChunkSize];
            _spare = null;
            _chunks[index] = chunk;
        }
        return ref chunk[sequence % ChunkSize];
    }
}
