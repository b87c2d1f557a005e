namespace IotHub.Benchmarks.Load;

/// <summary>One thread of the generator: waits for its sockets, reads, answers, and lets its publishers write.</summary>
internal sealed class LoadLoop(LoadRun run) : IDisposable
{
    private const long LongestWait = 2_000_000;
    private readonly List<LoadConnection> _connections = [];
    private readonly List<LoadConnection> _publishers = [];

    /// <summary>Paced: publishers by when their next message is due, and those whose message is due while their window is full.</summary>
    private readonly PriorityQueue<LoadConnection, long> _due = new();
    private readonly List<LoadConnection> _late = [];
    private Thread? _thread;
    private int _opened;
    private int _opening;
    private int _turn;
    private long _restedAt;
    private long _received;

    public LoadRun Run => run;
    public Linux.Poller Poller { get; } = new();
    public byte[] ReadBuffer { get; } = new byte[256 * 1024];
    public LatencyHistogram Latencies { get; } = new();
    public LatencyHistogram AckLatencies { get; } = new();
    public long Received { get; set; }
    public long Acked { get; set; }
    public long Doubled { get; set; }

    /// <summary>Sessions that the broker still had when their clients came.</summary>
    public int SessionsFound { get; set; }
    public long Reordered { get; set; }

    public void Add(LoadConnection connection)
    {
        _connections.Add(connection);
        if (connection.Role == LoadRole.Publisher)
        {
            _publishers.Add(connection);
        }
    }

    public void Start()
    {
        _thread = new Thread(Work) { IsBackground = true, Name = "load" };
        _thread.Start();
    }

    /// <summary>Waits for the thread, then closes every connection.</summary>
    public void Finish()
    {
        _thread?.Join();
        foreach (var connection in _connections)
        {
            connection.Dispose();
        }
    }

    public void OneIsReady()
    {
        _opening--;
        run.OneIsReady();
    }

    public void OneDied(string why, bool wasReady)
    {
        if (!wasReady)
        {
            _opening--;
        }
        run.OneDied(why);
    }

    public void Dispose() => Poller.Dispose();

    private void Work()
    {
        try
        {
            Linux.WakeOnTime();
            while (!run.IsOver)
            {
                while (_opened < _connections.Count && _opening < run.Options.Opening)
                {
                    _opening++;
                    _connections[_opened].Open(_opened++);
                }
                var wait = !run.MayPublish ? LongestWait : run.IsPaced ? PumpPaced() : PumpClosed();
                for (int i = 0, count = Poller.Wait(Rested(wait)); i < count; i++)
                {
                    var (tag, events) = Poller[i];
                    if (!_connections[tag].IsDead)
                    {
                        _connections[tag].Happened(events);
                    }
                }
                // Once a round and not once a message: other threads look at it.
                run.AddReceived(Received - _received);
                _received = Received;
            }
        }
        catch (Exception e)
        {
            run.OneDied(e.Message);
        }
    }

    /// <summary>What is left of a wait, after a rest that nothing that arrives cuts short.</summary>
    private long Rested(long wait)
    {
        if (run.Options.Tick <= 0 || !run.IsPaced)
        {
            return wait;
        }
        var rest = Math.Max(0, _restedAt + run.Options.Tick - LoadRun.Now);
        if (rest > 0)
        {
            Linux.Sleep(rest);
        }
        _restedAt = LoadRun.Now;
        return 0;
    }

    /// <summary>Lets each publisher write what it may now, as much as the windows allow in one write.</summary>
    /// <returns>Nanoseconds until it is worth asking again.</returns>
    private long PumpClosed()
    {
        var all = 0;
        for (var i = 0; i < _publishers.Count; i++)
        {
            var publisher = _publishers[(i + _turn) % _publishers.Count];
            var now = LoadRun.Now;
            var room = Math.Min(run.Options.Batch, run.Room);
            var sent = 0;
            while (sent < room && publisher.MayPublish)
            {
                publisher.Publish(now);
                sent++;
            }
            if (sent > 0)
            {
                publisher.Flush();
                run.AddSent(sent);
                all += sent;
            }
        }
        _turn++;
        return all > 0 ? 0 : LongestWait;
    }

    /// <summary>Each message at its time, in a write of its own. It carries the time it was due: waiting for us counts too.</summary>
    /// <returns>Nanoseconds until the next one is due; those whose window is full are asked again after every wait.</returns>
    private long PumpPaced()
    {
        if (_due.Count + _late.Count < _publishers.Count)
        {
            _due.EnqueueRange(_publishers.Select(publisher => (publisher, run.DueAt(publisher))));
        }
        for (var i = _late.Count - 1; i >= 0; i--)
        {
            if (PublishDue(_late[i]))
            {
                _late.RemoveAt(i);
            }
        }
        while (_due.TryPeek(out var publisher, out var due))
        {
            if (due - LoadRun.Now is > 0 and var early)
            {
                return Math.Min(early, LongestWait);
            }
            _due.Dequeue();
            if (!PublishDue(publisher))
            {
                _late.Add(publisher);
            }
        }
        return LongestWait;
    }

    /// <summary>One message, and the publisher stands in line again; false when it may not.</summary>
    private bool PublishDue(LoadConnection publisher)
    {
        if (!publisher.MayPublish)
        {
            return false;
        }
        publisher.Publish(run.DueAt(publisher));
        publisher.Flush();
        run.AddSent(1);
        _due.Enqueue(publisher, run.DueAt(publisher));
        return true;
    }
}
