using IotHub.Broker;
using IotHub.Broker.Auth;

namespace IotHub.Harness.Mqtt;

/// <summary>
/// The hot paths whose allocations are watched: bytes per delivered message at steady state, through the broker's real connections with
/// sockets left out. The table of allowed figures is tests/benchmarks/allocations.json.
/// </summary>
public static class AllocationScenarios
{
    private const int WarmUp = 3_000;
    private const int Rounds = 2_000;
    private const int Batch = 8;

    public static IReadOnlyDictionary<string, Func<double>> All { get; } = new Dictionary<string, Func<double>>
    {
        ["publish.qos0.1-subscriber"] = () => PerDelivery(4, 0, 1),
        ["publish.qos0.100-subscribers"] = () => PerDelivery(4, 0, 100),
        ["publish.qos0.1-subscriber.v5"] = () => PerDelivery(5, 0, 1),
        ["publish.qos1.1-subscriber"] = () => PerDelivery(4, 1, 1),
        ["publish.qos1.1-subscriber.v5"] = () => PerDelivery(5, 1, 1),
        ["publish.qos2.1-subscriber"] = () => PerDelivery(4, 2, 1),
        ["publish.qos0.1000-topics-in-turn"] = () => PerDelivery(4, 0, 1, topics: 1_000),
        ["publish.qos0.nobody"] = () => PerDelivery(4, 0, 0),
        ["ping"] = Pings,
        ["log.append-and-commit.1"] = () => LogAllocations.AppendAndCommit(1),
        ["log.append-and-commit.16"] = () => LogAllocations.AppendAndCommit(16),
    };

    private static MqttBroker NewBroker() =>
        new(new BrokerLimits(), new AnonymousAuthenticator(), new RecordingBridge(), TimeProvider.System);

    private static double PerDelivery(byte level, byte qos, int subscribers, int topics = 1)
    {
        var broker = NewBroker();
        var receivers = new MemoryClient[subscribers];
        for (var i = 0; i < subscribers; i++)
        {
            receivers[i] = MemoryClient.Connect(broker, $"s{i}", level);
            receivers[i].Send(Packet.Subscribe(1, level == 5, 0, ("bench/#", qos)));
        }
        var publisher = MemoryClient.Connect(broker, "p", level);
        var exchange = new Exchange(publisher, receivers, level, qos, topics);
        for (var i = 0; i < WarmUp; i++)
        {
            exchange.Run();
        }
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < Rounds; i++)
        {
            exchange.Run();
        }
        return (double)(GC.GetAllocatedBytesForCurrentThread() - before) / Rounds / Batch / Math.Max(1, subscribers);
    }

    private static double Pings()
    {
        var client = MemoryClient.Connect(NewBroker(), "p");
        byte[] ping = [0xC0, 0];
        for (var i = 0; i < WarmUp; i++)
        {
            client.Send(ping);
        }
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < Rounds; i++)
        {
            client.Send(ping);
        }
        return (double)(GC.GetAllocatedBytesForCurrentThread() - before) / Rounds;
    }

    /// <summary>A batch of publishes and the acknowledgements that clients would send; prepared beforehand, so that only the broker allocates.</summary>
    private sealed class Exchange
    {
        private readonly MemoryClient _publisher;
        private readonly MemoryClient[] _receivers;
        private readonly byte[][] _publishes;
        private readonly byte[] _releases;
        private readonly byte[] _ack = new byte[4];
        private readonly byte _qos;
        private int _turn;

        /// <summary>The broker hands packet ids out in order.</summary>
        private ushort _id;

        public Exchange(MemoryClient publisher, MemoryClient[] receivers, byte level, byte qos, int topics)
        {
            (_publisher, _receivers, _qos) = (publisher, receivers, qos);
            var payload = new string('x', 64);
            _publishes = [.. Enumerable.Range(0, Math.Max(1, topics / Batch)).Select(turn => Enumerable.Range(0, Batch)
                .SelectMany(i => Packet.Publish($"bench/{((turn * Batch) + i) % topics}", payload, qos, (ushort)(i + 1), isV5: level == 5)).ToArray())];
            _releases = [.. Enumerable.Range(1, Batch).SelectMany(id => Packet.Ack(6, (ushort)id))];
        }

        public void Run()
        {
            _publisher.Send(_publishes[_turn++ % _publishes.Length]);
            if (_qos == 2)
            {
                _publisher.Send(_releases);
            }
            if (_qos > 0)
            {
                foreach (var receiver in _receivers)
                {
                    Acknowledge(receiver);
                }
            }
        }

        private void Acknowledge(MemoryClient receiver)
        {
            for (var i = 0; i < Batch; i++)
            {
                _id = _id == ushort.MaxValue ? (ushort)1 : (ushort)(_id + 1);
                if (_qos == 1)
                {
                    SendAck(receiver, 0x40);
                }
                else
                {
                    SendAck(receiver, 0x50);
                    SendAck(receiver, 0x70);
                }
            }
        }

        private void SendAck(MemoryClient receiver, byte first)
        {
            (_ack[0], _ack[1], _ack[2], _ack[3]) = (first, 2, (byte)(_id >> 8), (byte)_id);
            receiver.Send(_ack);
        }
    }
}
