namespace IotHub.Benchmarks.Load;

/// <summary>One thread of the generator: waits for its sockets, reads, answers, and lets its publishers write.</summary>
internal sealed class LoadLoop(LoadRun run) : IDisposable
{
    private const long LongestWait = 2_000_000;
    private readonly List<LoadConnection> _connections = [];
    private readonly List<LoadConnection> _publishers = [];
    private Thread? _thread;
    private int _opened;
    private int _opening;
    private int _turn;
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
                var wait = run.MayPublish ? Pump() : LongestWait;
                for (int i = 0, count = Poller.Wait(wait); i < count; i++)
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

    /// <summary>Lets each publisher write what it may now.</summary>
    /// <returns>Nanoseconds until the next one may; 0 when it is worth asking again at once.</returns>
    private long Pump()
    {
        var wait = LongestWait;
        var sent = 0;
        for (var i = 0; i < _publishers.Count; i++)
        {
            var publisher = _publishers[(i + _turn) % _publishers.Count];
            sent += run.Options.Rate > 0 ? PumpPaced(publisher, ref wait) : PumpClosed(publisher);
        }
        _turn++;
        return sent > 0 ? 0 : wait;
    }

    /// <summary>As many as the windows allow in one write.</summary>
    private int PumpClosed(LoadConnection publisher)
    {
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
        }
        return sent;
    }

    /// <summary>Each message at its time, in a write of its own. It carries the time it was due: waiting for us counts too.</summary>
    private int PumpPaced(LoadConnection publisher, ref long wait)
    {
        var sent = 0;
        while (publisher.MayPublish)
        {
            var due = run.DueAt(publisher);
            var early = due - LoadRun.Now;
            if (early > 0)
            {
                wait = Math.Min(wait, early);
                break;
            }
            publisher.Publish(due);
            publisher.Flush();
            run.AddSent(1);
            sent++;
        }
        return sent;
    }
}
