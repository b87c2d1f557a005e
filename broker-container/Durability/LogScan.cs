using System.Buffers.Binary;

namespace IotHub.Broker.Durability;

/// <summary>A range that cannot be read although what comes behind it can.</summary>
/// <param name="Segment">Index of its segment.</param>
/// <param name="IsHeader">The segment's header; no record is lost with it.</param>
/// <param name="Commit">First position of the commit that the range begins in.</param>
/// <param name="EndsCommit">What follows the range belongs to another commit.</param>
/// <param name="RecordsBefore">Whole records of the shard before it.</param>
internal sealed record Damage(
    int Segment, string File, long Offset, long Length, long Position, string What, bool IsHeader, long Commit, bool EndsCommit,
    long RecordsBefore)
{
    public DamagedLogException ToException() => new(
        File, Offset, Length, IsHeader ? What : $"{What} (positions {Position} to {Position + Length}); whole data follows it");
}

/// <summary>
/// Reads a whole log in order. A commit is written only after the one before it is durable, so a bad block with nothing whole of a later
/// commit behind it is the torn end of the last write; with something whole behind it, it is damage.
/// </summary>
internal sealed class LogScan(IShardFiles files, IReadOnlyList<ISegment> segments, RecordReader apply, Action<Damage> damaged)
{
    private readonly uint _seed = LogFormat.Seed(files.StoreId, files.Shard);
    private readonly SegmentWindow _window = new();
    private BlockHeader? _gap;

    public long Records { get; private set; }

    public long Blocks { get; private set; }

    public long Bytes { get; private set; }

    public int Gaps { get; private set; }

    public LogClock LastClock { get; private set; }

    /// <summary>The last block is an empty one.</summary>
    public bool EndsWithMark { get; private set; } = true;

    /// <summary>Position behind the last whole commit.</summary>
    public long End { get; private set; }

    /// <summary>Where the last segment's torn end begins in its file, or -1.</summary>
    public long TornOffset { get; private set; } = -1;

    /// <summary>Bytes from there to the last that is not zero.</summary>
    public long TornBytes { get; private set; }

    public void Run()
    {
        var headers = segments.Select((segment, index) => CheckHeader(index, segment)).ToList();
        for (var i = 0; i < segments.Count; i++)
        {
            var next = i + 1 < segments.Count ? segments[i + 1].First : long.MaxValue;
            ScanSegment(i, next, i + 1 < segments.Count && headers[i + 1] is { } header && header.Previous != segments[i].First);
        }
    }

    private SegmentHeader? CheckHeader(int index, ISegment segment)
    {
        var bytes = new byte[LogFormat.SegmentHeaderBytes];
        var read = segment.Read(0, bytes);
        if (!LogFormat.TryReadSegmentHeader(bytes.AsSpan(0, read), out var header))
        {
            damaged(HeaderDamage(index, segment, "the segment's header is not whole"));
            return null;
        }
        if (header.Version > LogFormat.Version)
        {
            throw new StartException(
                $"{segment.Name} was written by a newer broker (log format {header.Version}; this one reads up to {LogFormat.Version})");
        }
        if (header.StoreId != files.StoreId || header.Shard != files.Shard || header.First != segment.First)
        {
            throw new DamagedLogException(segment.Name, 0, 0, header.StoreId != files.StoreId
                ? $"the file belongs to store {header.StoreId}, not to {files.StoreId}"
                : header.Shard != files.Shard ? $"the file belongs to shard {header.Shard}, not to {files.Shard}"
                : $"the file begins at position {header.First}, not at {segment.First} as its name says");
        }
        return header;
    }

    private void ScanSegment(int index, long next, bool oneIsMissing)
    {
        var segment = segments[index];
        _window.Open(segment, next == long.MaxValue ? segment.Length : Math.Min(segment.Length, OffsetOf(segment, next)));
        var position = segment.First;
        var commit = position;
        while (position < next)
        {
            var start = position;
            var bad = ReadCommit(segment, ref position, ref commit, next);
            if (bad is null)
            {
                continue;
            }
            if (commit == position && _window.EndOfBytes(OffsetOf(segment, position)) == OffsetOf(segment, position))
            {
                if (next == long.MaxValue)
                {
                    break;
                }
                bad = oneIsMissing ? "a segment is missing behind it" : "the end of the segment is missing";
            }
            var (whole, later) = FindWhole(segment, position, commit);
            if (next == long.MaxValue && !later)
            {
                TornOffset = OffsetOf(segment, commit);
                TornBytes = _window.EndOfBytes(TornOffset) - TornOffset;
                position = commit;
                break;
            }
            Give(segment, start, position);
            position = SkipDamage(index, position, whole?.Position ?? next, ref commit, whole, bad);
        }
        End = position;
    }

    /// <summary>Reads from <paramref name="position"/> to the end of its commit and gives the records out.</summary>
    /// <returns>Null, or why not; <paramref name="position"/> is then that of the bad block.</returns>
    private string? ReadCommit(ISegment segment, ref long position, ref long commit, long next)
    {
        var start = position;
        while (true)
        {
            var offset = OffsetOf(segment, position);
            if (ReadBlock(position, offset, keepFrom: OffsetOf(segment, start), out var header) is { } bad)
            {
                return bad;
            }
            var begins = header.Commit == position || (_gap is { } gap && gap.End == position && header.Commit >= gap.Position);
            if (position == start && commit != header.Commit && begins)
            {
                commit = header.Commit;
            }
            if (header.Commit != commit)
            {
                return "a block of another commit stands there";
            }
            if (header.End > next)
            {
                return "a block runs into the next segment";
            }
            position = header.End;
            if (header.LastOfCommit)
            {
                Give(segment, start, position);
                commit = position;
                return null;
            }
        }
    }

    private string? ReadBlock(long position, long offset, long keepFrom, out BlockHeader header)
    {
        header = default;
        var bytes = _window.Get(offset, LogFormat.BlockHeaderBytes, keepFrom);
        if (bytes.Length < LogFormat.BlockHeaderBytes || !LogFormat.BlockMayBe(bytes, position, _window.End - offset))
        {
            return "no block stands there";
        }
        header = LogFormat.ReadBlockHeader(bytes);
        var size = LogFormat.BlockHeaderBytes + header.BodyBytes;
        var block = _window.Get(offset, size, keepFrom);
        return block.Length < size || !LogFormat.BlockIsWhole(block, _seed) ? "the block's checksum does not match" : null;
    }

    private void Give(ISegment segment, long start, long end)
    {
        for (var position = start; position < end;)
        {
            var offset = OffsetOf(segment, position);
            var header = LogFormat.ReadBlockHeader(_window.Get(offset, LogFormat.BlockHeaderBytes, offset));
            if (header.Kind == BlockKind.Gap)
            {
                Gaps++;
                _gap = header;
            }
            else if (header.Kind == BlockKind.Records)
            {
                var body = _window.Get(offset + LogFormat.BlockHeaderBytes, header.BodyBytes, offset);
                GiveRecords(segment, body, position + LogFormat.BlockHeaderBytes);
            }
            else
            {
                throw new StartException($"{segment.Name} holds a block of kind {(int)header.Kind}, which this broker does not know");
            }
            Blocks++;
            Bytes += header.End - position;
            LastClock = header.Kind == BlockKind.Gap ? LastClock : header.Clock;
            EndsWithMark = header.BodyBytes == 0;
            position = header.End;
        }
    }

    private void GiveRecords(ISegment segment, ReadOnlySpan<byte> body, long position)
    {
        for (var at = 0; at < body.Length;)
        {
            var length = BinaryPrimitives.ReadInt32LittleEndian(body[at..]);
            var room = body.Length - at - LogFormat.RecordHeaderBytes;
            if (length < 0 || length > room)
            {
                throw new DamagedLogException(segment.Name, OffsetOf(segment, position + at), 0, "a record does not fit into its block");
            }
            apply(position + at, body[at + 4], body.Slice(at + LogFormat.RecordHeaderBytes, length));
            Records++;
            at += LogFormat.RecordHeaderBytes + LogFormat.Padded(length);
        }
    }

    /// <summary>The first whole block behind a bad one, and whether any belongs to a later commit.</summary>
    private (BlockHeader? First, bool Later) FindWhole(ISegment segment, long position, long commit)
    {
        BlockHeader? first = null;
        for (var at = position + 8; at <= segment.First + _window.End - LogFormat.SegmentHeaderBytes - LogFormat.BlockHeaderBytes;)
        {
            var offset = _window.Find(LogFormat.BlockMagic, OffsetOf(segment, at));
            if (offset < 0)
            {
                break;
            }
            at = segment.First + offset - LogFormat.SegmentHeaderBytes;
            if (ReadBlock(at, offset, offset, out var header) is null)
            {
                first ??= header;
                if (header.Commit > commit)
                {
                    return (first, true);
                }
                at = header.End;
            }
            else
            {
                at += 8;
            }
        }
        return (first, false);
    }

    private long SkipDamage(int index, long from, long to, ref long commit, BlockHeader? whole, string what)
    {
        var segment = segments[index];
        var endsCommit = whole?.Commit != commit;
        var offset = OffsetOf(segment, from);
        damaged(new Damage(index, segment.Name, offset, to - from, from, what, IsHeader: false, commit, endsCommit, Records));
        // From here on as if a gap stood there.
        _gap = new BlockHeader((int)(to - from - LogFormat.BlockHeaderBytes), BlockKind.Gap, endsCommit, from, commit, LastClock);
        commit = whole?.Commit ?? to;
        return to;
    }

    private Damage HeaderDamage(int index, ISegment segment, string what) =>
        new(index, segment.Name, 0, LogFormat.SegmentHeaderBytes, segment.First, what, IsHeader: true, segment.First, EndsCommit: false,
            Records);

    private static long OffsetOf(ISegment segment, long position) => LogFormat.SegmentHeaderBytes + position - segment.First;
}
