namespace IotHub.Broker.Durability;

/// <summary>
/// One shard's append-only log with group commit: records gather in a buffer under the lane's lock; one thread takes all of them at
/// once and makes them durable outside the lock, while the next gather. A batch that could not be written stays and goes out first, into
/// a new segment, since a flush that works after one that failed proves nothing about what the first was to keep.
/// </summary>
public sealed partial class ShardLog : IDisposable
{
    private enum Batch
    {
        None,
        UnderWay,
        Failed,
    }

    private readonly IShardFiles _files;
    private readonly LogOptions _options;
    private readonly uint _seed;

    /// <summary>Segments that could not be deleted yet; in order, so that never one is missing between two.</summary>
    private readonly Queue<SegmentInfo> _deleting = new();

    private LogBuffer _pending;
    private LogBuffer _batch;
    private Batch _state;
    private bool _newSegment;
    private bool _marked;
    private ISegment? _next;

    /// <summary>The segment whose successor was prepared, or tried to.</summary>
    private SegmentInfo? _preparedBehind;

    /// <summary>As it stands beside the segments; only the thread that writes and deletes touches it.</summary>
    private SegmentRange _range;
    private int _extendBy;

    /// <summary>Replaced, never changed, so that readers of committed records need no lock.</summary>
    private volatile SegmentInfo[] _segments;

    private ShardLog(
        IShardFiles files, LogOptions options, SegmentInfo[] segments, SegmentRange range, RecoveryReport recovery, LogClock lastClock,
        bool marked)
    {
        _files = files;
        _options = options;
        _seed = LogFormat.Seed(files.StoreId, files.Shard);
        _segments = segments;
        _range = range;
        _marked = marked;
        _extendBy = options.ExtendBytesMinimum;
        Recovery = recovery;
        LastClock = lastClock;
        CommittedPosition = segments[^1].End;
        _pending = new LogBuffer(options);
        _batch = new LogBuffer(options);
        _pending.Reset(CommittedPosition);
    }

    /// <summary>The clock of the last block found when the log was opened.</summary>
    public LogClock LastClock { get; }

    public RecoveryReport Recovery { get; }

    /// <summary>Position the next record will get; a multiple of 8.</summary>
    public long NextPosition => _pending.NextPosition;

    /// <summary>Records wait that <see cref="BeginCommit"/> would take.</summary>
    public bool HasPending => _state == Batch.Failed || _pending.Records > 0;

    /// <summary>Bytes not yet on disk, the batch under way included.</summary>
    public long PendingBytes => _pending.Fill + (_state == Batch.None ? 0 : _batch.Fill);

    /// <summary>The last write failed; true until one works.</summary>
    public bool IsFailing { get; private set; }

    /// <summary>Everything before it is on disk.</summary>
    public long CommittedPosition { get; private set; }

    /// <summary>What was committed last is provably so only once something stands behind it: see <see cref="BeginMark"/>.</summary>
    public bool NeedsMark => !_marked && !HasPending && _state == Batch.None;

    /// <summary>Oldest first; the list is a copy, the infos are live.</summary>
    public IReadOnlyList<SegmentInfo> Segments => _segments;

    /// <summary>Makes the first segment of a shard that has none. A shard without a segment has lost it.</summary>
    public static void Create(IShardFiles files)
    {
        NewSegment(files, 0, LogFormat.NoSegment).Dispose();
        new SegmentRange(0, 0).Write(files);
    }

    /// <summary>Reads everything and hands each record of a whole commit, in order, to <paramref name="apply"/>.</summary>
    /// <exception cref="DamagedLogException">Bytes inside are not what was written; nothing was changed.</exception>
    /// <exception cref="StartException">A newer broker wrote it, or it is gone.</exception>
    /// <exception cref="IOException">The disk cannot be read, or a torn end not be cut off.</exception>
    public static ShardLog Open(IShardFiles files, LogOptions options, RecordReader apply)
    {
        var segments = files.Open();
        try
        {
            if (segments.Count == 0)
            {
                throw new StartException($"{files.Name} holds no part of its log: the files are missing");
            }
            var noted = SegmentRange.Read(files);
            noted?.ThrowIfMissing(files, segments);
            var scan = new LogScan(files, segments, apply, damage => throw damage.ToException());
            scan.Run();
            var last = segments[^1];
            if (scan.TornOffset >= 0)
            {
                // Bytes of a commit that never was may not come to stand behind a later one.
                last.Truncate(scan.TornOffset);
            }
            var infos = segments.Select(
                (file, i) => new SegmentInfo(file, i + 1 < segments.Count ? segments[i + 1].First : scan.End)).ToArray();
            var report = new RecoveryReport(
                segments.Count, scan.Records, scan.Blocks, scan.Bytes, scan.TornBytes,
                scan.TornOffset >= 0 ? last.Name : null, Math.Max(0, scan.TornOffset), scan.Gaps);
            if (noted is null)
            {
                // An older broker's: from here on it is known.
                noted = SegmentRange.Of(segments);
                noted.Value.Write(files);
            }
            return new ShardLog(files, options, infos, noted.Value, report, scan.LastClock, scan.EndsWithMark);
        }
        catch
        {
            foreach (var segment in segments)
            {
                segment.Dispose();
            }
            throw;
        }
    }

    /// <summary>Opens a record at <see cref="NextPosition"/> and returns that.</summary>
    public long Begin(byte kind) => _pending.Begin(kind);

    /// <summary>Room at the end of the open record's body, to be filled wholly; valid until the next call.</summary>
    public Span<byte> Take(int size) => _pending.Take(size);

    /// <summary>Bytes of the open record's body, to patch; valid until the next call.</summary>
    public Span<byte> Written(int offset, int size) => _pending.Written(offset, size);

    /// <summary>The open record is pending.</summary>
    public void End() => _pending.EndRecord();

    /// <summary>The open record is dropped as if never begun.</summary>
    public void Abandon() => _pending.Abandon();

    /// <summary>Takes what is pending, or again the batch that failed. False: nothing to take, or a batch is under way.</summary>
    public bool BeginCommit(LogClock clock)
    {
        if (_state == Batch.Failed)
        {
            _batch.Clock = clock;
            _state = Batch.UnderWay;
            return true;
        }
        if (_state == Batch.UnderWay || _pending.Records == 0)
        {
            return false;
        }
        _marked = false;
        Take(clock);
        return true;
    }

    /// <summary>
    /// Takes an empty block instead: with it behind them, damage to the last records is damage and not a torn end. For a shard that
    /// has gone idle, and at a clean stop; then <see cref="WriteCommit"/> and <see cref="EndCommit"/> as for a commit.
    /// </summary>
    public bool BeginMark(LogClock clock)
    {
        if (!NeedsMark || _pending.HasOpenRecord)
        {
            return false;
        }
        _marked = true;
        _pending.Reset(CommittedPosition);
        _pending.BecomeMark();
        Take(clock);
        return true;
    }

    /// <summary>After <see cref="WriteCommit"/> returned.</summary>
    public void EndCommit()
    {
        ThrowIfNoneUnderWay();
        if (_next is { } file)
        {
            // A last segment that holds nothing was replaced, not followed.
            var before = _segments[^1].Bytes > 0 ? _segments : _segments[..^1];
            _segments = [.. before, new SegmentInfo(file, file.First)];
            _next = null;
        }
        var segment = _segments[^1];
        segment.End = CommittedPosition = _batch.End;
        segment.References += _batch.References;
        segment.AppendedReferences += _batch.AppendedReferences;
        _batch.Reset(CommittedPosition);
        _state = Batch.None;
        _newSegment = IsFailing = false;
    }

    /// <summary>After <see cref="WriteCommit"/> threw: the batch stays, to be taken again.</summary>
    public void FailCommit()
    {
        ThrowIfNoneUnderWay();
        _state = Batch.Failed;
        _newSegment = IsFailing = true;
    }

    /// <summary>Outside the lock, one thread: makes the batch durable.</summary>
    /// <exception cref="IOException">It is not; nor is it certain that it is not.</exception>
    public void WriteCommit()
    {
        ThrowIfNoneUnderWay();
        _batch.Seal(_seed);
        var bytes = _batch.Bytes;
        var last = _segments[^1];
        var file = last.File;
        var offset = LogFormat.SegmentHeaderBytes + _batch.Start - last.First;
        if (_newSegment || (last.Bytes > 0 && offset + bytes.Length > _options.SegmentBytes))
        {
            file = Roll(last);
            offset = LogFormat.SegmentHeaderBytes;
        }
        var end = offset + bytes.Length;
        if (end > file.Length)
        {
            // No further than the segment may grow, but for a batch that is larger than that itself.
            file.Extend(Math.Max(end, Math.Min(end + _extendBy, _options.SegmentBytes)));
            _extendBy = Math.Min(2 * _extendBy, _options.ExtendBytesMaximum);
        }
        file.Write(offset, bytes);
    }

    /// <summary>The thread that writes: true once for each segment, when it is half full and <see cref="Prepare"/> is worth its while.</summary>
    public bool TakePreparing()
    {
        var last = _segments[^1];
        if (last == _preparedBehind || last.Bytes < _options.SegmentBytes / 2)
        {
            return false;
        }
        _preparedBehind = last;
        return true;
    }

    /// <summary>Any thread, after <see cref="TakePreparing"/>: lays out the file that the next segment stands in. It need not succeed.</summary>
    /// <exception cref="IOException">The disk does not take it: the next commit that needs a new segment will say so.</exception>
    public void Prepare() => _files.Prepare(_options.SegmentBytes);

    /// <summary>The oldest segment, when nobody needs it and it is not the one that is written: out of the list, to be deleted.</summary>
    public SegmentInfo? TakeUnreferenced()
    {
        if (_segments.Length < 2 || _segments[0].References > 0)
        {
            return null;
        }
        var oldest = _segments[0];
        _segments = _segments[1..];
        return oldest;
    }

    /// <summary>Outside the lock, one thread. One that cannot be deleted now is tried again before the next.</summary>
    /// <exception cref="IOException">It, or one before it, cannot be deleted.</exception>
    public void Delete(SegmentInfo segment)
    {
        _deleting.Enqueue(segment);
        while (_deleting.TryPeek(out var oldest))
        {
            if (_range.Oldest < oldest.End)
            {
                // First: from here on it may be missing.
                Note(_range with { Oldest = oldest.End });
            }
            _files.Delete(oldest.File);
            oldest.File.Dispose();
            _deleting.Dequeue();
        }
    }

    public void Dispose()
    {
        foreach (var segment in _segments.Concat(_deleting))
        {
            segment.File.Dispose();
        }
        _next?.Dispose();
    }

    private static ISegment NewSegment(IShardFiles files, long first, long previous)
    {
        Span<byte> header = stackalloc byte[LogFormat.SegmentHeaderBytes];
        LogFormat.WriteSegmentHeader(header, files.StoreId, files.Shard, first, previous);
        return files.Create(first, header);
    }

    private void Take(LogClock clock)
    {
        if (_pending.HasOpenRecord)
        {
            throw new InvalidOperationException("a record is open");
        }
        (_pending, _batch) = (_batch, _pending);
        _batch.Close();
        _batch.Clock = clock;
        _pending.Reset(_batch.End);
        _state = Batch.UnderWay;
    }

    private ISegment Roll(SegmentInfo last)
    {
        _next?.Dispose();
        _next = null;
        var before = last.Bytes > 0 ? last : _segments.Length > 1 ? _segments[^2] : null;
        _next = NewSegment(_files, _batch.Start, before?.First ?? LogFormat.NoSegment);
        // Before anything is in it that may not be lost.
        Note(_range with { Newest = _batch.Start });
        _extendBy = _options.ExtendBytesMinimum;
        return _next;
    }

    private void Note(SegmentRange range)
    {
        range.Write(_files);
        _range = range;
    }

    private void ThrowIfNoneUnderWay()
    {
        if (_state != Batch.UnderWay)
        {
            throw new InvalidOperationException("no commit is under way");
        }
    }
}
