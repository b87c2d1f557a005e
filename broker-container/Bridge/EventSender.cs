using IotHub.Core.Messages;
using IotHub.Core.Queues;

namespace IotHub.Broker.Bridge;

/// <summary>
/// Hub events and device activity on their way to the events queue, gathered for half a second. They are a record, not a promise: while
/// storage is down the newest activity of each device and the newest events are kept, and what had to go is counted.
/// </summary>
internal sealed partial class EventSender(
    IMessageQueue queue, TimeProvider clock, BridgeLimits limits, ILogger logger, Guid? brokerRun = null)
{
    private const int ActivityBytes = 160;
    private const int EnvelopeOverhead = 256;
    private const int HubsAtOnce = 8;

    private readonly Lock _lock = new();
    private Dictionary<(Guid Hub, Guid Device), ActivityReport> _activity = [];
    private Queue<(Guid Hub, Guid Device)> _activityOrder = new();
    private Queue<(Guid Hub, HubEvent Happened)> _events = new();
    private long _dropped;
    private long _droppedTold;
    private int _failing;

    /// <summary>Events and reports that were dropped because the buffer was full, since the start.</summary>
    public long Dropped => Interlocked.Read(ref _dropped);

    public void Activity(Guid hubId, ActivityReport report)
    {
        lock (_lock)
        {
            var key = (hubId, report.DeviceId);
            if (_activity.TryGetValue(key, out var known))
            {
                if (report.LastActivityAt >= known.LastActivityAt)
                {
                    _activity[key] = report;
                }
                return;
            }
            if (_activity.Count >= limits.BufferedActivity && _activityOrder.TryDequeue(out var oldest))
            {
                _activity.Remove(oldest);
                _dropped++;
            }
            _activity[key] = report;
            _activityOrder.Enqueue(key);
        }
    }

    public void Event(Guid hubId, HubEvent happened)
    {
        lock (_lock)
        {
            if (_events.Count >= limits.BufferedEvents && _events.TryDequeue(out _))
            {
                _dropped++;
            }
            _events.Enqueue((hubId, happened));
        }
    }

    /// <summary>Sends every now and then until asked to stop, then once more. <paramref name="giveUp"/> stops it in the middle.</summary>
    public async Task Run(CancellationToken stop, CancellationToken giveUp)
    {
        try
        {
            while (!stop.IsCancellationRequested)
            {
                await Task.Delay(limits.EventsInterval, clock, stop).ContinueWith(
                    _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
                await Flush(giveUp);
            }
        }
        catch (OperationCanceledException) when (giveUp.IsCancellationRequested)
        {
        }
    }

    private async Task Flush(CancellationToken cancel)
    {
        var hubs = Take();
        TellDropped();
        var options = new ParallelOptions { MaxDegreeOfParallelism = HubsAtOnce, CancellationToken = cancel };
        await Parallel.ForEachAsync(hubs, options, async (hub, token) =>
        {
            foreach (var envelope in Pack(hub.Key, hub.Value))
            {
                await Send(EnvelopeJson.Write(envelope), token);
            }
        });
    }

    private Dictionary<Guid, Gathered> Take()
    {
        Dictionary<(Guid Hub, Guid Device), ActivityReport> activity;
        Queue<(Guid Hub, HubEvent Happened)> events;
        lock (_lock)
        {
            (activity, _activity) = (_activity, []);
            (events, _events) = (_events, new());
            _activityOrder = new();
        }
        Dictionary<Guid, Gathered> hubs = [];
        foreach (var (key, report) in activity)
        {
            Of(key.Hub).Activity.Add(report);
        }
        foreach (var (hub, happened) in events)
        {
            Of(hub).Events.Add(happened);
        }
        return hubs;

        Gathered Of(Guid hub)
        {
            if (!hubs.TryGetValue(hub, out var gathered))
            {
                hubs[hub] = gathered = new Gathered();
            }
            return gathered;
        }
    }

    private IEnumerable<EventsEnvelope> Pack(Guid hubId, Gathered gathered)
    {
        List<ActivityReport> activity = [];
        List<HubEvent> events = [];
        var size = EnvelopeOverhead;
        foreach (var report in gathered.Activity)
        {
            if (size + ActivityBytes > limits.EnvelopeBytes)
            {
                yield return Cut();
            }
            activity.Add(report);
            size += ActivityBytes;
        }
        foreach (var happened in gathered.Events)
        {
            if (Fitting(happened) is not var (fitting, bytes))
            {
                Interlocked.Increment(ref _dropped);
                continue;
            }
            if (size + bytes > limits.EnvelopeBytes)
            {
                yield return Cut();
            }
            events.Add(fitting);
            size += bytes;
        }
        if (activity.Count + events.Count > 0)
        {
            yield return Cut();
        }

        EventsEnvelope Cut()
        {
            var envelope = new EventsEnvelope { HubId = hubId, BrokerRun = brokerRun, Activity = activity, Events = events };
            (activity, events, size) = ([], [], EnvelopeOverhead);
            return envelope;
        }
    }

    /// <summary>The event, without the payload it quotes if that alone would fill an envelope.</summary>
    private (HubEvent Happened, int Bytes)? Fitting(HubEvent happened)
    {
        var bytes = EnvelopeJson.Write(happened).Length + 1;
        if (bytes > limits.EnvelopeBytes - EnvelopeOverhead && happened.Payload is not null)
        {
            happened = happened with { Payload = null };
            bytes = EnvelopeJson.Write(happened).Length + 1;
        }
        return bytes <= limits.EnvelopeBytes - EnvelopeOverhead ? (happened, bytes) : null;
    }

    private async Task Send(byte[] body, CancellationToken cancel)
    {
        var backOff = new BackOff(limits.FirstBackOff, limits.LongestBackOff, clock);
        await backOff.Until(() => queue.Send(body, TimeSpan.Zero, cancel), Failed, cancel);
        if (backOff.Failures > 0 && Interlocked.Exchange(ref _failing, 0) == 1)
        {
            Log.Works(logger);
        }

        void Failed(Exception e)
        {
            if (Interlocked.Exchange(ref _failing, 1) == 0)
            {
                Log.Fails(logger, e.Message, limits.BufferedEvents, limits.BufferedActivity);
            }
        }
    }

    private void TellDropped()
    {
        var dropped = Dropped;
        if (dropped > _droppedTold)
        {
            Log.Dropped(logger, dropped - _droppedTold, limits.BufferedEvents, limits.BufferedActivity);
            _droppedTold = dropped;
        }
    }

    private sealed class Gathered
    {
        public List<ActivityReport> Activity { get; } = [];
        public List<HubEvent> Events { get; } = [];
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning,
            "Events cannot be put on their queue, trying until it works: {Reason}. The newest {Events} events, {Devices} devices are kept")]
        public static partial void Fails(ILogger logger, string reason, int events, int devices);

        [LoggerMessage(2, LogLevel.Information, "Events can be put on their queue again")]
        public static partial void Works(ILogger logger);

        [LoggerMessage(3, LogLevel.Warning,
            "{Count} events or activity reports were dropped: more than {Events} events or {Devices} devices waited")]
        public static partial void Dropped(ILogger logger, long count, int events, int devices);
    }
}
