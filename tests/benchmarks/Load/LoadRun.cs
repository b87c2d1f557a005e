using System.Diagnostics;
using System.Net.Security;

namespace IotHub.Benchmarks.Load;

/// <summary>A whole run: connects everyone, publishes through warm-up and measured time, waits for what is still on its way.</summary>
internal sealed partial class LoadRun : IDisposable
{
    private static readonly TimeSpan ConnectDeadline = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan DrainDeadline = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(2);

    private readonly List<LoadLoop> _loops;
    private long _sent;
    private long _received;
    private int _ready;
    private int _died;
    private string? _problem;
    private long _startedAt;
    private int _connections;
    private volatile bool _mayPublish;
    private volatile bool _isMeasuring;
    private volatile bool _isOver;

    private LoadRun(LoadOptions options)
    {
        if (Stopwatch.Frequency != 1_000_000_000)
        {
            throw new PlatformNotSupportedException("the generator counts on a clock in nanoseconds: it runs on Linux");
        }
        Options = options;
        Nonce = options.Nonce ?? (uint)Random.Shared.Next();
        MessagesEach = options.Messages == 0 ? long.MaxValue : options.Messages / options.Publishers;
        ClientCertificate = options.ClientCertificate
            ? SslStreamCertificateContext.Create(TlsLayer.MakeClientCertificate(), null, offline: true)
            : null;
        _loops = [.. Enumerable.Range(0, options.Threads).Select(_ => new LoadLoop(this))];
    }

    /// <summary>Nanoseconds of the clock that never goes back.</summary>
    public static long Now => Stopwatch.GetTimestamp();

    public LoadOptions Options { get; }
    public uint Nonce { get; }

    /// <summary>So many messages of each publisher at most.</summary>
    public long MessagesEach { get; }
    public SslStreamCertificateContext? ClientCertificate { get; }
    public bool MayPublish => _mayPublish;

    /// <summary>Messages leave at their time, and not as the windows allow.</summary>
    public bool IsPaced => Options.Rate > 0;
    public bool IsMeasuring => _isMeasuring;
    public bool IsOver => _isOver;

    /// <summary>Publishes that the window over all deliveries still allows; one at least when nothing is on its way.</summary>
    public int Room
    {
        get
        {
            if (Options.Offline)
            {
                return int.MaxValue;
            }
            var outstanding = (Volatile.Read(ref _sent) * Options.Fan) - Volatile.Read(ref _received);
            return outstanding <= 0
                ? Math.Max(1, Options.Outstanding / Options.Fan)
                : (int)((Options.Outstanding - outstanding) / Options.Fan);
        }
    }

    /// <summary>Runs it within a bounded time. A broker that fails shows in the result, not as an exception.</summary>
    public static LoadResult Execute(LoadOptions options)
    {
        if (options.Persistent)
        {
            return WithSessions(options with { Nonce = options.Nonce ?? (uint)Random.Shared.Next() });
        }
        using var run = new LoadRun(options);
        return options.Mode == LoadMode.Storm ? run.Storm() : run.Flow();
    }

    public void AddSent(int count) => Interlocked.Add(ref _sent, count);

    public void AddReceived(long count)
    {
        if (count > 0)
        {
            Interlocked.Add(ref _received, count);
            var now = Now;
            Interlocked.CompareExchange(ref _firstReceivedAt, now, 0);
            Volatile.Write(ref _lastReceivedAt, now);
        }
    }

    public void OneIsReady() => Interlocked.Increment(ref _ready);

    public void OneDied(string why)
    {
        if (!_isOver)
        {
            Interlocked.CompareExchange(ref _problem, why, null);
            Interlocked.Increment(ref _died);
        }
    }

    /// <summary>The publishers take turns at an even rate.</summary>
    public long DueAt(LoadConnection publisher) =>
        _startedAt + (long)(((publisher.Sequence * Options.Publishers) + publisher.Number) * (1e9 / Options.Rate));

    public void Dispose()
    {
        foreach (var loop in _loops)
        {
            loop.Dispose();
        }
    }

    private LoadResult Flow()
    {
        AddFlowConnections();
        if (!ConnectAll())
        {
            return Failed();
        }
        ProcessFigures.ResetPeak(Options.Pid);
        _startedAt = Now;
        _mayPublish = true;
        Pause(Options.Warmup);
        var (generator, before, receivedBefore, ackedBefore, since) =
            (OwnCpu(), ProcessFigures.Of(Options.Pid), Volatile.Read(ref _received), Acked, Now);
        _isMeasuring = true;
        Pause(Options.Seconds);
        var (after, receivedAfter, ackedAfter, seconds, generatorAfter) =
            (ProcessFigures.Of(Options.Pid), Volatile.Read(ref _received), Acked, (Now - since) / 1e9, OwnCpu());
        _isMeasuring = false;
        _mayPublish = false;
        Drain();
        End();
        var (latencies, acks) = (new LatencyHistogram(), new LatencyHistogram());
        _loops.ForEach(loop => latencies.Add(loop.Latencies));
        _loops.ForEach(loop => acks.Add(loop.AckLatencies));
        var doubled = _loops.Sum(loop => loop.Doubled);
        var (measured, acked) = (receivedAfter - receivedBefore, ackedAfter - ackedBefore);
        return Start() with
        {
            Lost = (_sent * Options.Fan) - (_loops.Sum(loop => loop.Received) - doubled),
            Doubled = doubled,
            Reordered = _loops.Sum(loop => loop.Reordered),
            Seconds = seconds,
            PerSecond = measured / seconds,
            CpuSeconds = after.CpuSeconds - before.CpuSeconds,
            CpuUserSeconds = after.UserSeconds - before.UserSeconds,
            CpuSystemSeconds = after.SystemSeconds - before.SystemSeconds,
            CpuPerMillion = measured == 0 ? 0 : (after.CpuSeconds - before.CpuSeconds) * 1e6 / measured,
            AckedPerSecond = acked / seconds,
            CpuPerMillionAcked = acked == 0 ? 0 : (after.CpuSeconds - before.CpuSeconds) * 1e6 / acked,
            AckP50 = acks.Percentile(0.5),
            AckP99 = acks.Percentile(0.99),
            GeneratorCpuSeconds = generatorAfter - generator,
            P50 = latencies.Percentile(0.5),
            P99 = latencies.Percentile(0.99),
            P999 = latencies.Percentile(0.999),
            RssKb = after.RssKb,
            PeakRssKb = ProcessFigures.Of(Options.Pid).PeakRssKb,
        };
    }

    private LoadResult Storm()
    {
        for (var i = 0; i < Options.Connections; i++)
        {
            AddIdle(i);
        }
        ProcessFigures.ResetPeak(Options.Pid);
        var (before, since) = (ProcessFigures.Of(Options.Pid), Now);
        if (!ConnectAll())
        {
            return Failed();
        }
        var (after, seconds) = (ProcessFigures.Of(Options.Pid), (Now - since) / 1e9);
        Pause(Options.Hold);
        var settled = ProcessFigures.Of(Options.Pid);
        End();
        return Start() with
        {
            Seconds = seconds,
            PerSecond = Options.Connections / seconds,
            CpuSeconds = after.CpuSeconds - before.CpuSeconds,
            CpuUserSeconds = after.UserSeconds - before.UserSeconds,
            CpuSystemSeconds = after.SystemSeconds - before.SystemSeconds,
            CpuPerMillion = (after.CpuSeconds - before.CpuSeconds) * 1e6 / Options.Connections,
            RssKb = settled.RssKb,
            PeakRssKb = settled.PeakRssKb,
            BytesPerConnection = (settled.RssKb - before.RssKb) * 1024.0 / Options.Connections,
        };
    }

    private void AddFlowConnections()
    {
        for (var i = 0; i < Options.Subscribers; i++)
        {
            if (!Options.Offline)
            {
                AddSubscriber(i, SubscriberFilter(i), cleanStart: !Options.Persistent);
            }
        }
        for (var i = 0; i < Options.Publishers; i++)
        {
            Add(i, loop => new LoadConnection(loop, LoadRole.Publisher, i) { Topic = $"load/{Nonce:x8}/{i}/value" });
        }
        for (var i = 0; i < Options.Crowd; i++)
        {
            AddIdle(i);
        }
        for (var first = 0; first < Options.Filters; first += LoadConnection.FiltersPerFiller)
        {
            var (from, to) = (first, Math.Min(first + LoadConnection.FiltersPerFiller, Options.Filters));
            string? Filter(int index) => from + index < to ? FillFilter(from + index) : null;
            Add(first, loop => new LoadConnection(loop, LoadRole.Filler, from) { Filter = Filter });
        }
    }

    private static string FillFilter(int number) => number % 4 == 0
        ? $"fill/{number % 100}/+/{number / 100 % 100}/s{number}"
        : $"fill/{number % 100}/{number / 100 % 100}/s{number}";

    private void AddIdle(int number) => Add(
        number,
        loop => new LoadConnection(loop, LoadRole.Idle, number) { Filter = index => index == 0 ? $"idle/{Nonce:x8}/{number}" : null });

    private void Add(int number, Func<LoadLoop, LoadConnection> make)
    {
        var loop = _loops[number % _loops.Count];
        loop.Add(make(loop));
        _connections++;
    }

    private bool ConnectAll()
    {
        _loops.ForEach(loop => loop.Start());
        var since = Now;
        while (Volatile.Read(ref _ready) < _connections && Volatile.Read(ref _died) == 0)
        {
            if (Now - since > ConnectDeadline.TotalNanoseconds)
            {
                OneDied($"only {_ready} of {_connections} connections became ready");
            }
            Thread.Sleep(Look);
        }
        return _died == 0;
    }

    /// <summary>Waits while the run goes on well.</summary>
    private void Pause(double seconds)
    {
        var until = Now + (long)(seconds * 1e9);
        while (Now < until && Volatile.Read(ref _died) == 0 && !(Options.Messages > 0 && Acked >= MessagesEach * Options.Publishers))
        {
            Thread.Sleep(Look);
        }
    }

    /// <summary>Until all has arrived and is acknowledged, or nothing has come for a while.</summary>
    private void Drain()
    {
        var (start, lastNews, seen) = (Now, Now, -1L);
        while (Volatile.Read(ref _received) < _sent * Options.Fan || (Options.Qos > 0 && Acked < _sent))
        {
            var now = Now;
            var news = Volatile.Read(ref _received) + Acked;
            if (news != seen)
            {
                (seen, lastNews) = (news, now);
            }
            if (now - lastNews > Patience.TotalNanoseconds || now - start > DrainDeadline.TotalNanoseconds)
            {
                return;
            }
            Thread.Sleep(Look);
        }
        // A message that comes twice comes late.
        Thread.Sleep(50);
    }

    private void End()
    {
        _isOver = true;
        _loops.ForEach(loop => loop.Finish());
    }

    private LoadResult Failed()
    {
        End();
        return Start();
    }

    private LoadResult Start() => new()
    {
        Mode = Options.Mode.ToString().ToLowerInvariant(),
        Version = Options.IsV5 ? 5 : 3,
        Tls = Options.Tls,
        Qos = Options.Qos,
        Rate = Options.Rate,
        Connections = _connections,
        Sent = _sent,
        Acked = Acked,
        Expected = _sent * Options.Fan,
        Received = _loops.Sum(loop => loop.Received),
        Problem = _problem,
    };

    private long Acked => _loops.Sum(loop => loop.Acked);

    private static double OwnCpu() => Environment.CpuUsage.TotalTime.TotalSeconds;
}
