using IotHub.Broker;
using IotHub.Broker.Auth;
using IotHub.Broker.Bridge;
using IotHub.Core.Messages;
using IotHub.Harness;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Unit.Bridge;

/// <summary>What devices do is counted packet by packet and sent once a minute.</summary>
public sealed class MetricsSenderTests
{
    private readonly ManualTime _clock = new(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero));
    private readonly FailingQueue _queue;

    public MetricsSenderTests() => _queue = new FailingQueue(_clock);

    [Fact]
    public void Every_packet_of_a_device_counts_one_as_in_the_reference()
    {
        // A QoS 1 publish to two QoS 1 subscribers, after a connect: CONNECT, CONNACK, PUBLISH, PUBACK, and twice PUBLISH and PUBACK.
        var broker = new MqttBroker(new BrokerLimits(), new AnonymousAuthenticator(), new NullBridge(), TimeProvider.System);
        var subscribers = new[] { MemoryClient.Connect(broker, "s1"), MemoryClient.Connect(broker, "s2") };
        foreach (var subscriber in subscribers)
        {
            subscriber.Send(Packet.Subscribe(1, false, 0, ("a", 1)));
        }
        Assert.Equal(8, Total(broker));
        var publisher = MemoryClient.Connect(broker, "p");
        publisher.Send(Packet.Publish("a", "x", qos: 1, id: 7, isV5: false));
        foreach (var subscriber in subscribers)
        {
            subscriber.Send(Packet.Ack(4, 1));
        }
        Assert.Equal(8, Total(broker));
        Assert.Equal(0, Total(broker));
    }

    [Fact]
    public async Task A_message_of_a_network_counts_where_it_is_delivered_and_nowhere_else()
    {
        var broker = new MqttBroker(new BrokerLimits(), new AnonymousAuthenticator(), new NullBridge(), TimeProvider.System);
        var message = new DeviceMessage(Guid.NewGuid(), "a", new byte[] { 1 }, false, DateTimeOffset.UtcNow);
        await broker.Publish(AnonymousAuthenticator.HubId, message, null, CancellationToken.None);
        Assert.Empty(broker.TakeCounts());
        var subscriber = MemoryClient.Connect(broker, "s");
        subscriber.Send(Packet.Subscribe(1, false, 0, ("#", 0)));
        Assert.Equal(4, Total(broker));
        await broker.Publish(AnonymousAuthenticator.HubId, message with { Id = Guid.NewGuid() }, null, CancellationToken.None);
        Assert.Equal(1, Total(broker));
    }

    [Fact]
    public void A_device_that_left_is_counted_once_and_a_silent_one_every_time()
    {
        var broker = new MqttBroker(new BrokerLimits(), new AnonymousAuthenticator(), new NullBridge(), TimeProvider.System);
        var client = MemoryClient.Connect(broker, "a");
        client.Send(new byte[] { 0xC0, 0 });
        client.Send(new byte[] { 0xE0, 0 });
        var counts = Assert.Single(broker.TakeCounts());
        Assert.Equal(5, Assert.Single(counts.Packets).Value);
        Assert.Empty(broker.TakeCounts());
        MemoryClient.Connect(broker, "b");
        Assert.Equal(2, Total(broker));
        Assert.Equal(0, Assert.Single(Assert.Single(broker.TakeCounts()).Packets).Value);
    }

    [Fact]
    public async Task A_minute_is_sent_when_it_is_over_and_the_rest_at_the_end()
    {
        var counts = new Counts();
        var (hub, one, two) = (Guid.NewGuid(), Guid.NewGuid(), Guid.NewGuid());
        var (sender, stop, running) = Start(counts);
        counts.Next(hub, (one, 8), (two, 4));
        await PassTo(55);
        var first = Assert.Single(await Sent(1));
        Assert.Equal((hub, sender.Source, new DateTimeOffset(2026, 1, 2, 3, 4, 0, TimeSpan.Zero)), (first.HubId, first.Source, first.Minute));
        Assert.Equal(new HubCounts(12, 2, 2), first.Hub);
        Assert.Equivalent(new[] { new DeviceCounts(one, 8), new DeviceCounts(two, 4) }, first.Devices);
        counts.Next(hub, (one, 1));
        await stop.CancelAsync();
        await running;
        var last = Assert.Single(await Sent(1));
        Assert.Equal((new DateTimeOffset(2026, 1, 2, 3, 5, 0, TimeSpan.Zero), new HubCounts(1, 1, 2)), (last.Minute, last.Hub));
    }

    [Fact]
    public async Task Many_devices_are_spread_over_envelopes_that_fit_the_queue()
    {
        var counts = new Counts();
        var hub = Guid.NewGuid();
        var (_, stop, running) = Start(counts);
        var devices = Enumerable.Range(0, 2_000).Select(_ => (Guid.NewGuid(), long.MaxValue / 3_000)).ToArray();
        counts.Next(hub, devices);
        await PassTo(55);
        var sent = await Sent(4);
        Assert.Equal(2_000, sent.SelectMany(envelope => envelope.Devices).Select(device => device.Id).Distinct().Count());
        Assert.Single(sent, envelope => envelope.Hub is not null);
        await stop.CancelAsync();
        await running;
    }

    [Fact]
    public async Task While_the_queue_is_away_nothing_is_lost()
    {
        var counts = new Counts();
        var hub = Guid.NewGuid();
        var (_, stop, running) = Start(counts);
        _queue.Fails = true;
        counts.Next(hub, (hub, 1));
        await PassTo(55);
        await Eventually.True(() => _queue.Tries > 0 && _clock.Timers > 0);
        counts.Next(hub, (hub, 2));
        _queue.Fails = false;
        _clock.Advance(TimeSpan.FromMinutes(3));
        await Eventually.True(() => _clock.Timers > 0 && _queue.Tries > 1);
        await stop.CancelAsync();
        await running;
        Assert.Equal(3, (await Sent(2)).Sum(envelope => envelope.Hub!.Messages));
    }

    private (MetricsSender Sender, CancellationTokenSource Stop, Task Running) Start(Counts counts)
    {
        var sender = new MetricsSender(_queue, _clock, new BridgeLimits(), Logging.None<MetricsSender>());
        var stop = new CancellationTokenSource();
        return (sender, stop, sender.Run(counts, stop.Token, CancellationToken.None));
    }

    private async Task PassTo(int seconds)
    {
        await Eventually.True(() => _clock.Timers > 0);
        _clock.Advance(TimeSpan.FromSeconds(seconds));
    }

    private async Task<List<MetricsEnvelope>> Sent(int number)
    {
        List<MetricsEnvelope> sent = [];
        await Eventually.True(async () =>
        {
            foreach (var message in await _queue.Inner.Receive(32, TimeSpan.FromDays(1)))
            {
                sent.Add(EnvelopeJson.Read<MetricsEnvelope>(message.Body!.Value.Span));
            }
            return sent.Count >= number;
        });
        return sent;
    }

    private static long Total(MqttBroker broker) => broker.TakeCounts().SelectMany(hub => hub.Packets.Values).Sum();

    private sealed class Counts : IActivityCounts
    {
        private readonly Lock _lock = new();
        private List<HubActivity> _next = [];

        public void Next(Guid hub, params (Guid Device, long Packets)[] devices)
        {
            lock (_lock)
            {
                _next.Add(new HubActivity(hub, devices.ToDictionary(device => device.Device, device => device.Packets)));
            }
        }

        public IReadOnlyList<HubActivity> TakeCounts()
        {
            lock (_lock)
            {
                var taken = _next;
                _next = [];
                return taken;
            }
        }
    }
}
