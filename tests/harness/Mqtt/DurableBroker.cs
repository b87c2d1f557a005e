using IotHub.Broker;
using IotHub.Broker.Auth;
using IotHub.Broker.Bridge;
using IotHub.Broker.Durability;
using IotHub.Broker.Sessions;
using IotHub.Broker.Sessions.Stored;

namespace IotHub.Harness.Mqtt;

/// <summary>
/// A broker of one lane on a disk in memory, without threads: what runs in the background, and every commit, happens when the test says
/// so. <see cref="Crash"/> is a power cut and a start.
/// </summary>
public sealed class DurableBroker
{
    private readonly Queue<Action> _background = [];
    private readonly BrokerLimits _limits;
    private readonly LogOptions _options;
    private readonly IOutboundBridge _outbound;
    private readonly IAuthenticator _authenticator;
    private Guid _boot = Guid.NewGuid();

    public DurableBroker(
        int seed = 1, BrokerLimits? limits = null, LogOptions? options = null, IOutboundBridge? outbound = null, IAuthenticator? authenticator = null)
    {
        Disk = new MemoryDisk(seed);
        ShardLog.Create(Disk);
        _limits = limits ?? new BrokerLimits { SessionsPerDeviceMaximum = 10_000 };
        _options = options ?? new LogOptions();
        _outbound = outbound ?? new NullBridge();
        _authenticator = authenticator ?? new AnonymousAuthenticator();
        Broker = Start();
    }

    /// <summary>From the next start on: sessions from the log wait until they are looked up.</summary>
    public bool ChecksRestored { get; set; }

    public MemoryDisk Disk { get; }
    public ManualTime Time { get; } = new();

    public MqttBroker Broker { get; private set; }
    public Lane Lane => Broker.Lanes[0];
    public Hub Hub => Lane.Hubs[AnonymousAuthenticator.HubId];

    /// <summary>The next start is one of the machine, not only of the process.</summary>
    public void Reboot() => _boot = Guid.NewGuid();

    /// <summary>Power cut: what was not on disk is gone, or not. Then a start.</summary>
    public void Crash()
    {
        _background.Clear();
        Disk.Crash();
        Disk.Restart();
        Broker = Start();
    }

    /// <summary>Everything in the background, and commits until nothing is left; false when the disk did not take one.</summary>
    public bool Run()
    {
        while (true)
        {
            while (_background.TryDequeue(out var action))
            {
                action();
            }
            if (!Lane.BeginCommit())
            {
                return true;
            }
            if (!Write())
            {
                return false;
            }
        }
    }

    /// <summary>One commit, of whatever is recorded.</summary>
    public void Commit()
    {
        if (Lane.BeginCommit())
        {
            Write();
        }
    }

    public MemoryClient Connect(ConnectOptions options)
    {
        var client = MemoryClient.Open(Broker);
        client.Keeps = true;
        client.Send(Packet.Connect(options));
        return client;
    }

    private bool Write()
    {
        try
        {
            Lane.Journal!.Log.WriteCommit();
        }
        catch (IOException)
        {
            Lane.FailCommit();
            return false;
        }
        Lane.EndCommit();
        while (Lane.TakeDeletable() is { } segment)
        {
            Lane.Journal.Log.Delete(segment);
        }
        return true;
    }

    private MqttBroker Start()
    {
        var broker = new MqttBroker(_limits, _authenticator, _outbound, Time, lanes: 1)
        {
            Background = _background.Enqueue,
            ChecksRestored = ChecksRestored,
        };
        broker.Lanes[0].Open(Disk, _options, () => new BootClock(_boot, Time.GetTimestamp() / TimeSpan.TicksPerMillisecond));
        broker.Configure(AnonymousAuthenticator.HubId, new HubSettings(null, false, []));
        return broker;
    }
}
