using System.Text;
using BenchmarkDotNet.Attributes;
using IotHub.Broker;
using IotHub.Broker.Auth;
using IotHub.Broker.Sessions;
using IotHub.Broker.Topics;
using IotHub.Harness.Mqtt;

namespace IotHub.Benchmarks;

/// <summary>Who gets a topic, with so many subscriptions: known from before, and walked anew.</summary>
[MemoryDiagnoser]
public class TopicBenchmarks
{
    private readonly List<Subscription> _plain = [];
    private readonly List<SharedGroup> _groups = [];
    private readonly byte[] _topic = Encoding.UTF8.GetBytes("site/7/room/7/temperature");
    private SubscriptionTree _tree = null!;
    private Hub _hub = null!;

    [Params(10, 1_000, 100_000)]
    public int Subscriptions { get; set; }

    [GlobalSetup]
    public void Fill()
    {
        var broker = new MqttBroker(new BrokerLimits(), new AnonymousAuthenticator(), new RecordingBridge(), TimeProvider.System);
        _hub = new Hub(broker.Lanes[0], Guid.NewGuid());
        var session = new Session(_hub, new SessionKey(Guid.NewGuid(), "s"), Rights.All);
        _tree = new SubscriptionTree();
        for (var i = 0; i < Subscriptions; i++)
        {
            // One in ten with a wildcard; the rest exact.
            var filter = i % 10 == 0 ? $"site/{i}/+/{i % 97}/temperature" : $"site/{i}/room/{i % 97}/temperature";
            _tree.Add(new Subscription(session, filter, null));
        }
        _hub.Resolve(_topic);
    }

    /// <summary>The look-up of every publish on a topic that was seen before.</summary>
    [Benchmark]
    public object? Known_topic() => _hub.Resolve(_topic);

    /// <summary>The walk that follows a change of subscriptions.</summary>
    [Benchmark]
    public int Walk()
    {
        _plain.Clear();
        _groups.Clear();
        _tree.Match("site/7/room/7/temperature", _plain, _groups);
        return _plain.Count;
    }
}
