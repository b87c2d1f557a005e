using IotHub.Broker.Durability;
using IotHub.Harness;
using Xunit;

namespace IotHub.Unit.Durability;

/// <summary>Random appends, commits, failures and crashes against a model that knows what was acknowledged.</summary>
public sealed class LogProperties
{
    private const int Seeds = 4000;

    [Fact]
    public void Whatever_happens_what_was_committed_is_read_again_and_half_a_commit_never()
    {
        for (var seed = 1; seed <= Seeds; seed++)
        {
            try
            {
                new Run(seed).Play();
            }
            catch (Exception e)
            {
                Assert.Fail($"seed {seed}: {e}");
            }
        }
    }

    private sealed record Entry(long Position, byte Kind, byte[] Body);

    private sealed class Run(int seed)
    {
        private static readonly LogOptions Options = new()
        {
            SegmentBytes = 24 * 1024,
            BlockBytesMaximum = 2048,
            ExtendBytesMinimum = 4096,
            ExtendBytesMaximum = 8192,
            BufferBytesKept = 16 * 1024,
        };

        private readonly Random _random = new(seed);
        private readonly MemoryDisk _disk = new(seed);

        /// <summary>Commits that were acknowledged, oldest first; then those that may be there or not.</summary>
        private readonly List<Entry> _committed = [];
        private readonly List<Entry> _underWay = [];
        private readonly List<Entry> _pending = [];
        private ShardLog _log = null!;
        private long _clock;
        private byte[] _buffer = [];

        public void Play()
        {
            ShardLog.Create(_disk);
            Open();
            for (var step = 0; step < 60; step++)
            {
                try
                {
                    Step();
                }
                catch (DiskCrashedException)
                {
                    Recover();
                }
            }
            Recover();
        }

        private void Step()
        {
            switch (_random.Next(13))
            {
                case < 6:
                    Append();
                    break;
                case < 9:
                    Commit();
                    break;
                case 9 when _random.Next(2) == 0:
                    _disk.FailChange(_random.Next(1, 4));
                    break;
                case 9:
                    _disk.CrashInChange(_random.Next(1, 5));
                    break;
                case 10 when _random.Next(3) == 0:
                    Mark();
                    break;
                case 10:
                    ReadSome();
                    break;
                case 11:
                    Prepare();
                    break;
                default:
                    DropOldest();
                    break;
            }
        }

        private void Append()
        {
            var size = _random.Next(10) == 0 ? _random.Next(6000) : _random.Next(300);
            var body = new byte[size];
            _random.NextBytes(body);
            var position = _log.NextPosition;
            Assert.Equal(position, _log.Begin((byte)_random.Next(256)));
            if (_random.Next(8) == 0)
            {
                _log.Take(_random.Next(200));
                _log.Abandon();
                Assert.Equal(position, _log.NextPosition);
                return;
            }
            body.AsSpan(0, size / 2).CopyTo(_log.Take(size / 2));
            body.AsSpan(size / 2).CopyTo(_log.Take(size - (size / 2)));
            _log.End();
            Assert.Equal(0, position % 8);
            Assert.Equal(size, _log.TryRead(position, ref _buffer, out var kind));
            _pending.Add(new Entry(position, kind, body));
        }

        private void Commit()
        {
            var retries = _log.IsFailing;
            if (!_log.BeginCommit(new LogClock(++_clock, 2 * _clock)))
            {
                Assert.Empty(_pending);
                return;
            }
            if (!retries)
            {
                _underWay.AddRange(_pending);
                _pending.Clear();
            }
            Write();
        }

        private void Mark()
        {
            if (_log.BeginMark(new LogClock(++_clock, 2 * _clock)))
            {
                Write();
            }
        }

        private void Prepare()
        {
            if (!_log.TakePreparing())
            {
                return;
            }
            try
            {
                _log.Prepare();
            }
            catch (IOException e) when (e is not DiskCrashedException)
            {
                // The next segment grows as it is written.
            }
        }

        private void Write()
        {
            try
            {
                _log.WriteCommit();
            }
            catch (IOException e) when (e is not DiskCrashedException)
            {
                _log.FailCommit();
                Assert.True(_log.IsFailing && _log.HasPending);
                return;
            }
            _log.EndCommit();
            _committed.AddRange(_underWay);
            _underWay.Clear();
            Assert.False(_log.IsFailing);
        }

        private void ReadSome()
        {
            var all = _committed.Concat(_underWay).Concat(_pending).ToList();
            for (var i = 0; i < 5 && all.Count > 0; i++)
            {
                var entry = all[_random.Next(all.Count)];
                var length = _log.TryRead(entry.Position, ref _buffer, out var kind);
                Assert.Equal(entry.Kind, kind);
                Assert.True(entry.Body.AsSpan().SequenceEqual(_buffer.AsSpan(0, length)));
            }
        }

        private void DropOldest()
        {
            if (_random.Next(3) > 0 || _log.TakeUnreferenced() is not { } segment)
            {
                return;
            }
            _committed.RemoveAll(entry => entry.Position < segment.End);
            try
            {
                _log.Delete(segment);
            }
            catch (IOException e) when (e is not DiskCrashedException)
            {
                // It goes with the next one.
            }
        }

        private void Recover()
        {
            _disk.Restart();
            Open();
        }

        private void Open()
        {
            var found = new List<Entry>();
            _log = ShardLog.Open(_disk, Options, (position, kind, body) => found.Add(new Entry(position, kind, body.ToArray())));
            // A segment whose deletion did not come through is read once more.
            var first = _committed.Count > 0 ? _committed[0].Position : long.MaxValue;
            var before = found.TakeWhile(
                entry => entry.Position < first && _underWay.All(under => under.Position != entry.Position)).Count();
            found.RemoveRange(0, before);
            Assert.True(found.Count == _committed.Count || found.Count == _committed.Count + _underWay.Count,
                $"{found.Count} found, {_committed.Count} committed, {_underWay.Count} under way");
            foreach (var (entry, expected) in found.Zip(_committed.Concat(_underWay)))
            {
                Assert.Equal((expected.Position, expected.Kind), (entry.Position, entry.Kind));
                Assert.True(expected.Body.AsSpan().SequenceEqual(entry.Body));
            }
            if (found.Count > _committed.Count)
            {
                _committed.AddRange(_underWay);
            }
            _underWay.Clear();
            _pending.Clear();
            Assert.True(_log.LastClock.TimeMs <= _clock && _log.LastClock.WallMs == 2 * _log.LastClock.TimeMs);
        }
    }
}
