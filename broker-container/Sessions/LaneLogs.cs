using IotHub.Broker.Durability;
using IotHub.Broker.Sessions.Stored;

namespace IotHub.Broker.Sessions;

/// <summary>
/// The logs of a broker's lanes in one store: opened, and what they tell taken over, before the first client; each written by a thread of
/// its own; closed after the last client.
/// </summary>
public sealed partial class LaneLogs : IDisposable
{
    private readonly MqttBroker _broker;
    private readonly BrokerStore _store;
    private readonly LogOptions _options;
    private readonly List<LaneCommitter> _committers = [];
    private bool _isStopped;

    private LaneLogs(MqttBroker broker, BrokerStore store, LogOptions options)
    {
        _broker = broker;
        _store = store;
        _options = options;
    }

    /// <param name="store">Passes over: closed with this.</param>
    /// <exception cref="StartException">A shard is missing, was written by a newer broker, or cannot be read.</exception>
    public static LaneLogs Open(MqttBroker broker, BrokerStore store, LogOptions options, ILogger logger)
    {
        var logs = new LaneLogs(broker, store, options);
        try
        {
            foreach (var lane in broker.Lanes)
            {
                logs.Open(lane, logger);
            }
            return logs;
        }
        catch (Exception e)
        {
            logs.Dispose();
            throw e is IOException or UnauthorizedAccessException
                ? new StartException($"the store cannot be read: {e.Message.TrimEnd('.')}", e) : e;
        }
    }

    /// <summary>Commits what is left. After the last client is gone.</summary>
    public void Stop()
    {
        if (!_isStopped)
        {
            _isStopped = true;
            foreach (var committer in _committers)
            {
                committer.Stop();
            }
        }
    }

    public void Dispose()
    {
        Stop();
        foreach (var committer in _committers)
        {
            committer.Dispose();
        }
        foreach (var lane in _broker.Lanes)
        {
            lane.CloseLog();
        }
        _store.Dispose();
    }

    private void Open(Lane lane, ILogger logger)
    {
        var report = lane.Open(_store.FilesOf(lane.Index), _options, BootClock.Read);
        if (report is null)
        {
            Log.Damaged(logger, lane.Index, lane.Damage!);
            return;
        }
        if (report.TornBytes > 0)
        {
            Log.Torn(logger, report.TornFile!, report.TornOffset, report.TornBytes);
        }
        if (report.Gaps > 0)
        {
            Log.Gaps(logger, lane.Index, report.Gaps);
        }
        var committer = new LaneCommitter(lane, logger);
        _committers.Add(committer);
        lane.Attach(committer);
        committer.Start();
        committer.Wake();
    }

    private static partial class Log
    {
        [LoggerMessage(11, LogLevel.Error,
            "Shard {Shard} is not served: {Damage}. The other shards are. \"IotHub.Broker repair --data DIR\" says what would be given up")]
        public static partial void Damaged(ILogger logger, int shard, string damage);

        [LoggerMessage(12, LogLevel.Information,
            "{File}: {Bytes} bytes from offset {Offset} on were of a commit that never ended, nothing of it was acknowledged; they are cut off")]
        public static partial void Torn(ILogger logger, string file, long offset, long bytes);

        [LoggerMessage(13, LogLevel.Warning, "Shard {Shard} was repaired: {Gaps} ranges of its log were given up")]
        public static partial void Gaps(ILogger logger, int shard, int gaps);
    }
}
