namespace IotHub.Benchmarks.Load;

/// <summary>What clients found when they came back to their sessions.</summary>
/// <param name="Sessions">Sessions that the broker still had.</param>
/// <param name="FirstSeconds">From the start of the connects to the first message; 0 when none came.</param>
/// <param name="Seconds">To the last one.</param>
internal sealed record Fetched(
    int Sessions, long Received, long Doubled, long Reordered, double FirstSeconds, double Seconds, double CpuSeconds, string? Problem)
{
    public double PerSecond => Seconds > 0 ? Received / Seconds : 0;
}

/// <content>Subscribers whose sessions outlive their connections: subscribed first, fetched and ended later, in runs of their own.</content>
internal sealed partial class LoadRun
{
    private long _firstReceivedAt;
    private long _lastReceivedAt;

    /// <summary>Makes the sessions with their subscriptions and leaves them.</summary>
    /// <returns>Null, or what went wrong.</returns>
    public static string? Subscribe(LoadOptions options) => OnlySubscribers(
        options, (run, i) => run.AddSubscriber(i, run.SubscriberFilter(i), cleanStart: false), run => run.ConnectAll());

    /// <summary>Publishes to sessions that were made before, and leaves it all there.</summary>
    public static LoadResult Publish(LoadOptions options)
    {
        using var run = new LoadRun(options);
        return run.Flow();
    }

    /// <summary>Comes back to the sessions and takes what waits there, until it is so many, or nothing comes any more.</summary>
    public static Fetched Fetch(LoadOptions options, long expected)
    {
        Fetched? fetched = null;
        var problem = OnlySubscribers(options, (run, i) => run.AddSubscriber(i, null, cleanStart: false), run => fetched = run.Fetch(expected));
        return (fetched ?? new Fetched(0, 0, 0, 0, 0, 0, 0, null)) with { Problem = problem };
    }

    /// <summary>Ends the sessions, and all that waits there.</summary>
    public static string? EndSessions(LoadOptions options) =>
        OnlySubscribers(options, (run, i) => run.AddSubscriber(i, null, cleanStart: true), run => run.ConnectAll());

    private static LoadResult WithSessions(LoadOptions options)
    {
        var problem = options.Offline ? Subscribe(options) : null;
        using var run = new LoadRun(options);
        if (problem is not null)
        {
            run.OneDied(problem);
            return run.Failed();
        }
        var result = run.Flow();
        if (options.Offline && result.Problem is null)
        {
            var expected = result.Acked * options.Receivers;
            var fetched = Fetch(options, expected);
            result = result with
            {
                Expected = expected,
                Received = fetched.Received,
                Lost = expected - (fetched.Received - fetched.Doubled),
                Doubled = fetched.Doubled,
                Reordered = fetched.Reordered,
                FetchedPerSecond = fetched.PerSecond,
                Problem = fetched.Problem,
            };
        }
        problem = EndSessions(options);
        return result with { Problem = result.Problem ?? problem };
    }

    private static string? OnlySubscribers(LoadOptions options, Action<LoadRun, int> add, Action<LoadRun> act)
    {
        using var run = new LoadRun(options);
        for (var i = 0; i < options.Subscribers; i++)
        {
            add(run, i);
        }
        act(run);
        run.End();
        return run._problem;
    }

    private Fetched Fetch(long expected)
    {
        var (cpu, began) = (ProcessFigures.Of(Options.Pid).CpuSeconds, Now);
        ConnectAll();
        while (Volatile.Read(ref _received) < expected && Volatile.Read(ref _died) == 0
            && Now - Math.Max(began, Volatile.Read(ref _lastReceivedAt)) < Patience.TotalNanoseconds)
        {
            Thread.Sleep(Look);
        }
        double Since(long at) => at == 0 ? 0 : (at - began) / 1e9;
        return new Fetched(
            _loops.Sum(loop => loop.SessionsFound), _loops.Sum(loop => loop.Received), _loops.Sum(loop => loop.Doubled),
            _loops.Sum(loop => loop.Reordered), Since(_firstReceivedAt), Since(_lastReceivedAt),
            ProcessFigures.Of(Options.Pid).CpuSeconds - cpu, null);
    }

    private void AddSubscriber(int number, string? filter, bool cleanStart) => Add(number, loop => new LoadConnection(loop, LoadRole.Subscriber, number)
    {
        Filter = index => index == 0 ? filter : null,
        CleanStart = cleanStart,
    });

    private string SubscriberFilter(int number) =>
        $"load/{Nonce:x8}/" + (Options.Mode switch { LoadMode.FanIn => "+", LoadMode.FanOut => "0", _ => $"{number}" }) + "/value";
}
