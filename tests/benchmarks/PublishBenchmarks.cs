using BenchmarkDotNet.Attributes;
using IotHub.Broker;
using IotHub.Broker.Auth;
using IotHub.Harness.Mqtt;

namespace IotHub.Benchmarks;

/// <summary>
/// A batch of 8 QoS 0 publishes through a whole connection, sockets left out: parse, match, append, flush bookkeeping. Figures are per
/// delivery.
/// </summary>
[MemoryDiagnoser]
public class PublishBenchmarks
{
    private const int Batch = 8;
    private MemoryClient _publisher = null!;
    private byte[] _packets = [];

    [Params(1, 10, 100)]
    public int Subscribers { get; set; }

    [GlobalSetup]
    public void Connect()
    {
        var broker = new MqttBroker(new BrokerLimits(), new AnonymousAuthenticator(), new RecordingBridge(), TimeProvider.System);
        for (var i = 0; i < Subscribers; i++)
        {
            MemoryClient.Connect(broker, $"s{i}").Send(Harness.Mqtt.Packet.Subscribe(1, false, 0, ("sensors/#", 0)));
        }
        _publisher = MemoryClient.Connect(broker, "p");
        _packets = [.. Enumerable.Repeat(Harness.Mqtt.Packet.Publish("sensors/floor/0042", new string('x', 64), isV5: false), Batch).SelectMany(p => p)];
    }

    [Benchmark(OperationsPerInvoke = Batch)]
    public bool Batch_of_8() => _publisher.Send(_packets);
}
