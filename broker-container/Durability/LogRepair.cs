namespace IotHub.Broker.Durability;

/// <summary>Finds every damaged range of one shard, and gives them up when the operator says so.</summary>
internal sealed class LogRepair(IShardFiles files)
{
    /// <summary>What stands where a gap is put, kept for whoever can still read something in it.</summary>
    public delegate string Keep(ISegment segment, long offset, ReadOnlySpan<byte> bytes);

    /// <summary>Says line by line what is wrong; with <paramref name="keep"/> it is also repaired.</summary>
    /// <returns>The number of damaged ranges.</returns>
    /// <exception cref="DamagedLogException">Something is wrong that a gap cannot mend.</exception>
    public int Run(TextWriter output, Keep? keep)
    {
        var segments = files.Open();
        try
        {
            if (segments.Count == 0)
            {
                throw new StartException($"{files.Name} holds no part of its log: the files are missing");
            }
            var damages = new List<Damage>();
            var scan = new LogScan(files, segments, (_, _, _) => { }, damages.Add);
            scan.Run();
            foreach (var damage in damages)
            {
                Say(output, damage, scan.Records);
                if (keep is not null)
                {
                    Mend(output, segments, damage, keep);
                }
            }
            var found = damages.Count + CheckRange(output, segments, mend: keep is not null);
            var end = scan.TornOffset < 0 ? ""
                : $"; {scan.TornBytes} bytes at offset {scan.TornOffset} of {segments[^1].Name} are an unfinished write, "
                + "which the next start cuts off";
            output.WriteLine(
                $"shard {files.Shard}: {scan.Records} whole records in {segments.Count} files, "
                + $"damaged ranges: {found}, given up before: {scan.Gaps}{end}");
            return found;
        }
        finally
        {
            foreach (var segment in segments)
            {
                segment.Dispose();
            }
        }
    }

    /// <summary>Is the oldest or newest segment missing? Then it is given up by a note that does not name it.</summary>
    /// <returns>1 if so, else 0.</returns>
    private int CheckRange(TextWriter output, IReadOnlyList<ISegment> segments, bool mend)
    {
        try
        {
            SegmentRange.Read(files)?.ThrowIfMissing(files, segments);
            return 0;
        }
        catch (DamagedLogException e)
        {
            output.WriteLine($"{e.Message}; what was in it would be given up");
        }
        if (mend)
        {
            SegmentRange.Of(segments).Write(files);
            output.WriteLine($"{files.Name}: given up; the log is what is there");
        }
        return 1;
    }

    private static void Say(TextWriter output, Damage damage, long records)
    {
        var loss = damage.IsHeader
            ? "no record is lost with it"
            : $"positions {damage.Position} to {damage.Position + damage.Length} would be given up";
        output.WriteLine(
            $"{damage.File}: offset {damage.Offset}, {damage.Length} bytes: {damage.What}; {loss}; "
            + $"{damage.RecordsBefore} whole records before it, {records - damage.RecordsBefore} behind it");
    }

    private void Mend(TextWriter output, IReadOnlyList<ISegment> segments, Damage damage, Keep keep)
    {
        var segment = segments[damage.Segment];
        if (damage.Length is < LogFormat.BlockHeaderBytes or > int.MaxValue)
        {
            throw new DamagedLogException(damage.File, damage.Offset, damage.Length, "no gap of this size can be written");
        }
        var old = new byte[Math.Clamp(segment.Length - damage.Offset, 0, damage.Length)];
        var kept = keep(segment, damage.Offset, old.AsSpan(0, segment.Read(damage.Offset, old)));
        var bytes = new byte[damage.Length];
        if (damage.IsHeader)
        {
            var previous = damage.Segment > 0 ? segments[damage.Segment - 1].First : LogFormat.NoSegment;
            LogFormat.WriteSegmentHeader(bytes, files.StoreId, files.Shard, segment.First, previous);
        }
        else
        {
            var body = (int)damage.Length - LogFormat.BlockHeaderBytes;
            LogFormat.SealBlock(bytes, LogFormat.Seed(files.StoreId, files.Shard), new BlockHeader(
                body, BlockKind.Gap, damage.EndsCommit, damage.Position, damage.Commit, default));
        }
        segment.Write(damage.Offset, bytes);
        output.WriteLine($"{damage.File}: given up; the old bytes are in {kept}");
    }
}
