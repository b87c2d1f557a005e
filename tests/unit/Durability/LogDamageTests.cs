using IotHub.Broker;
using IotHub.Broker.Durability;
using IotHub.Harness;
using Xunit;

namespace IotHub.Unit.Durability;

/// <summary>What of a log's bytes can be wrong, and what is said then.</summary>
public sealed class LogDamageTests
{
    private static readonly LogOptions Options = new()
    {
        SegmentBytes = 700,
        BlockBytesMaximum = 100,
        ExtendBytesMinimum = 64,
        ExtendBytesMaximum = 64,
    };

    [Fact]
    public void Every_flipped_bit_is_found_or_changes_nothing_that_is_read()
    {
        var disk = SmallLog(out var expected);
        var (found, harmless) = (0, 0);
        foreach (var first in disk.Firsts)
        {
            for (var offset = 0; offset < disk.Read(first).Length; offset++)
            {
                var copy = disk.Copy(1);
                copy.FlipBit(first, offset, offset % 8);
                try
                {
                    Assert.Equal(expected, ReadAll(copy, out _));
                    harmless++;
                }
                catch (DamagedLogException e)
                {
                    Assert.Equal($"memory/shard-00/{first}", e.File);
                    Assert.InRange(offset, e.Offset, e.Offset + Math.Max(e.Length, LogFormat.SegmentHeaderBytes));
                    found++;
                }
            }
        }
        Assert.True(disk.Firsts.Count > 2);
        // The mark at the end, and the zeros laid out behind the last block of each segment.
        using var log = ShardLog.Open(disk, Options, (_, _, _) => { });
        var used = log.Segments.Sum(segment => LogFormat.SegmentHeaderBytes + segment.Bytes);
        Assert.Equal(disk.Bytes - used + LogFormat.BlockHeaderBytes, harmless);
        Assert.True(found > 1000, $"{found} found");
    }

    [Fact]
    public void Every_length_the_last_segment_can_be_cut_to_is_a_torn_end()
    {
        var disk = SmallLog(out var expected);
        var last = disk.Firsts.Last();
        var whole = disk.Read(last);
        var before = -1;
        for (var length = LogFormat.SegmentHeaderBytes; length <= whole.Length; length++)
        {
            var copy = disk.Copy(1);
            copy.Replace(last, whole[..length]);
            var read = ReadAll(copy, out var report);
            Assert.Equal(expected.Take(read.Count), read);
            Assert.True(read.Count >= before);
            before = read.Count;
            if (report.TornBytes > 0)
            {
                Assert.Equal(copy.Name + "/" + last, report.TornFile);
                // Cut off for good: it may not come to stand behind what is written next.
                Assert.Equal(report.TornOffset, copy.Read(last).Length);
            }
            Assert.Equal(0, Recovery(copy).TornBytes);
        }
        Assert.Equal(expected.Count, before);
    }

    [Fact]
    public void A_segment_that_is_missing_in_the_middle_is_named_by_its_neighbour()
    {
        var disk = SmallLog(out _);
        var firsts = disk.Firsts.ToList();
        disk.Remove(firsts[1]);
        var damage = Assert.Throws<DamagedLogException>(() => ReadAll(disk, out _));
        Assert.Equal($"memory/shard-00/{firsts[0]}", damage.File);
        Assert.Contains("a segment is missing behind it", damage.Message, StringComparison.Ordinal);
        Assert.Contains($"positions {firsts[1]} to {firsts[2]}", damage.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_oldest_segment_is_missed_although_older_ones_were_deleted()
    {
        var disk = SmallLog(out _);
        using (var log = ShardLog.Open(disk, Options, (_, _, _) => { }))
        {
            log.Delete(log.TakeUnreferenced()!);
        }
        var firsts = disk.Firsts.ToList();
        Assert.True(firsts[0] > 0);
        ReadAll(disk, out _);
        disk.Remove(firsts[0]);
        var damage = Assert.Throws<DamagedLogException>(() => ReadAll(disk, out _));
        Assert.Equal(
            $"memory/shard-00 is not whole: its oldest segment is missing, with positions {firsts[0]} to {firsts[1]}", damage.Message);
    }

    [Fact]
    public void The_newest_segment_is_missed_as_soon_as_something_can_be_in_it()
    {
        var disk = SmallLog(out _);
        var newest = disk.Firsts.Last();
        disk.Remove(newest);
        var damage = Assert.Throws<DamagedLogException>(() => ReadAll(disk, out _));
        Assert.Equal($"memory/shard-00 is not whole: its newest segment is missing, with all positions from {newest} on", damage.Message);
    }

    [Fact]
    public void Each_changed_byte_of_the_note_of_segments_is_found_and_that_of_another_shard_is_not_believed()
    {
        var disk = SmallLog(out var expected);
        var note = disk.ReadNote()!;
        for (var i = 0; i < note.Length; i++)
        {
            var changed = (byte[])note.Clone();
            changed[i] ^= 1;
            disk.WriteNote(changed);
            Assert.Contains("the note of its segments", Message(), StringComparison.Ordinal);
        }
        var other = new MemoryDisk(7, shard: 3, disk.StoreId);
        new SegmentRange(0, 0).Write(other);
        disk.WriteNote(other.ReadNote()!);
        Assert.Contains("that of another shard", Message(), StringComparison.Ordinal);
        disk.WriteNote(note);
        Assert.Equal(expected, ReadAll(disk, out _));

        string Message() => Assert.Throws<DamagedLogException>(() => ReadAll(disk, out _)).Message;
    }

    [Fact]
    public void A_shard_of_an_earlier_broker_gets_its_note_at_the_first_start()
    {
        var disk = SmallLog(out var expected);
        var older = new MemoryDisk(7, storeId: disk.StoreId);
        foreach (var first in disk.Firsts)
        {
            older.Replace(first, disk.Read(first));
        }
        Assert.Equal(expected, ReadAll(older, out _));
        Assert.Equal(disk.ReadNote(), older.ReadNote());
    }

    [Fact]
    public void A_segment_that_lost_its_end_is_damage_when_another_follows()
    {
        var disk = SmallLog(out _);
        var first = disk.Firsts.First();
        disk.Replace(first, disk.Read(first)[..200]);
        Assert.Throws<DamagedLogException>(() => ReadAll(disk, out _));
    }

    [Fact]
    public void A_shard_without_files_is_not_taken_for_a_new_one()
    {
        var refused = Assert.Throws<StartException>(() => ReadAll(new MemoryDisk(1), out _));
        Assert.Contains("the files are missing", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Files_of_another_store_or_shard_are_named()
    {
        var disk = SmallLog(out _);
        var otherStore = new MemoryDisk(9, storeId: Guid.NewGuid());
        var otherShard = new MemoryDisk(9, shard: 3, storeId: disk.StoreId);
        foreach (var first in disk.Firsts)
        {
            otherStore.Replace(first, disk.Read(first));
            otherShard.Replace(first, disk.Read(first));
        }
        Assert.Contains($"belongs to store {disk.StoreId}", Message(otherStore), StringComparison.Ordinal);
        Assert.Contains("belongs to shard 0, not to 3", Message(otherShard), StringComparison.Ordinal);

        static string Message(MemoryDisk other) => Assert.Throws<DamagedLogException>(() => ReadAll(other, out _)).Message;
    }

    [Fact]
    public void A_newer_format_is_refused_and_not_called_damage()
    {
        var disk = SmallLog(out _);
        var bytes = disk.Read(0);
        bytes[8] = 2;
        BitConverter.TryWriteBytes(bytes.AsSpan(60), Crc32C.Of(bytes.AsSpan(0, 60)));
        disk.Replace(0, bytes);
        var refused = Assert.Throws<StartException>(() => ReadAll(disk, out _));
        Assert.Contains("newer broker (log format 2; this one reads up to 1)", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_record_that_rots_after_the_start_is_found_when_it_is_read_back()
    {
        var disk = SmallLog(out var expected);
        using var log = ShardLog.Open(disk, Options, (_, _, _) => { });
        var (position, _, body) = expected[3];
        byte[] buffer = [];
        Assert.Equal(body.Length / 2, log.ReadCommitted(position, ref buffer, out _));
        disk.FlipBit(disk.Firsts.Last(first => first <= position), position - disk.Firsts.Last(first => first <= position) + 64 + 8, 3);
        Assert.Throws<DamagedLogException>(() => log.ReadCommitted(position, ref buffer, out _));
        Assert.Throws<DamagedLogException>(() => log.ReadCommitted(expected[4].Item1 + 8, ref buffer, out _));
    }

    [Fact]
    public void A_full_disk_acknowledges_nothing_and_what_waited_goes_out_first_when_there_is_room_again()
    {
        var disk = new MemoryDisk(5);
        ShardLog.Create(disk);
        using var log = ShardLog.Open(disk, Options, (_, _, _) => { });
        Append(log, 1, [1]);
        Assert.True(Commit(log));
        disk.Capacity = disk.Bytes;
        var waiting = Append(log, 2, new byte[300]);
        for (var i = 0; i < 3; i++)
        {
            Assert.False(Commit(log));
            Assert.True(log.IsFailing && log.HasPending && log.CommittedPosition < waiting);
        }
        var behind = Append(log, 3, [3]);
        disk.Capacity = long.MaxValue;
        Assert.True(Commit(log));
        Assert.True(!log.IsFailing && log.HasPending && log.CommittedPosition > waiting && log.CommittedPosition < behind);
        Assert.True(Commit(log));
        Assert.Equal([1, 2, 3], ReadAll(disk, out _).Select(record => record.Kind));
    }

    /// <summary>Several segments, commits of one and of several blocks, a mark at the end.</summary>
    internal static MemoryDisk SmallLog(out List<(long Position, byte Kind, string Body)> records)
    {
        var disk = new MemoryDisk(7);
        ShardLog.Create(disk);
        using var log = ShardLog.Open(disk, Options, (_, _, _) => { });
        for (var commit = 0; commit < 12; commit++)
        {
            for (var i = 0; i <= commit % 4; i++)
            {
                var body = new byte[(17 * (commit + i) % 60) + 1];
                Array.Fill(body, (byte)(commit + 1));
                Append(log, (byte)(commit + 1), body);
            }
            Assert.True(Commit(log));
        }
        Assert.True(log.BeginMark(new LogClock(99, 199)));
        log.WriteCommit();
        log.EndCommit();
        records = ReadAll(disk, out _);
        return disk;
    }

    internal static List<(long Position, byte Kind, string Body)> ReadAll(MemoryDisk disk, out RecoveryReport report)
    {
        var records = new List<(long, byte, string)>();
        using var log = ShardLog.Open(disk, Options, (position, kind, body) => records.Add((position, kind, Convert.ToHexString(body))));
        report = log.Recovery;
        return records;
    }

    private static RecoveryReport Recovery(MemoryDisk disk)
    {
        ReadAll(disk, out var report);
        return report;
    }

    private static long Append(ShardLog log, byte kind, byte[] body)
    {
        var position = log.Begin(kind);
        body.CopyTo(log.Take(body.Length));
        log.End();
        return position;
    }

    private static bool Commit(ShardLog log)
    {
        Assert.True(log.BeginCommit(new LogClock(1, 2)));
        try
        {
            log.WriteCommit();
        }
        catch (IOException)
        {
            log.FailCommit();
            return false;
        }
        log.EndCommit();
        return true;
    }
}
