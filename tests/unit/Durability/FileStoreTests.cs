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
        using var reopened = ShardLog.Open(
            again.FilesOf(1), new LogOptions(), (position, kind, body) => read.Add((position, kind, Text(body))));

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
    public async Task A_segment_stands_in_its_file_while_the_next_ones_are_laid_out()
    {
        // It was written into a file without a name, and zeros got its name, when another file was laid out meanwhile.
        using var store = BrokerStore.Open(_folder.Path, 1);
        var files = store.FilesOf(0);
        const int Rounds = 200;
        for (var i = 1; i <= Rounds; i++)
        {
            files.Prepare(64 * 1024);
            var next = Task.Run(() => files.Prepare(512 * 1024));
            using var segment = files.Create(i, BitConverter.GetBytes(i));
            await next;
            Assert.Equal(i, BitConverter.ToInt32(File.ReadAllBytes(segment.Name).AsSpan(0, 4)));
            files.Delete(segment);
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
        Assert.Equal("segments", Assert.Single(Names(), name => !name.EndsWith(".log", StringComparison.Ordinal)));
        Assert.Equal(2, Names().Length);
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

    [Fact]
    public void Payloads_are_for_the_broker_only()
    {
        using var store = BrokerStore.Open(_folder.Combine("made"), 1);
        using var log = ShardLog.Open(store.FilesOf(0), new LogOptions { SegmentBytes = 100 }, Nothing);
        Append(log, 1, new string('x', 200));
        Commit(log, Clock);
        Append(log, 1, new string('x', 200));
        Commit(log, Clock);
        Assert.Equal("rwx------", Mode(_folder.Combine("made")));
        Assert.Equal("rwx------", Mode(_folder.Combine("made", "shard-00")));
        var files = Directory.GetFiles(_folder.Combine("made", "shard-00"));
        Assert.Equal(3, files.Length);
        Assert.All(files, file => Assert.Equal("rw-------", Mode(file)));
        Assert.Equal("rw-------", Mode(_folder.Combine("made", "store")));

        static string Mode(string path)
        {
            var mode = OperatingSystem.IsWindows() ? throw new PlatformNotSupportedException() : (int)File.GetUnixFileMode(path);
            return string.Concat(Enumerable.Range(0, 9).Select(bit => ((mode >> (8 - bit)) & 1) == 1 ? "rwx"[bit % 3] : '-'));
        }
    }

    [Fact]
    public void A_folder_of_something_else_is_left_alone()
    {
        File.WriteAllText(_folder.Combine("letter.txt"), "dear");
        Assert.Contains("is not empty and holds no file \"store\"", Refusal(), StringComparison.Ordinal);
        Assert.Equal("dear", File.ReadAllText(_folder.Combine("letter.txt")));
        var refused = Assert.Throws<StartException>(() => BrokerStore.OpenExisting(_folder.Path));
        Assert.Contains("holds no store", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_store_that_lost_its_description_is_not_begun_anew()
    {
        Filled();
        File.Delete(_folder.Combine("store"));
        Assert.Contains("put the file back if this was a store", Refusal(), StringComparison.Ordinal);
        Assert.True(Directory.Exists(_folder.Combine("shard-00")));
    }

    [Fact]
    public void A_store_whose_making_was_cut_off_is_made_again()
    {
        BrokerStore.Open(_folder.Path, 3).Dispose();
        File.Move(_folder.Combine("store"), _folder.Combine("store.unfinished"));
        Directory.Delete(_folder.Combine("shard-02"), recursive: true);
        using var store = BrokerStore.Open(_folder.Path, 2);
        Assert.Equal(2, store.Shards);
        Assert.False(Directory.Exists(_folder.Combine("shard-02")));
        ShardLog.Open(store.FilesOf(1), new LogOptions(), Nothing).Dispose();
    }

    [Fact]
    public void Each_changed_byte_of_the_description_is_found()
    {
        Filled();
        var file = _folder.Combine("store");
        var whole = File.ReadAllBytes(file);
        for (var i = 0; i < whole.Length; i++)
        {
            var changed = (byte[])whole.Clone();
            changed[i] ^= 1;
            File.WriteAllBytes(file, changed);
            Assert.Contains(file, Refusal(), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_newer_store_is_refused_as_that()
    {
        Filled();
        var text = File.ReadAllText(_folder.Combine("store")).Replace("iothub-store 1", "iothub-store 2", StringComparison.Ordinal);
        text = text[..text.IndexOf("check ", StringComparison.Ordinal)];
        File.WriteAllText(_folder.Combine("store"), $"{text}check {Crc32C.Of(Encoding.UTF8.GetBytes(text)):x8}\n");
        Assert.Contains("was written by a newer broker", Refusal(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_shard_folder_is_named()
    {
        Filled();
        Directory.Delete(_folder.Combine("shard-00"), recursive: true);
        using var store = BrokerStore.Open(_folder.Path, 1);
        var refused = Assert.Throws<StartException>(() => store.FilesOf(0));
        Assert.Contains(_folder.Combine("shard-00"), refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_segment_that_was_being_made_is_no_segment()
    {
        Filled();
        File.WriteAllText(_folder.Combine("shard-00", "unfinished"), "half");
        using var store = BrokerStore.Open(_folder.Path, 1);
        using var log = ShardLog.Open(store.FilesOf(0), new LogOptions(), Nothing);
        Assert.Equal(1, log.Recovery.Records);
        Assert.Equal(2, Names().Length);
    }

    [Fact]
    public void A_segment_that_was_prepared_is_taken_by_the_next_and_by_nobody_after_a_crash()
    {
        var options = new LogOptions { SegmentBytes = 256 * 1024 };
        using (var store = BrokerStore.Open(_folder.Path, 1))
        using (var log = ShardLog.Open(store.FilesOf(0), options, Nothing))
        {
            Append(log, 1, new string('a', 140 * 1024));
            Commit(log, Clock);
            Assert.True(log.TakePreparing());
            Assert.False(log.TakePreparing());
            log.Prepare();
            Append(log, 1, new string('b', 140 * 1024));
            Commit(log, Clock);
            Assert.Equal(2, log.Segments.Count);
            Assert.Equal(options.SegmentBytes, log.Segments[1].File.Length);
            Assert.Equal(3, Names().Length);
            Assert.True(log.TakePreparing());
            log.Prepare();
            Assert.Contains("prepared-2", Names());
        }
        var bodies = new List<char>();
        using var again = BrokerStore.Open(_folder.Path, 1);
        using var reopened = ShardLog.Open(again.FilesOf(0), options, (_, _, body) => bodies.Add((char)body[^1]));
        Assert.Equal(['a', 'b'], bodies);
        Assert.DoesNotContain("prepared-2", Names());
    }

    private string[] Names() => [.. Directory.GetFiles(_folder.Combine("shard-00")).Select(path => Path.GetFileName(path))];

    private string Refusal() => Assert.Throws<StartException>(() => BrokerStore.Open(_folder.Path, 1)).Message;

    private void Filled()
    {
        using var store = BrokerStore.Open(_folder.Path, 1);
        using var log = ShardLog.Open(store.FilesOf(0), new LogOptions(), Nothing);
        Append(log, 1, "record");
        Commit(log, Clock);
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
