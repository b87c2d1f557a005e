namespace IotHub.Broker.Durability;

/// <summary>Bounds and sizes of one shard's log.</summary>
public sealed record LogOptions
{
    /// <summary>A segment that reached this size is followed by the next. Smaller frees the disk sooner; larger: fewer files.</summary>
    public long SegmentBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>A log below this size is not cleaned: rewriting what is needed of its oldest segment would gain little.</summary>
    public long CleanFromBytes { get; init; } = 32 * 1024 * 1024;

    /// <summary>The record that takes a block over this size is its last; a larger record makes a larger block.</summary>
    public int BlockBytesMaximum { get; init; } = 256 * 1024;

    /// <summary>Zeros laid out ahead in a new segment; each further step is twice that, up to <see cref="ExtendBytesMaximum"/>.</summary>
    public int ExtendBytesMinimum { get; init; } = 256 * 1024;

    /// <summary>Larger steps hold up the commit that has to make one for longer, smaller ones do so more often.</summary>
    public int ExtendBytesMaximum { get; init; } = 1024 * 1024;

    /// <summary>A buffer that a burst made larger than this is given back to the collector.</summary>
    public int BufferBytesKept { get; init; } = 1024 * 1024;
}

/// <summary>What a block is stamped with; the meaning is the writer's.</summary>
public readonly record struct LogClock(long TimeMs, long WallMs);

/// <summary>Takes one record. The body is valid during the call only.</summary>
public delegate void RecordReader(long position, byte kind, ReadOnlySpan<byte> body);

/// <summary>What was found when a log was opened.</summary>
/// <param name="TornBytes">Bytes of a commit that never came to its end, cut off; 0 for none.</param>
/// <param name="TornFile">Where they were.</param>
/// <param name="Gaps">Ranges given up by a repair.</param>
public sealed record RecoveryReport(
    int Segments, long Records, long Blocks, long Bytes, long TornBytes, string? TornFile, long TornOffset, int Gaps);

/// <summary>Bytes of a log are not what was written. The message is one sentence for the operator.</summary>
public sealed class DamagedLogException : Exception
{
    public DamagedLogException(string file, long offset, long length, string what)
        : base($"{file} is damaged at offset {offset}{(length > 0 ? $", {length} bytes" : "")}: {what}")
    {
        File = file;
        Offset = offset;
        Length = length;
    }

    /// <summary>It is not one range of bytes that is wrong.</summary>
    public DamagedLogException(string sentence, string folder)
        : base(sentence) => File = folder;

    public string File { get; }

    public long Offset { get; }

    /// <summary>Bytes that cannot be read; 0 when that is not known.</summary>
    public long Length { get; }
}

/// <summary>One segment of an open log. References are counted under the log's lock.</summary>
public sealed class SegmentInfo
{
    internal SegmentInfo(ISegment file, long end)
    {
        File = file;
        First = file.First;
        End = end;
    }

    /// <summary>Position of its first block.</summary>
    public long First { get; }

    /// <summary>Position behind its last committed block.</summary>
    public long End { get; internal set; }

    public long Bytes => End - First;

    /// <summary>Records in it that somebody still needs.</summary>
    public long References { get; internal set; }

    /// <summary>References ever added since the log was opened.</summary>
    public long AppendedReferences { get; internal set; }

    internal ISegment File { get; }
}
