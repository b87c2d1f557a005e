using IotHub.Broker;
using IotHub.Broker.Auth;
using IotHub.Broker.Bridge;
using IotHub.Broker.Durability;
using IotHub.Broker.Sessions;
using IotHub.Core.Messages;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace IotHub.Harness.Mqtt;

/// <summary>
/// A broker in this process on a loopback port, with anonymous clients on one hub unless a test says otherwise. Its time is real, or a
/// <see cref="ManualTime"/> that the test moves with <see cref="Advance"/>.
/// </summary>
public sealed class TestBroker : IAsyncDisposable
{
    private readonly TestListener _listener;
    private readonly CancellationTokenSource _stop = new();
    private readonly ManualTime? _manualTime;
    private readonly Task _timers;
    private readonly TempFolder? _folder;
    private readonly LaneLogs? _logs;

    private TestBroker(BrokerLimits limits, IAuthenticator authenticator, RecordingBridge bridge, ManualTime? time, Via via,
        IEnhancedAuthentication? enhanced, string? handOverTo)
    {
        _manualTime = time;
        Via = via;
        Bridge = bridge;
        _folder = via == Via.Durable ? new TempFolder("broker") : null;
        var store = _folder is null ? null : BrokerStore.Open(_folder.Path, shardsWhenCreated: 1);
        Broker = new MqttBroker(limits, authenticator, bridge, time ?? TimeProvider.System, store?.Shards ?? MqttBroker.DefaultLanes)
        {
            EnhancedAuthentication = enhanced,
            HandOverTo = handOverTo,
        };
        _logs = store is null ? null : LaneLogs.Open(Broker, store, new LogOptions(), NullLogger.Instance);
        _listener = new TestListener(Broker, via);
        _timers = time is null ? Broker.RunTimers(_stop.Token) : Task.CompletedTask;
    }

    public MqttBroker Broker { get; }
    public RecordingBridge Bridge { get; }

    /// <summary>The way that <see cref="Open"/> takes.</summary>
    public Via Via { get; }
    public int Port => _listener.Port;

    /// <param name="settings">Events and routes of the anonymous hub.</param>
    public static TestBroker Start(
        BrokerLimits? limits = null, IAuthenticator? authenticator = null, ManualTime? time = null, HubSettings? settings = null,
        Via via = Via.Tcp, IEnhancedAuthentication? enhanced = null, string? handOverTo = null)
    {
        var broker = new TestBroker(
            limits ?? new BrokerLimits(), authenticator ?? new AnonymousAuthenticator(), new RecordingBridge(), time, via, enhanced, handOverTo);
        if (settings is not null)
        {
            broker.Broker.Configure(AnonymousAuthenticator.HubId, settings);
        }
        return broker;
    }

    /// <summary>A socket that has said nothing yet.</summary>
    public Task<RawClient> Open() => RawClient.Open(Port, Via);

    /// <summary>A client whose CONNECT was accepted.</summary>
    public async Task<RawClient> Connect(ConnectOptions options)
    {
        var client = await Open();
        await client.Send(Packet.Connect(options));
        var answer = await client.Next();
        Assert.True(answer.Length > 3 && answer[0] == 0x20 && answer[3] == 0, $"CONNACK says no: {Hex.Write(answer)}");
        client.IsV5 = options.Level == 5;
        client.ConnAck = answer;
        return client;
    }

    public Task<RawClient> Connect(string clientId, byte level = 5) => Connect(new ConnectOptions { ClientId = clientId, Level = level });

    /// <summary>Moves the manual time and lets everything that is due happen.</summary>
    public void Advance(TimeSpan by)
    {
        (_manualTime ?? throw new InvalidOperationException("this broker runs on real time")).Advance(by);
        Broker.Tick();
    }

    /// <summary>Waits until the broker has seen that this client is gone; its session may be kept or not.</summary>
    public Task Offline(string clientId) => Eventually.True(() => !IsOnline(clientId));

    private bool IsOnline(string clientId)
    {
        var lane = Broker.LaneOf(AnonymousAuthenticator.HubId);
        lane.Enter();
        try
        {
            return lane.Hubs.TryGetValue(AnonymousAuthenticator.HubId, out var hub)
                && hub.Sessions.TryGetValue(new SessionKey(AnonymousAuthenticator.DeviceId, clientId), out var session)
                && session.Connection is not null;
        }
        finally
        {
            lane.Leave();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _timers;
        Broker.Stop();
        await _listener.DisposeAsync();
        _logs?.Dispose();
        _folder?.Dispose();
        _stop.Dispose();
    }
}

/// <summary>A bridge that keeps what it was given. Stores at once, or when the test says so.</summary>
public sealed class RecordingBridge : IOutboundBridge
{
    private readonly Lock _gate = new();
    private readonly List<(Guid HubId, IReadOnlyList<Guid> Routes, DeviceMessage Message)> _owed = [];
    private readonly List<HubEvent> _events = [];
    private readonly List<ActivityReport> _activity = [];
    private readonly Queue<Action> _held = new();

    /// <summary>Answer false: the buffer is full.</summary>
    public bool IsFull { get; set; }

    /// <summary>Keep the stored callbacks until <see cref="StoreNext"/>.</summary>
    public bool HoldsStorage { get; set; }

    public IReadOnlyList<(Guid HubId, IReadOnlyList<Guid> Routes, DeviceMessage Message)> Owed => Snapshot(_owed);
    public IReadOnlyList<HubEvent> Events => Snapshot(_events);
    public IReadOnlyList<ActivityReport> ActivityReports => Snapshot(_activity);

    public bool Offer(Guid hubId, IReadOnlyList<Guid> routeIds, DeviceMessage message, Action? stored)
    {
        lock (_gate)
        {
            if (IsFull)
            {
                return false;
            }
            _owed.Add((hubId, routeIds, message));
            if (stored is not null)
            {
                _held.Enqueue(stored);
            }
        }
        if (!HoldsStorage)
        {
            ThreadPool.QueueUserWorkItem(_ => StoreNext());
        }
        return true;
    }

    public bool HasRoom(IReadOnlyList<Guid> routeIds, DeviceMessage message) => !IsFull;

    /// <summary>Calls the oldest stored callback.</summary>
    public void StoreNext()
    {
        Action? stored;
        lock (_gate)
        {
            _held.TryDequeue(out stored);
        }
        stored?.Invoke();
    }

    public void Activity(Guid hubId, ActivityReport report)
    {
        lock (_gate)
        {
            _activity.Add(report);
        }
    }

    public void Event(Guid hubId, HubEvent happened)
    {
        lock (_gate)
        {
            _events.Add(happened);
        }
    }

    private List<T> Snapshot<T>(List<T> list)
    {
        lock (_gate)
        {
            return [.. list];
        }
    }
}
