using System.Buffers.Binary;

namespace IotHub.Broker.Durability;

/// <summary>Reading back, and the counting of what is still needed.</summary>
public sealed partial class ShardLog
{
    /// <summary>Read at once with a record's header: most records are no larger.</summary>
    private const int BytesAtOnce = 512;

    /// <summary>Under the lock: the record at <paramref name="position"/>, pending ones too.</summary>
    /// <param name="buffer">Takes the body; replaced by a larger one when need be.</param>
    /// <returns>Length of the body, or -1 when nothing is there: before the oldest segment or behind the last record.</returns>
    /// <exception cref="IOException">The disk cannot be read.</exception>
    /// <exception cref="DamagedLogException">No whole record stands there.</exception>
    public int TryRead(long position, ref byte[] buffer, out byte kind)
    {
        if (position >= _pending.Start)
        {
            return _pending.Read(position, ref buffer, out kind);
        }
        if (position >= CommittedPosition)
        {
            return _batch.Read(position, ref buffer, out kind);
        }
        return ReadCommitted(position, ref buffer, out kind);
    }

    /// <summary>Any thread: a record before <see cref="CommittedPosition"/>.</summary>
    /// <param name="buffer">Takes the body; replaced by a larger one when need be.</param>
    /// <returns>Length of the body, or -1 when its segment is gone.</returns>
    /// <exception cref="IOException">The disk cannot be read.</exception>
    /// <exception cref="DamagedLogException">No whole record stands there.</exception>
    public int ReadCommitted(long position, ref byte[] buffer, out byte kind)
    {
        var segments = _segments;
        var index = Find(segments, position);
        if (index < 0)
        {
            kind = 0;
            return -1;
        }
        try
        {
            return ReadCommitted(segments[index].File, position, ref buffer, out kind);
        }
        catch (ObjectDisposedException)
        {
            // Deleted while we looked.
            kind = 0;
            return -1;
        }
    }

    private int ReadCommitted(ISegment file, long position, ref byte[] buffer, out byte kind)
    {
        var offset = LogFormat.SegmentHeaderBytes + position - file.First;
        if (buffer.Length < BytesAtOnce)
        {
            buffer = new byte[BytesAtOnce];
        }
        var read = file.Read(offset, buffer.AsSpan(0, Math.Min(buffer.Length, 8 * BytesAtOnce)));
        var length = read < LogFormat.RecordHeaderBytes ? -1 : BinaryPrimitives.ReadInt32LittleEndian(buffer);
        if (length < 0 || length > file.Length - offset - LogFormat.RecordHeaderBytes)
        {
            throw NoRecord(file, offset);
        }
        kind = buffer[4];
        var check = LogFormat.ReadRecordCheck(buffer);
        var have = Math.Min(read - LogFormat.RecordHeaderBytes, length);
        if (length > buffer.Length)
        {
            var larger = new byte[Math.Max(length, Math.Min(2 * buffer.Length, Array.MaxLength))];
            buffer.AsSpan(LogFormat.RecordHeaderBytes, have).CopyTo(larger);
            buffer = larger;
        }
        else
        {
            buffer.AsSpan(LogFormat.RecordHeaderBytes, have).CopyTo(buffer);
        }
        if (have < length && file.Read(offset + LogFormat.RecordHeaderBytes + have, buffer.AsSpan(have, length - have)) < length - have)
        {
            throw NoRecord(file, offset);
        }
        return LogFormat.RecordCheck(_seed, position, kind, buffer.AsSpan(0, length)) == check ? length : throw NoRecord(file, offset);
    }

    /// <summary>Hands each record of the committed block that begins at <paramref name="position"/> to <paramref name="apply"/>, in order.</summary>
    /// <returns>Position behind the block.</returns>
    /// <exception cref="IOException">The disk cannot be read.</exception>
    /// <exception cref="DamagedLogException">No whole block stands there.</exception>
    public long ReadBlock(long position, RecordReader apply)
    {
        var segments = _segments;
        var file = Find(segments, position) is var index and >= 0
            ? segments[index].File
            : throw new ArgumentOutOfRangeException(nameof(position), position, "the segment of this block is gone");
        var offset = LogFormat.SegmentHeaderBytes + position - file.First;
        var head = new byte[LogFormat.BlockHeaderBytes];
        if (file.Read(offset, head) < head.Length || !LogFormat.BlockMayBe(head, position, file.Length - offset))
        {
            throw NoRecord(file, offset);
        }
        var header = LogFormat.ReadBlockHeader(head);
        var block = new byte[LogFormat.BlockHeaderBytes + header.BodyBytes];
        if (file.Read(offset, block) < block.Length || !LogFormat.BlockIsWhole(block, _seed))
        {
            throw NoRecord(file, offset);
        }
        var body = header.Kind == BlockKind.Records ? block.AsSpan(LogFormat.BlockHeaderBytes) : [];
        for (var at = 0; at < body.Length;)
        {
            var length = BinaryPrimitives.ReadInt32LittleEndian(body[at..]);
            apply(
                position + LogFormat.BlockHeaderBytes + at, body[at + 4], body.Slice(at + LogFormat.RecordHeaderBytes, length));
            at += LogFormat.RecordHeaderBytes + LogFormat.Padded(length);
        }
        return header.End;
    }

    /// <summary>Under the lock: one more needs the record there.</summary>
    public void AddReference(long position)
    {
        if (Gathering(position) is { } buffer)
        {
            buffer.References++;
            buffer.AppendedReferences++;
        }
        else if (Find(_segments, position) is var index and >= 0)
        {
            _segments[index].References++;
            _segments[index].AppendedReferences++;
        }
        else
        {
            throw new ArgumentOutOfRangeException(nameof(position), position, "the segment of this record is gone");
        }
    }

    /// <summary>Under the lock: one less needs the record there.</summary>
    public void DropReference(long position)
    {
        var left = Gathering(position) is { } buffer ? --buffer.References
            : Find(_segments, position) is var index and >= 0 ? --_segments[index].References
            : throw new ArgumentOutOfRangeException(nameof(position), position, "the segment of this record is gone");
        if (left < 0)
        {
            throw new InvalidOperationException($"more references dropped than added around position {position}");
        }
    }

    private LogBuffer? Gathering(long position) =>
        position >= _pending.Start ? _pending : position >= CommittedPosition ? _batch : null;

    /// <summary>Index of the segment that holds a position, or -1 when it is older than all of them.</summary>
    private static int Find(SegmentInfo[] segments, long position)
    {
        // What is read back is mostly new.
        if (position >= segments[^1].First)
        {
            return segments.Length - 1;
        }
        var (low, high) = (0, segments.Length - 1);
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            if (segments[middle].First <= position)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }
        return low - 1;
    }

    private static DamagedLogException NoRecord(ISegment file, long offset) => new(file.Name, offset, 0, "no whole record is there");
}
