using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Core.Queues;

namespace IotHub.Broker.Bridge;

/// <summary>
/// Once a minute, takes what the broker counted and puts it on the metrics queue. While storage is away counting goes on where it is: then
/// several minutes come out as one, nothing is lost, and no more memory is held than for one minute.
/// </summary>
internal sealed partial class MetricsSender(IMessageQueue queue, TimeProvider clock, BridgeLimits limits, ILogger logger)
{
    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);

    private readonly Dictionary<Guid, HashSet<Guid>> _devicesOfHour = [];
    private DateTimeOffset _hour;
    private DateTimeOffset _last;

    /// <summary>This run of the broker: a minute is counted once per run.</summary>
    public string Source { get; } = Guid.NewGuid().ToString("N")[..8];

    /// <summary>Sends until asked to stop, then what is left. <paramref name="giveUp"/> stops it in the middle.</summary>
    public async Task Run(IActivityCounts counts, CancellationToken stop, CancellationToken giveUp)
    {
        try
        {
            while (!stop.IsCancellationRequested)
            {
                var now = clock.GetUtcNow();
                await Task.Delay(now.DownTo(Minute) + Minute - now, clock, stop).ContinueWith(
                    _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
                // What was counted is that of the minute that just ended, or of the running one at the end.
                var minute = clock.GetUtcNow().DownTo(Minute) - (stop.IsCancellationRequested ? TimeSpan.Zero : Minute);
                if (minute > _last)
                {
                    // A clock that was set back: what is counted waits for the first minute that was not sent yet.
                    await Send(counts, minute, giveUp);
                }
            }
        }
        catch (OperationCanceledException) when (giveUp.IsCancellationRequested)
        {
        }
    }

    private async Task Send(IActivityCounts counts, DateTimeOffset minute, CancellationToken cancel)
    {
        _last = minute;
        foreach (var hub in counts.TakeCounts())
        {
            var devices = hub.Packets.Select(device => new DeviceCounts(device.Key, device.Value)).ToList();
            var ofHub = new HubCounts(devices.Sum(device => device.Messages), devices.Count, ActiveInHour(hub, minute));
            foreach (var (number, some) in devices.Chunk(limits.MetricsDevicesPerEnvelope).Index())
            {
                var envelope = new MetricsEnvelope
                {
                    HubId = hub.HubId,
                    Source = Source,
                    Minute = minute,
                    Hub = number == 0 ? ofHub : null,
                    Devices = some,
                };
                await Send(EnvelopeJson.Write(envelope), cancel);
            }
        }
    }

    private int ActiveInHour(HubActivity hub, DateTimeOffset minute)
    {
        var hour = minute.DownTo(TimeSpan.FromHours(1));
        if (hour != _hour)
        {
            _devicesOfHour.Clear();
            _hour = hour;
        }
        if (!_devicesOfHour.TryGetValue(hub.HubId, out var devices))
        {
            _devicesOfHour[hub.HubId] = devices = [];
        }
        devices.UnionWith(hub.Packets.Keys);
        return devices.Count;
    }

    private async Task Send(byte[] body, CancellationToken cancel)
    {
        var backOff = new BackOff(limits.FirstBackOff, limits.LongestBackOff, clock);
        await backOff.Until(() => queue.Send(body, TimeSpan.Zero, cancel), Failed, cancel);

        void Failed(Exception e)
        {
            if (backOff.Failures == 0)
            {
                Log.Fails(logger, e.Message);
            }
        }
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning, "Metrics cannot be put on their queue, trying until it works: {Reason}")]
        public static partial void Fails(ILogger logger, string reason);
    }
}
