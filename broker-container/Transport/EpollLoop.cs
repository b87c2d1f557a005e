namespace IotHub.Broker.Transport;

/// <summary>
/// Serves all clients of plain TCP on Linux with one thread: one wait for all sockets, one read per socket that has something, into one
/// buffer. The framework's sockets, which serve everything else, pay a second read per message to find nothing, and 1.2 KB per idle
/// client. Level-triggered, so that a short read need not be followed by another; what a client sends beyond one buffer is read when
/// the others had their turn. Sends go out at once on the publishing thread, and come here only when a socket is full.
/// </summary>
/// <remarks>
/// Nothing may block on this thread. It alone accepts, watches, reads and ends; other threads hand it steps. Decision
/// docs/decisions/d4b-own-epoll-loop.md.
/// </remarks>
public sealed partial class EpollLoop : IAsyncDisposable
{
    private const int ReceiveBufferSize = 64 * 1024;
    private const int EventsPerWait = 256;
    private const int AcceptsPerTurn = 64;

    /// <summary>After a shortage of descriptors or memory: until accepting is tried again.</summary>
    private const int ShortageMs = 50;

    private const ulong SignalTag = ulong.MaxValue;
    private const ulong ListenerTag = 1UL << 63;

    private readonly ILogger _logger;
    private readonly int _poller;
    private readonly int _signal;
    private readonly Thread _thread;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _gate = new();
    private readonly List<EpollListener?> _listeners = [];
    private EpollChannel?[] _clients = new EpollChannel?[64];
    private List<Step> _steps = [];
    private List<Step> _taken = [];
    private volatile bool _hasSteps;
    private volatile bool _isStopping;
    private bool _isSignalled;
    private bool _isStopped;
    private bool _isShort;
    private uint _generation;

    /// <exception cref="IOException">The system has no descriptors left, or this is not Linux.</exception>
    public EpollLoop(MqttBroker broker, ILogger logger)
    {
        (Broker, _logger) = (broker, logger);
        _poller = EpollCalls.CreatePoller();
        _signal = EpollCalls.CreateSignal();
        EpollCalls.Control(_poller, EpollCalls.Add, _signal, EpollCalls.Readable, SignalTag);
        _thread = new Thread(Run) { IsBackground = true, Name = "MQTT sockets" };
        _thread.Start();
    }

    private enum What { End, GoOn, SendRest, Call }

    private readonly record struct Step(What What, EpollChannel? Client, object? Argument);

    /// <summary>Does this system have what is needed?</summary>
    public static bool IsSupported => EpollCalls.IsSupported;

    internal MqttBroker Broker { get; }
    internal Memory<byte> Buffer { get; } = new byte[ReceiveBufferSize];

    /// <summary>Ends all clients and the thread.</summary>
    public async ValueTask DisposeAsync()
    {
        _isStopping = true;
        Hand(default);
        await _ended.Task.ConfigureAwait(false);
    }

    internal void Add(EpollListener listener) => Call(() =>
    {
        _listeners.Add(listener);
        Watch(_listeners.Count - 1, EpollCalls.Add);
    });

    /// <summary>Complete when the loop does not touch it any more.</summary>
    internal async Task Remove(EpollListener listener)
    {
        var removed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var isHanded = Call(() =>
        {
            var index = _listeners.IndexOf(listener);
            if (index >= 0)
            {
                EpollCalls.Control(_poller, EpollCalls.Delete, listener.Descriptor, 0, 0);
                _listeners[index] = null;
            }
            removed.SetResult();
        });
        await (isHanded ? removed.Task : _ended.Task).ConfigureAwait(false);
    }

    /// <returns>False when the loop has ended: nobody will be told.</returns>
    internal bool SendLater(EpollChannel client, EpollChannel.Rest rest)
    {
        if (Thread.CurrentThread != _thread)
        {
            return Hand(new Step(What.SendRest, client, rest));
        }
        client.SendAsItTakes(rest);
        return true;
    }

    // Never at once: who asks may be in the middle of something with this client.
    internal void EndLater(EpollChannel client) => Hand(new Step(What.End, client, null));

    internal bool GoOnLater(EpollChannel client) => Hand(new Step(What.GoOn, client, null));

    internal bool Control(int operation, EpollChannel client, uint events) =>
        EpollCalls.Control(_poller, operation, client.Descriptor, events, ((ulong)client.Generation << 32) | (uint)client.Descriptor);

    internal void Forget(EpollChannel client) => _clients[client.Descriptor] = null;

    internal void Report(Exception problem) => Log.ClientFailed(_logger, problem);

    /// <summary>Runs it on the loop's thread, after what is read now; false when the loop has ended.</summary>
    internal bool Call(Action step) => Hand(new Step(What.Call, null, step));

    /// <summary>Gives the loop something to do; false when it has ended.</summary>
    private bool Hand(in Step step)
    {
        lock (_gate)
        {
            if (_isStopped)
            {
                return false;
            }
            _steps.Add(step);
            _hasSteps = true;
            if (!_isSignalled && Thread.CurrentThread != _thread)
            {
                _isSignalled = true;
                EpollCalls.Signal(_signal);
            }
        }
        return true;
    }

    private void Run()
    {
        try
        {
            var events = new byte[EventsPerWait * EpollCalls.EventSize];
            while (!_isStopping)
            {
                var count = EpollCalls.Wait(_poller, events, _isShort ? ShortageMs : -1);
                for (var i = 0; i < count; i++)
                {
                    var (what, tag) = EpollCalls.EventAt(events, i);
                    Dispatch(what, tag);
                }
                if (_isShort)
                {
                    AcceptAgain();
                }
                // Last: what was handed on this thread has no signal to wake it.
                while (_hasSteps)
                {
                    TakeSteps();
                }
            }
        }
        catch (Exception e)
        {
            Log.LoopFailed(_logger, e);
        }
        Stop();
    }

    private void Dispatch(uint events, ulong tag)
    {
        try
        {
            if (tag == SignalTag)
            {
                EpollCalls.ClearSignal(_signal);
            }
            else if (tag >= ListenerTag)
            {
                Accept((int)(tag - ListenerTag));
            }
            else if (_clients[(int)(uint)tag] is { } client && client.Generation == tag >> 32)
            {
                client.OnReady(events);
            }
        }
        catch (Exception e)
        {
            Report(e);
            if (tag < ListenerTag)
            {
                _clients[(int)(uint)tag]?.Close();
            }
        }
    }

    private void TakeSteps()
    {
        lock (_gate)
        {
            (_steps, _taken) = (_taken, _steps);
            _hasSteps = false;
            _isSignalled = false;
        }
        foreach (var step in _taken)
        {
            try
            {
                Take(step);
            }
            catch (Exception e)
            {
                Report(e);
            }
        }
        _taken.Clear();
    }

    private static void Take(in Step step)
    {
        switch (step)
        {
            case { What: What.Call, Argument: Action call }:
                call();
                break;
            case { What: What.SendRest, Argument: EpollChannel.Rest rest }:
                step.Client!.SendAsItTakes(rest);
                break;
            case { What: What.GoOn }:
                step.Client!.GoOn();
                break;
            default:
                step.Client?.EndWhenReceived();
                break;
        }
    }

    private void Accept(int index)
    {
        for (var i = 0; i < AcceptsPerTurn && _listeners[index] is { } listener; i++)
        {
            var socket = EpollCalls.Accept(listener.Descriptor);
            if (socket >= 0)
            {
                TakeIn(socket);
            }
            else if (EpollCalls.LastWouldBlock)
            {
                return;
            }
            else if (EpollCalls.LastWasShortage)
            {
                // The client that waits would be told of again and again.
                _isShort = true;
                EpollCalls.Control(_poller, EpollCalls.Delete, listener.Descriptor, 0, 0);
                return;
            }
            // Else one client went away between connect and accept.
        }
    }

    private void AcceptAgain()
    {
        _isShort = false;
        for (var i = 0; i < _listeners.Count; i++)
        {
            // Those that are watched already stay so.
            Watch(i, EpollCalls.Add);
            Accept(i);
        }
    }

    private void Watch(int index, int operation)
    {
        if (_listeners[index] is { } listener)
        {
            EpollCalls.Control(_poller, operation, listener.Descriptor, EpollCalls.Readable, ListenerTag | (uint)index);
        }
    }

    private void TakeIn(int socket)
    {
        // 31 bits: the tags above are those of listeners.
        _generation = (_generation + 1) & int.MaxValue;
        var client = new EpollChannel(this, socket, _generation) { IsEncrypted = false };
        if (Broker.Accept(client) is not { } connection)
        {
            EpollCalls.Close(socket);
            return;
        }
        client.Connection = connection;
        if (socket >= _clients.Length)
        {
            Array.Resize(ref _clients, Math.Max(socket + 1, _clients.Length * 2));
        }
        _clients[socket] = client;
        client.Watch();
    }

    private void Stop()
    {
        foreach (var client in _clients)
        {
            try
            {
                client?.Abandon();
            }
            catch (Exception e)
            {
                // The others have to go too, and nothing may leave this thread.
                Report(e);
            }
        }
        lock (_gate)
        {
            _isStopped = true;
        }
        // Nobody hands anything more: who waits for a send of before is told.
        TakeSteps();
        EpollCalls.Close(_poller);
        EpollCalls.Close(_signal);
        _ended.SetResult();
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Error, "A client's bytes could not be dealt with: its connection ends")]
        public static partial void ClientFailed(ILogger logger, Exception problem);

        [LoggerMessage(2, LogLevel.Critical, "The loop that serves plain TCP has failed: its clients are gone and no new ones are taken in")]
        public static partial void LoopFailed(ILogger logger, Exception problem);
    }
}
