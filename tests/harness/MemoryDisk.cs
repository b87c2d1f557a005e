using IotHub.Broker.Durability;

namespace IotHub.Harness;

/// <summary>The machine went down in the middle of a write.</summary>
public sealed class DiskCrashedException() : IOException("the machine went down");

/// <summary>
/// One shard's files in memory, with the faults of a real disk. The same seed and the same calls give the same faults. What a write that
/// returned has written is there for good; of one that failed, or in which the machine went down, every 4 KB page (and each half of it,
/// by sectors) is there or not, and what was read of it before the crash says nothing about which.
/// </summary>
public sealed class MemoryDisk(int seed, int shard = 0, Guid? storeId = null) : IShardFiles
{
    private const int PageBytes = 4096;
    private const int SectorBytes = 512;

    private readonly Random _random = new(seed);
    private readonly SortedDictionary<long, FileBytes> _files = [];
    private byte[]? _note;
    private long _prepared;
    private int _crashIn;
    private int _failIn;
    private int _failReadIn;
    private int _life;

    public int Shard => shard;

    public string Name => $"memory/shard-{shard:D2}";

    public Guid StoreId { get; } = storeId ?? new Guid(seed, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]);

    /// <summary>Writes and other changes so far, failed ones too.</summary>
    public int Changes { get; private set; }

    /// <summary>Down until <see cref="Restart"/>.</summary>
    public bool IsDown { get; private set; }

    /// <summary>Every change fails until this is false again.</summary>
    public bool Failing { get; set; }

    /// <summary>Every read fails until this is false again.</summary>
    public bool FailingReads { get; set; }

    /// <summary>The n-th read from now fails, once; 1 is the next.</summary>
    public void FailRead(int n) => _failReadIn = n;

    /// <summary>Of all files together; more is refused as by a full disk.</summary>
    public long Capacity { get; set; } = long.MaxValue;

    public long Bytes => _files.Values.Sum(file => (long)file.Content.Length) + _prepared;

    /// <summary>First positions of the files there are.</summary>
    public IReadOnlyCollection<long> Firsts => _files.Keys;

    /// <summary>The machine goes down in the n-th change from now; 1 is the next.</summary>
    public void CrashInChange(int n) => _crashIn = n;

    /// <summary>The n-th change from now fails, in part done or not; 1 is the next.</summary>
    public void FailChange(int n) => _failIn = n;

    /// <summary>Power off: what was not certain is settled. Segments opened before are of no use.</summary>
    public void Crash()
    {
        foreach (var file in _files.Values)
        {
            file.Settle(_random);
        }
        IsDown = true;
        _life++;
    }

    /// <summary>Power on again, without any fault.</summary>
    public void Restart()
    {
        if (!IsDown)
        {
            Crash();
        }
        IsDown = Failing = false;
        _crashIn = _failIn = 0;
        _prepared = 0;
    }

    public IReadOnlyList<ISegment> Open()
    {
        ThrowIfDown(_life);
        return _files.Select(file => (ISegment)new Segment(this, file.Key, file.Value)).ToList();
    }

    public ISegment Create(long first, ReadOnlySpan<byte> header)
    {
        var content = new byte[Math.Max(header.Length, _prepared)];
        header.CopyTo(content);
        _prepared = 0;
        var file = new FileBytes { Content = content };
        Change(_life, header.Length, file, atomic: () => _files[first] = file);
        return new Segment(this, first, file);
    }

    public void Prepare(long length) => Change(_life, length, null, atomic: () => _prepared = length);

    public void Delete(ISegment segment)
    {
        var first = segment.First;
        Change(_life, 0, null, atomic: () => _files.Remove(first));
    }

    public byte[]? ReadNote()
    {
        ThrowIfDown(_life);
        return _note;
    }

    public void WriteNote(ReadOnlySpan<byte> bytes)
    {
        var note = bytes.ToArray();
        Change(_life, 0, null, atomic: () => _note = note);
    }

    public byte[] Read(long first) => (byte[])_files[first].Content.Clone();

    public void FlipBit(long first, long offset, int bit) => _files[first].Content[offset] ^= (byte)(1 << bit);

    public void Replace(long first, byte[] content) => _files[first] = new FileBytes { Content = content };

    public void Remove(long first) => _files.Remove(first);

    /// <summary>The same files on a disk of its own.</summary>
    public MemoryDisk Copy(int newSeed)
    {
        var copy = new MemoryDisk(newSeed, shard, StoreId) { _note = _note };
        foreach (var (first, file) in _files)
        {
            copy._files[first] = new FileBytes { Content = (byte[])file.Content.Clone() };
        }
        return copy;
    }

    /// <summary>A change that happens or does not, whatever the caller is told.</summary>
    private void Change(int life, long growth, FileBytes? file, Action atomic)
    {
        var fault = NextFault(life, growth, file);
        if (fault is null || _random.Next(2) == 0)
        {
            atomic();
        }
        Throw(fault);
    }

    private IOException? NextFault(int life, long growth, FileBytes? file)
    {
        ThrowIfDown(life);
        Changes++;
        if (_crashIn > 0 && --_crashIn == 0)
        {
            return new DiskCrashedException();
        }
        if ((_failIn > 0 && --_failIn == 0) || Failing)
        {
            return new IOException("input/output error");
        }
        return growth > 0 && Bytes + growth > Capacity ? new IOException($"no space left for {file?.Content.Length}") : null;
    }

    private void Throw(IOException? fault)
    {
        if (fault is DiskCrashedException)
        {
            Crash();
        }
        if (fault is not null)
        {
            throw fault;
        }
    }

    private void ThrowIfDown(int life)
    {
        if (IsDown || life != _life)
        {
            throw new DiskCrashedException();
        }
    }

    private sealed class Segment(MemoryDisk disk, long first, FileBytes file) : ISegment
    {
        private readonly int _life = disk._life;

        public string Name => $"{disk.Name}/{first}";

        public long First => first;

        public long Length => file.Content.Length;

        public void Write(long offset, ReadOnlySpan<byte> bytes)
        {
            var fault = disk.NextFault(_life, offset + bytes.Length - Length, file);
            file.Write(offset, bytes, certain: fault is null, keep: fault is null || disk._random.Next(3) == 0 ? bytes.Length : disk._random.Next(bytes.Length + 1));
            disk.Throw(fault);
        }

        public void Extend(long length)
        {
            if (length > Length)
            {
                Write(Length, new byte[length - Length]);
            }
        }

        public int Read(long offset, Span<byte> into)
        {
            disk.ThrowIfDown(_life);
            if (disk.FailingReads || (disk._failReadIn > 0 && --disk._failReadIn == 0))
            {
                throw new IOException($"{Name} cannot be read");
            }
            var count = (int)Math.Clamp(Length - offset, 0, into.Length);
            file.Content.AsSpan((int)Math.Min(offset, Length), count).CopyTo(into);
            return count;
        }

        public void Truncate(long length) => disk.Change(_life, 0, null, () => file.Truncate((int)length));

        public void Dispose()
        {
        }
    }

    private sealed class FileBytes
    {
        /// <summary>Pages that may come back as they were: number, and what they were.</summary>
        private readonly SortedDictionary<int, byte[]> _uncertain = [];
        private int _certainLength = -1;

        public byte[] Content { get; set; } = [];

        public void Write(long offset, ReadOnlySpan<byte> bytes, bool certain, int keep)
        {
            if (_certainLength < 0)
            {
                _certainLength = Content.Length;
            }
            var end = (int)offset + (certain ? bytes.Length : keep);
            for (var page = (int)offset / PageBytes; page * PageBytes < end; page++)
            {
                if (!_uncertain.ContainsKey(page))
                {
                    var old = new byte[PageBytes];
                    var there = Math.Min(page * PageBytes, Content.Length)..Math.Min((page + 1) * PageBytes, Content.Length);
                    Content.AsSpan(there).CopyTo(old);
                    _uncertain[page] = old;
                }
            }
            if (end > Content.Length)
            {
                var longer = Content;
                Array.Resize(ref longer, end);
                Content = longer;
            }
            bytes[..(end - (int)offset)].CopyTo(Content.AsSpan((int)offset));
            if (certain)
            {
                for (var page = (int)offset / PageBytes; page * PageBytes < end; page++)
                {
                    _uncertain.Remove(page);
                }
                _certainLength = Math.Max(_certainLength, end);
            }
        }

        public void Settle(Random random)
        {
            foreach (var (page, old) in _uncertain)
            {
                var now = Content.AsSpan(page * PageBytes, Math.Min(PageBytes, Content.Length - (page * PageBytes)));
                // All of it, nothing of it, or its first sectors.
                var kept = random.Next(3) switch
                {
                    0 => now.Length,
                    1 => 0,
                    _ => Math.Min(now.Length, SectorBytes * random.Next(PageBytes / SectorBytes)),
                };
                old.AsSpan(kept, now.Length - kept).CopyTo(now[kept..]);
            }
            if (_certainLength >= 0 && _certainLength < Content.Length)
            {
                Content = Content[..random.Next(_certainLength, Content.Length + 1)];
            }
            _uncertain.Clear();
            _certainLength = -1;
        }

        public void Truncate(int length)
        {
            Content = Content[..length];
            _certainLength = Math.Min(_certainLength, length);
            foreach (var page in _uncertain.Keys.Where(page => page * PageBytes >= length).ToList())
            {
                _uncertain.Remove(page);
            }
        }
    }
}
