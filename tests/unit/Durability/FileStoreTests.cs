using System.Text;
using IotHub.Broker;
using IotHub.Broker.Durability;
using IotHub.Harness;
using Xunit;

namespace IotHub.Unit.Durability;

/// <summary>The log on real files, and the folder they stand in.</summary>
public sealed class FileStoreTests : IDisposable
{
    private static readonly LogClock Clock = new(1, 2);

    private readonly TempFolder _folder = new("store");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void What_was_committed_is_read_again_in_order_and_what_was_not_is_gone()
    {
        var positions = new List<long>();
        using (var store = BrokerStore.Open(_folder.Path, 2))
        using (var log = ShardLog.Open(store.FilesOf(1), new LogOptions(), Nothing))
        {
            positions.Add(Append(log, 1, "first"));
            positions.Add(Append(log, 2, ""));
            Commit(log, new LogClock(10, 20));
            positions.Add(Append(log, 3, new string('x', 5000)));
            Commit(log, new LogClock(11, 21));
            Append(log, 4, "not committed");
        }

        var read = new List<(long, byte, string)>();
        using var again = BrokerStore.Open(_folder.Path, 5);
        using var reopened = ShardLog.Open(again.FilesOf(1), new LogOptions(), (position, kind, body) => read.Add((position, kind, Text(body))));

        Assert.Equal(2, again.Shards);
        Assert.Equal([(positions[0], 1, "first"), (positions[1], 2, ""), (positions[2], 3, new string('x', 5000))], read);
        Assert.Equal(new LogClock(11, 21), reopened.LastClock);
        Assert.Equal((3L, 0L), (reopened.Recovery.Records, reopened.Recovery.TornBytes));
        byte[] buffer = [];
        foreach (var (position, kind, text) in read)
        {
            var length = reopened.ReadCommitted(position, ref buffer, out var found);
            Assert.Equal((kind, text), (found, Text(buffer.AsSpan(0, length))));
        }
    }

    [Fact]
    public void Segments_follow_each_other_and_go_when_nobody_needs_them()
    {
        using var store = BrokerStore.Open(_folder.Path, 1);
        var options = new LogOptions { SegmentBytes = 64 * 1024, ExtendBytesMinimum = 4096, ExtendBytesMaximum = 16 * 1024 };
        var positions = new List<long>();
        using var log = ShardLog.Open(store.FilesOf(0), options, Nothing);
        for (var i = 0; i < 100; i++)
        {
            positions.Add(Append(log, 1, new string('x', 4000)));
            log.AddReference(positions[^1]);
            Commit(log, Clock);
        }
        Assert.InRange(log.Segments.Count, 6, 8);
        Assert.Null(log.TakeUnreferenced());

        positions.ForEach(log.DropReference);
        while (log.TakeUnreferenced() is { } segment)
        {
            log.Delete(segment);
        }

        Assert.Single(log.Segments);
        Assert.Single(Directory.GetFiles(_folder.Combine("shard-00")));
        byte[] buffer = [];
        Assert.Equal(-1, log.TryRead(positions[0], ref buffer, out _));
        Assert.Equal(4000, log.TryRead(positions[^1], ref buffer, out _));
    }

    [Fact]
    public void A_second_process_on_the_folder_is_refused()
    {
        using var store = BrokerStore.Open(_folder.Path, 1);
        var refused = Assert.Throws<StartException>(() => BrokerStore.Open(_folder.Path, 1));
        Assert.Contains("is used by another process", refused.Message, StringComparison.Ordinal);
    }

    private static void Nothing(long position, byte kind, ReadOnlySpan<byte> body)
    {
    }

    private static string Text(ReadOnlySpan<byte> body) => Encoding.UTF8.GetString(body);

    private static long Append(ShardLog log, byte kind, string text)
    {
        var position = log.Begin(kind);
        Encoding.UTF8.GetBytes(text, log.Take(Encoding.UTF8.GetByteCount(text)));
        log.End();
        return position;
    }

    private static void Commit(ShardLog log, LogClock clock)
    {
        Assert.True(log.BeginCommit(clock));
        log.WriteCommit();
        log.EndCommit();
    }
}
