using IotHub.Broker;
using IotHub.Broker.Durability;
using IotHub.Harness;
using Xunit;

namespace IotHub.Unit.Durability;

/// <summary>Giving up what is damaged, and nothing else.</summary>
public sealed class LogRepairTests
{
    [Fact]
    public void Whatever_byte_is_damaged_everything_outside_the_named_range_is_read_after_the_repair()
    {
        var disk = LogDamageTests.SmallLog(out var expected);
        var repaired = 0;
        foreach (var first in disk.Firsts)
        {
            for (var offset = 0; offset < disk.Read(first).Length; offset += 5)
            {
                var copy = disk.Copy(1);
                copy.FlipBit(first, offset, offset % 8);
                if (new LogRepair(copy).Run(TextWriter.Null, null) == 0)
                {
                    continue;
                }
                var kept = Repair(copy);
                Assert.Equal(0, new LogRepair(copy).Run(TextWriter.Null, null));
                var (from, to) = Assert.Single(kept);
                var outside = expected.Where(record => record.Position < from || record.Position >= to);
                Assert.Equal(outside, LogDamageTests.ReadAll(copy, out _));
                repaired++;
            }
        }
        Assert.True(repaired > 200, $"{repaired} repaired");
    }

    [Fact]
    public void Damage_in_several_places_and_a_missing_segment_are_repaired_at_once()
    {
        var disk = LogDamageTests.SmallLog(out var expected);
        var firsts = disk.Firsts.ToList();
        Assert.True(firsts.Count >= 4);
        disk.Remove(firsts[2]);
        disk.FlipBit(firsts[0], 80, 1);
        disk.FlipBit(firsts[^1], 80, 1);
        disk.FlipBit(firsts[^1], 10, 1);
        Assert.Equal(4, new LogRepair(disk).Run(TextWriter.Null, null));

        List<(long From, long To)> ranges = [.. Repair(disk), (firsts[2], firsts[3])];

        var read = LogDamageTests.ReadAll(disk, out var report);
        Assert.Equal(expected.Where(record => ranges.All(range => record.Position < range.From || record.Position >= range.To)), read);
        Assert.Equal(3, report.Gaps);
        Assert.InRange(read.Count, 3, expected.Count - 3);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_missing_first_or_last_segment_is_given_up_when_told(bool isOldest)
    {
        var disk = LogDamageTests.SmallLog(out var expected);
        var firsts = disk.Firsts.ToList();
        disk.Remove(isOldest ? firsts[0] : firsts[^1]);
        using var output = new StringWriter();
        Assert.Equal(1, new LogRepair(disk).Run(output, null));
        Assert.Contains($"its {(isOldest ? "oldest" : "newest")} segment is missing", output.ToString(), StringComparison.Ordinal);
        Assert.Throws<DamagedLogException>(() => LogDamageTests.ReadAll(disk, out _));

        Assert.Empty(Repair(disk));

        var left = expected.Where(record => isOldest ? record.Position >= firsts[1] : record.Position < firsts[^1]);
        Assert.Equal(left, LogDamageTests.ReadAll(disk, out _));
        Assert.Equal(0, new LogRepair(disk).Run(TextWriter.Null, null));
    }

    [Fact]
    public void The_command_says_what_it_would_give_up_and_changes_nothing_until_told()
    {
        using var folder = new TempFolder("repair");
        var file = Damaged(folder);
        var before = File.ReadAllBytes(file);

        var (code, output) = Run("--data", folder.Path);
        Assert.Equal(1, code);
        Assert.Contains($"{file}: offset 64, 72 bytes: the block's checksum does not match; positions 0 to 72 would be given up; "
            + "0 whole records before it, 1 behind it", output, StringComparison.Ordinal);
        Assert.Contains("nothing was changed", output, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllBytes(file));

        (code, output) = Run("--data", folder.Path, "--shard", "1");
        Assert.Equal((0, "shard 1: 0 whole records in 1 files, damaged ranges: 0, given up before: 0"), (code, output.Trim()));

        (code, output) = Run("--data", folder.Path, "--apply");
        Assert.Equal(0, code);
        Assert.Equal(before[64..(64 + 72)], File.ReadAllBytes(file + ".damaged-64"));
        var records = new List<byte>();
        using var store = BrokerStore.Open(folder.Path, 1);
        using var log = ShardLog.Open(store.FilesOf(0), new LogOptions(), (_, kind, _) => records.Add(kind));
        Assert.Equal([2], records);
        Assert.Equal(1, log.Recovery.Gaps);
    }

    [Fact]
    public void The_command_keeps_off_a_store_in_use_and_says_what_it_does_not_understand()
    {
        using var folder = new TempFolder("repair");
        Damaged(folder);
        using var store = BrokerStore.Open(folder.Path, 1);
        Assert.Contains("used by another process", Run("--data", folder.Path).Output, StringComparison.Ordinal);
        Assert.Contains("--all is not understood", Run("--all").Output, StringComparison.Ordinal);
        Assert.Contains("which store?", Run().Output, StringComparison.Ordinal);
        Assert.Contains("holds no store", Run("--data", folder.Combine("nothing")).Output, StringComparison.Ordinal);
    }

    private static List<(long From, long To)> Repair(MemoryDisk disk)
    {
        var kept = new List<(long, long)>();
        new LogRepair(disk).Run(TextWriter.Null, (segment, offset, bytes) =>
        {
            // Of a header no record is lost; of a segment that is missing there is nothing to keep.
            kept.Add(offset == 0 ? (0, 0) : (segment.First + offset - 64, segment.First + offset - 64 + Math.Max(48, bytes.Length)));
            return "";
        });
        return kept;
    }

    private static string Damaged(TempFolder folder)
    {
        using (var store = BrokerStore.Open(folder.Path, 2))
        using (var log = ShardLog.Open(store.FilesOf(0), new LogOptions(), (_, _, _) => { }))
        {
            for (byte kind = 1; kind <= 2; kind++)
            {
                log.Begin(kind);
                log.Take(10).Fill(kind);
                log.End();
                Assert.True(log.BeginCommit(new LogClock(1, 1)));
                log.WriteCommit();
                log.EndCommit();
            }
        }
        var file = Assert.Single(Directory.GetFiles(folder.Combine("shard-00"), "*.log"));
        var bytes = File.ReadAllBytes(file);
        bytes[64 + 60] ^= 1;
        File.WriteAllBytes(file, bytes);
        return file;
    }

    private static (int Code, string Output) Run(params string[] args)
    {
        using var output = new StringWriter();
        var code = RepairCommand.Run(args, output, output);
        return (code, output.ToString());
    }
}
