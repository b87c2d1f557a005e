using System.Collections.Concurrent;
using IotHub.Broker.Auth;
using IotHub.Broker.Bridge;
using IotHub.Broker.Protocol;
using IotHub.Broker.Sessions;
using IotHub.Broker.Transport;
using IotHub.Core.Messages;

namespace IotHub.Broker;

/// <summary>
/// The MQTT broker: hubs spread over lanes, connections that find their hub by authentication, and what the rest of the system may ask
/// (<see cref="IBrokerControl"/>). Knows no socket and no storage.
/// </summary>
public sealed partial class MqttBroker : IBrokerControl, IActivityCounts
{
    /// <summary>Shards of a store, unless it was created with another number (decision D5).</summary>
    public const int DefaultLanes = 16;

    private static readonly TimeSpan TickInterval = TimeSpan.FromMilliseconds(100);

    private readonly Lane[] _lanes;
    private readonly HashSet<Connection> _waiting = [];

    /// <summary>Messages from outside that are not stored yet, and when they are.</summary>
    private readonly ConcurrentDictionary<(Guid HubId, Guid MessageId), Task> _arriving = [];
    private readonly Lock _waitingGate = new();
    private int _connections;
    private volatile bool _isStopping;

    public MqttBroker(BrokerLimits limits, IAuthenticator authenticator, IOutboundBridge outbound, TimeProvider time, int lanes = DefaultLanes)
    {
        limits.Validate();
        (Limits, Authenticator, Outbound, Time) = (limits, authenticator, outbound, time);
        HashSeed = (ulong)Random.Shared.NextInt64();
        _lanes = [.. Enumerable.Range(0, lanes).Select(i => new Lane(this, i))];
    }

    public BrokerLimits Limits { get; }
    public IAuthenticator Authenticator { get; }
    public IOutboundBridge Outbound { get; }

    /// <summary>The method of several steps that clients may ask for in CONNECT; null for none.</summary>
    public IEnhancedAuthentication? EnhancedAuthentication { get; init; }
    public TimeProvider Time { get; }

    /// <summary>The server that clients are sent to when this one stops; null for none.</summary>
    public string? HandOverTo { get; init; }

    /// <summary>Nobody is let in any more; why is what they are told instead.</summary>
    internal ReasonCode? ClosedBecause => !_isStopping ? null
        : HandOverTo is null ? ReasonCode.ServerUnavailable : ReasonCode.UseAnotherServer;

    /// <summary>Who carries out what devices ask of their twins; null where there are none, and their topics are like any other.</summary>
    public ITwinRequests? Twins { get; init; }

    /// <summary>The broker publishes figures under $SYS: clients may read, not write there. [MQTT-4.7.2-1]</summary>
    public bool OwnsSys { get; set; }
    /// <summary>Sessions that come from the log wait until their devices were looked up: wills and expiry of one that is gone count no more.</summary>
    public bool ChecksRestored { get; init; }

    /// <summary>Runs what may wait for a disk, or must not run under a lane.</summary>
    public Action<Action> Background { get; init; } =
        static action => ThreadPool.UnsafeQueueUserWorkItem(static a => a(), action, preferLocal: false);

    /// <summary>Runs a step on the thread that reads most sockets; false when that has ended. Null where no thread reads more than others.</summary>
    public Func<Action, bool>? SocketThread { get; set; }

    public ILogger Logger { get; init; } = Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance;
    public BufferPool Buffers { get; } = new();
    public ulong HashSeed { get; }
    public IReadOnlyList<Lane> Lanes => _lanes;

    /// <summary>Open connections, those that have not said who they are included.</summary>
    public int Connections => Volatile.Read(ref _connections);

    /// <summary>The lane of a hub: a stable function of its id.</summary>
    public Lane LaneOf(Guid hubId)
    {
        Span<byte> bytes = stackalloc byte[16];
        hubId.TryWriteBytes(bytes, bigEndian: true, out _);
        return _lanes[Topics.TopicBytes.Hash(bytes, seed: 0) % (ulong)_lanes.Length];
    }

    /// <summary>The hub on its lane, which the caller has entered; made on first use.</summary>
    internal Hub HubOn(Lane lane, Guid hubId)
    {
        if (!lane.Hubs.TryGetValue(hubId, out var hub))
        {
            hub = new Hub(lane, hubId);
            lane.Hubs.Add(hubId, hub);
        }
        return hub;
    }

    /// <summary>A new client. The transport feeds <see cref="Connection.Receive"/> and calls <see cref="Disconnected"/> at the end.</summary>
    /// <returns>Null when there are too many connections: close it.</returns>
    public Connection? Accept(Channel channel)
    {
        if (Interlocked.Increment(ref _connections) > Limits.ConnectionsMaximum)
        {
            Interlocked.Decrement(ref _connections);
            return null;
        }
        var connection = new Connection(this, channel);
        lock (_waitingGate)
        {
            _waiting.Add(connection);
        }
        return connection;
    }

    /// <summary>The client is gone. Called once for every accepted connection.</summary>
    public void Disconnected(Connection connection)
    {
        Interlocked.Decrement(ref _connections);
        NoLongerWaiting(connection);
        if (connection.Lane is not { } lane)
        {
            connection.OnDisconnected();
            return;
        }
        Do(lane, connection.OnDisconnected);
    }

    internal void NoLongerWaiting(Connection connection)
    {
        lock (_waitingGate)
        {
            _waiting.Remove(connection);
        }
    }

    /// <summary>Looks after time: connect time-outs, keep-alive, wills, session expiry. Until cancelled.</summary>
    public async Task RunTimers(CancellationToken cancel)
    {
        using var timer = new PeriodicTimer(TickInterval, Time);
        try
        {
            while (await timer.WaitForNextTickAsync(cancel).ConfigureAwait(false))
            {
                Tick();
            }
        }
        catch (OperationCanceledException)
        {
            // Stopping.
        }
    }

    /// <summary>One step of <see cref="RunTimers"/>.</summary>
    public void Tick()
    {
        foreach (var lane in _lanes)
        {
            lane.Tick();
        }
        List<Connection> late;
        lock (_waitingGate)
        {
            late = [.. _waiting.Where(c => c.Phase != ConnectionPhase.Authenticating
                && Time.GetElapsedTime(c.AcceptedAt).TotalMilliseconds
                > (c.Phase == ConnectionPhase.Closing ? Limits.CloseTimeoutMs : Limits.ConnectTimeoutMs))];
        }
        foreach (var connection in late)
        {
            connection.Channel.Close();
        }
    }

    /// <summary>Tells all clients that the server stops, or which other one to use, and closes them. [MQTT-3.14.4-1]</summary>
    public void Stop()
    {
        _isStopping = true;
        var reason = HandOverTo is null ? ReasonCode.ServerShuttingDown : ReasonCode.UseAnotherServer;
        foreach (var lane in _lanes)
        {
            Do(lane, () =>
            {
                foreach (var connection in lane.Connections.ToList())
                {
                    connection.End(reason, publishWill: true);
                }
            });
        }
    }

    public async Task<IngestOutcome> Publish(Guid hubId, DeviceMessage message, Guid? exceptRoute, CancellationToken cancel)
    {
        var stored = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var isSafe = Task.CompletedTask;
        var outcome = IngestOutcome.BufferFull;
        DoOn(hubId, hub =>
        {
            // A repeat of one that is not safe yet must not be told before that is.
            var isFirst = _arriving.TryAdd((hubId, message.Id), stored.Task);
            isSafe = isFirst ? stored.Task : _arriving.GetValueOrDefault((hubId, message.Id), Task.CompletedTask);
            outcome = hub.Ingest(message, exceptRoute, () =>
            {
                stored.TrySetResult();
                _arriving.TryRemove(KeyValuePair.Create((hubId, message.Id), (Task)stored.Task));
            });
            if (isFirst && outcome != IngestOutcome.Accepted)
            {
                _arriving.TryRemove((hubId, message.Id), out _);
                isSafe = Task.CompletedTask;
            }
        });
        await isSafe.WaitAsync(cancel).ConfigureAwait(false);
        return outcome;
    }

    public void RightsChanged(Guid hubId, Guid deviceId, Rights rights) => DoIfKnown(hubId, hub => hub.ChangeRights(deviceId, rights));

    public void DisconnectDevice(
        Guid hubId, Guid deviceId, ReasonCode reason, HubEvent? because, bool dropSessions, bool exceptCertified = false) =>
        DoIfKnown(hubId, hub => hub.Disconnect(
            s => s.Key.DeviceId == deviceId && !(exceptCertified && s.Connection?.Channel.ClientCertificate is not null),
            reason, because, dropSessions));

    public void DisconnectHub(Guid hubId, ReasonCode reason, HubEvent? because, bool dropEverything) => DoIfKnown(hubId, hub =>
    {
        hub.Disconnect(_ => true, reason, because, dropEverything);
        if (dropEverything)
        {
            hub.End();
        }
    });

    public void Configure(Guid hubId, HubSettings settings) => DoOn(hubId, hub => hub.Configure(settings));

    public IReadOnlyCollection<Guid> ConnectedDevices(Guid hubId)
    {
        var devices = new HashSet<Guid>();
        DoIfKnown(hubId, hub => devices.UnionWith(hub.Sessions.Values.Where(s => s.Connection is not null).Select(s => s.Key.DeviceId)));
        return devices;
    }

    /// <summary>Devices by hub that have sessions which came from the log; a hub may have none and still keep something.</summary>
    public IReadOnlyDictionary<Guid, IReadOnlyList<Guid>> Restored()
    {
        var restored = new Dictionary<Guid, IReadOnlyList<Guid>>();
        foreach (var lane in _lanes)
        {
            Do(lane, () =>
            {
                foreach (var hub in lane.Hubs.Values)
                {
                    restored.Add(hub.Id, [.. hub.Sessions.Values.Where(s => s.IsUnchecked).Select(s => s.Key.DeviceId).Distinct()]);
                }
            });
        }
        return restored;
    }

    public IReadOnlyList<HubActivity> TakeCounts()
    {
        var taken = new List<HubActivity>();
        foreach (var lane in _lanes)
        {
            Do(lane, () =>
            {
                foreach (var hub in lane.Hubs.Values)
                {
                    if (hub.TakeCounts() is { } counts)
                    {
                        taken.Add(new HubActivity(hub.Id, counts));
                    }
                }
            });
        }
        return taken;
    }

    /// <summary>Publishes a text of the broker's own on a hub, QoS 0.</summary>
    public void PublishText(Guid hubId, string topic, byte[] payload, bool retain) =>
        DoOn(hubId, hub => hub.PublishText(topic, payload, retain));

    /// <summary>Sessions, subscriptions and retained messages of a hub.</summary>
    public (int Sessions, int Subscriptions, int Retained) Figures(Guid hubId)
    {
        var figures = (0, 0, 0);
        DoOn(hubId, hub => figures = (hub.Sessions.Count, hub.Subscriptions, hub.Retained.Count));
        return figures;
    }

    /// <summary>Publishes a hub event that did not come from a session of the hub.</summary>
    public void Raise(Guid hubId, HubEvent happened) => DoOn(hubId, hub => hub.Raise(happened));

    internal void CannotReadBack(int shard, string reason) => Log.CannotReadBack(Logger, shard, reason);

    private void DoOn(Guid hubId, Action<Hub> step)
    {
        var lane = LaneOf(hubId);
        Do(lane, () => step(HubOn(lane, hubId)));
    }

    // The backend's changes are told to every broker: those of hubs that have nothing here must leave nothing here.
    private void DoIfKnown(Guid hubId, Action<Hub> step)
    {
        var lane = LaneOf(hubId);
        Do(lane, () =>
        {
            if (lane.Hubs.TryGetValue(hubId, out var hub))
            {
                step(hub);
            }
        });
    }

    private static void Do(Lane lane, Action step)
    {
        lane.Enter();
        try
        {
            step();
        }
        finally
        {
            lane.Leave();
        }
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Error, "Shard {Shard}: a message cannot be read back: {Reason}")]
        public static partial void CannotReadBack(ILogger logger, int shard, string reason);
    }
}
