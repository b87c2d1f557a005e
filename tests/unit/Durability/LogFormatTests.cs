using System.Text;
using IotHub.Broker.Durability;
using IotHub.Harness;
using Xunit;

namespace IotHub.Unit.Durability;

/// <summary>Freezes docs/formats/log.md: these bytes are on other people's disks.</summary>
public sealed class LogFormatTests
{
    private static readonly Guid Store = new("00112233-4455-6677-8899-aabbccddeeff");

    [Fact]
    public void The_checksum_is_CRC_32C() => Assert.Equal(0xE3069283, Crc32C.Of("123456789"u8));

    [Fact]
    public void Kinds_of_blocks_may_only_grow() =>
        Assert.Equal(
            [(BlockKind.Records, (byte)0), (BlockKind.Gap, (byte)1)],
            Enum.GetValues<BlockKind>().Select(kind => (kind, (byte)kind)));

    [Fact]
    public void A_small_log_has_these_bytes()
    {
        var bytes = Written();
        Assert.Equal(Vector, Convert.ToHexString(bytes).ToLowerInvariant());
    }

    [Fact]
    public void These_bytes_are_read_for_good()
    {
        var disk = new MemoryDisk(1, 2, Store);
        disk.Replace(0, Convert.FromHexString(Vector));
        var records = new List<string>();
        using var log = ShardLog.Open(
            disk, new LogOptions(), (position, kind, body) => records.Add($"{position} {kind} {Encoding.UTF8.GetString(body)}"));
        Assert.Equal(["48 7 hello", "64 8 "], records);
        Assert.Equal((new LogClock(1002, 1_764_000_000_002), 120L), (log.LastClock, log.CommittedPosition));
    }

    [Fact]
    public void The_note_of_segments_has_these_bytes()
    {
        var disk = new MemoryDisk(1, 2, Store);
        new SegmentRange(4096, 16_777_216).Write(disk);
        Assert.Equal("iothub-segments 1\noldest 4096\nnewest 16777216\ncheck 9bf463a0\n", Encoding.ASCII.GetString(disk.ReadNote()!));
        Assert.Equal(new SegmentRange(4096, 16_777_216), SegmentRange.Read(disk));
    }

    private static byte[] Written()
    {
        var disk = new MemoryDisk(1, 2, Store);
        ShardLog.Create(disk);
        using var log = ShardLog.Open(disk, new LogOptions { ExtendBytesMinimum = 0, SegmentBytes = 64 }, (_, _, _) => { });
        log.Begin(7);
        "hello"u8.CopyTo(log.Take(5));
        log.End();
        log.Begin(8);
        log.End();
        Assert.True(log.BeginCommit(new LogClock(1001, 1_764_000_000_001)));
        log.WriteCommit();
        log.EndCommit();
        using var large = ShardLog.Open(disk, new LogOptions { ExtendBytesMinimum = 0 }, (_, _, _) => { });
        Assert.False(large.NeedsMark && large.HasPending);
        Assert.True(large.BeginMark(new LogClock(1002, 1_764_000_000_002)));
        large.WriteCommit();
        large.EndCommit();
        return disk.Read(0);
    }

    private const string Vector =
        // the segment: magic, version, shard, store, first, previous, zeros, crc
        "494f544855424c47010000000200000000112233445566778899aabbccddeeff0000000000000000ffffffffffffffff0000000000000000000000003c35be14" +
        // a block: magic, crc, body length, kind, flags, position, commit, times
        "424c4f4b24b10625180000000001000000000000000000000000000000000000e90300000000000001e897b69a010000" +
        // a record: length 5, kind 7, check, "hello", padding
        "0500000007a5f9a768656c6c6f000000" +
        // a record: length 0, kind 8, check
        "000000000861adcc" +
        // a mark: a block without a body
        "424c4f4be77892af000000000001000048000000000000004800000000000000ea0300000000000002e897b69a010000";
}
