using System.Diagnostics;

namespace IotHub.Harness.Kill;

/// <summary>
/// A real broker process that is killed with SIGKILL at random moments and started again, under real clients that go on each time and
/// check what they get: nothing acknowledged is lost, nothing doubled at QoS 2, nothing reordered. (promises P1 to P3)
/// </summary>
public sealed class KillTest : IAsyncDisposable
{
    private static readonly TimeSpan EndDeadline = TimeSpan.FromSeconds(60);
    private readonly KillOptions _options;
    private readonly Random _random;
    private readonly Ledger _ledger = new();
    private readonly KilledBroker _broker;
    private readonly List<NumberedStream> _streams = [];
    private readonly List<StreamView> _views = [];
    private readonly List<KillPublisher> _publishers = [];
    private readonly List<(KillSubscriber Subscriber, string Filter, byte Qos)> _subscribers = [];
    private readonly List<KillLateSubscriber> _late = [];
    private readonly List<KillForgotten> _forgotten = [];
    private readonly List<KillWill> _wills = [];
    private readonly List<KillExpiring> _expiring = [];
    private readonly KillRetainedExpiring _fleeting;
    private readonly KillBrief _brief;
    private readonly KillRetained _retained;
    private readonly Stopwatch _watch = Stopwatch.StartNew();

    private KillTest(KillOptions options)
    {
        (_options, _random) = (options, new Random(options.Seed));
        _broker = new KilledBroker(options);
        _ledger.MsSinceReady = () => _broker.MsSinceReady;
        _retained = new KillRetained(_broker, _ledger, _random.Next());
        _brief = new KillBrief(_broker, _ledger, _random.Next());
        _fleeting = new KillRetainedExpiring(_broker, _ledger, _random.Next());
        Populate();
    }

    public static async Task<KillReport> Run(KillOptions options)
    {
        await using var test = new KillTest(options);
        await test.Execute();
        return test.Report();
    }

    public async ValueTask DisposeAsync()
    {
        IEnumerable<IAsyncDisposable> all =
        [
            .. _publishers, .. _subscribers.Select(s => s.Subscriber), .. _late, .. _forgotten, .. _wills, .. _expiring, _fleeting, _brief, _retained,
            _broker,
        ];
        foreach (var one in all)
        {
            await one.DisposeAsync();
        }
    }

    private void Populate()
    {
        foreach (var isV5 in new[] { true, false })
        {
            for (byte qos = 1; qos <= 2; qos++)
            {
                var stream = new NumberedStream(_ledger, _streams.Count, qos);
                _streams.Add(stream);
                _publishers.Add(new KillPublisher(_broker, _ledger, stream, isV5, _random.Next()));
                _late.Add(new KillLateSubscriber(_broker, _ledger, $"late {_late.Count}", isV5, _random.Next()));
            }
            _forgotten.Add(new KillForgotten(_broker, _ledger, isV5, _random.Next()));
        }
        Subscribe("steady 5.0 QoS 2", true, 2, comesAndGoes: false);
        Subscribe("steady 3.1.1 QoS 1", false, 1, comesAndGoes: false);
        Subscribe("goes 5.0 QoS 1", true, 1, comesAndGoes: true);
        Subscribe("goes 3.1.1 QoS 2", false, 2, comesAndGoes: true);
        var shared = Views("the group", isShared: true);
        for (var i = 0; i < 3; i++)
        {
            var member = new KillSubscriber(_broker, _ledger, $"member {i}", i != 1, shared, comesAndGoes: i == 2, _random.Next());
            _subscribers.Add((member, "$share/group/kill/p/#", 2));
        }
        _wills.Add(new KillWill(_broker, _ledger, "mortal 1", 1, _random.Next()));
        _wills.Add(new KillWill(_broker, _ledger, "mortal 2", 2, _random.Next()));
        _expiring.Add(new KillExpiring(_broker, _ledger, 1, _random.Next()));
        _expiring.Add(new KillExpiring(_broker, _ledger, 2, _random.Next()));
    }

    private void Subscribe(string name, bool isV5, byte qos, bool comesAndGoes) => _subscribers.Add((
        new KillSubscriber(_broker, _ledger, name, isV5, Views(name, isShared: false), comesAndGoes, _random.Next()), "kill/p/#", qos));

    private List<StreamView> Views(string name, bool isShared)
    {
        var views = _streams.ConvertAll(stream => new StreamView(_ledger, stream, name, isShared));
        _views.AddRange(views);
        return views;
    }

    private async Task Execute()
    {
        await _broker.Start();
        foreach (var (subscriber, filter, qos) in _subscribers)
        {
            await subscriber.Begin(filter, qos);
        }
        await Task.WhenAll([.. _wills.Select(w => w.Begin()), .. _expiring.Select(e => e.Begin()), _brief.Begin()]);
        using var end = new CancellationTokenSource();
        using var stop = new CancellationTokenSource();
        List<Task> speaking =
        [
            .. _publishers.Select(p => p.Run(end.Token, stop.Token)), _retained.Publish(end.Token, stop.Token),
            .. _late.Select(l => l.Run(end.Token, stop.Token)), .. _wills.Select(w => w.Run(end.Token, stop.Token)),
            .. _expiring.Select(e => e.Publish(end.Token, stop.Token)), _brief.Run(end.Token, stop.Token),
            _fleeting.Publish(end.Token, stop.Token),
        ];
        List<Task> hearing =
        [
            .. _subscribers.Select(s => s.Subscriber.Run(end.Token, stop.Token)), .. _wills.Select(w => w.Watch(stop.Token)),
            _retained.Look(stop.Token), _fleeting.Look(stop.Token), .. _forgotten.Select(f => f.Run(stop.Token)),
            .. _expiring.Select(e => e.Hear(end.Token, stop.Token)),
        ];
        try
        {
            await KillAgainAndAgain();
            await end.CancelAsync();
            await Drain(speaking);
        }
        catch (InvalidOperationException e)
        {
            _ledger.Add(KillFault.Broken, e.Message);
        }
        await stop.CancelAsync();
        await Task.WhenAny(Task.WhenAll([.. speaking, .. hearing]), Task.Delay(EndDeadline));
        BlameFailed(hearing);
        foreach (var _ in speaking.Concat(hearing).Where(t => !t.IsCompleted))
        {
            _ledger.Add(KillFault.Broken, "a client has not ended");
        }
    }

    private async Task KillAgainAndAgain()
    {
        while (_ledger.Kills < _options.Kills && !(_options.StopAtFault && !_ledger.IsFaultless))
        {
            var moment = _random.Next(10);
            if (moment >= 2)
            {
                await SomebodyWasAcknowledged();
            }
            await Task.Delay(moment switch
            {
                // While everybody comes back; in the middle of everything.
                < 2 => _random.Next(60),
                < 9 => _random.Next(50, 700),
                _ => _random.Next(700, 2_000),
            });
            await _broker.Kill();
            _ledger.Kills++;
            while (_random.Next(10) == 0 && _ledger.Kills < _options.Kills)
            {
                // In the middle of its recovery.
                await _broker.Start(killAfter: TimeSpan.FromMilliseconds(_random.Next(20, 150)));
                _ledger.Kills++;
            }
            await _broker.Start();
            _options.OnKill(Report());
        }
    }

    /// <summary>Since now: on a slow machine coming back alone may take longer than the broker lives.</summary>
    private async Task SomebodyWasAcknowledged()
    {
        int Acknowledged()
        {
            lock (_ledger.Gate)
            {
                return _streams.Sum(s => s.Acknowledged);
            }
        }
        var (before, until) = (Acknowledged(), DateTime.UtcNow + EndDeadline);
        while (Acknowledged() == before && DateTime.UtcNow < until)
        {
            await Task.Delay(5);
        }
    }

    /// <summary>All that was said is acknowledged and arrives, and nothing comes after it.</summary>
    private async Task Drain(List<Task> speaking)
    {
        var until = DateTime.UtcNow + _options.Patience;
        // Of one that has failed nothing more comes.
        while (!(speaking.TrueForAll(s => s.IsCompleted) && (IsComplete() || speaking.Exists(s => s.IsFaulted))) && DateTime.UtcNow < until)
        {
            await Task.Delay(20);
        }
        BlameFailed(speaking);
        _views.ForEach(view => view.BlameMissing());
        _expiring.ForEach(stream => stream.BlameMissing());
        // What comes twice may come late.
        await Task.Delay(500);
    }

    private void BlameFailed(List<Task> clients)
    {
        foreach (var failed in clients.Where(c => c.IsFaulted))
        {
            _ledger.Add(KillFault.Broken, failed.Exception!.InnerException!.ToString());
        }
    }

    private bool IsComplete()
    {
        lock (_ledger.Gate)
        {
            return _views.TrueForAll(view => view.IsComplete) && _expiring.TrueForAll(stream => stream.IsComplete);
        }
    }

    private KillReport Report()
    {
        var (faults, texts) = _ledger.Copy();
        lock (_ledger.Gate)
        {
            return new KillReport
            {
                Seed = _options.Seed,
                Kills = _ledger.Kills,
                Took = _watch.Elapsed,
                Published = _streams.Sum(s => s.Published),
                Acknowledged = _streams.Sum(s => s.Acknowledged),
                LeastAcknowledged = _streams.Min(s => s.Acknowledged),
                Deliveries = _views.Sum(v => (long)v.Arrived),
                PermittedRepeats = _views.Sum(v => (long)v.PermittedRepeats),
                Sessions = _subscribers.Sum(s => s.Subscriber.Connections),
                Subscriptions = _late.Sum(l => l.Subscriptions),
                RetainedLooks = _retained.Looks,
                WillsFired = _wills.Sum(w => w.Fired),
                WillsWithdrawn = _wills.Sum(w => w.Withdrawn),
                LongLived = _expiring.Sum(e => e.LongLived),
                ShortLived = _expiring.Sum(e => e.ShortLived),
                Expired = _expiring.Sum(e => e.Expired),
                RetainedLongLived = _fleeting.LongLived,
                RetainedExpired = _fleeting.Expired,
                BriefSessionsGone = _brief.Gone,
                BriefSessionsBack = _brief.Back,
                Connections = KilledBroker.Transports.Select(_ledger.OpenedBy).ToList(),
                SessionsForgotten = _forgotten.Sum(f => f.Sessions),
                StartMs = [.. _broker.StartMs],
                Faults = faults,
                Texts = texts,
            };
        }
    }
}
