using System.Text;
using IotHub.Broker.Bridge;
using IotHub.Core.Messages;
using IotHub.Core.Queues.Memory;
using IotHub.Harness;
using Xunit;

namespace IotHub.Unit.Bridge;

/// <summary>What the broker owes to routes and has to tell reaches the queues: in order, bounded, and acknowledged only when it is there.</summary>
public sealed class OutboundBridgeTests : IDisposable
{
    private static readonly Guid Hub = Guid.NewGuid();
    private static readonly Guid Route = Guid.NewGuid();
    private static readonly TimeSpan Longest = new BridgeLimits().LongestBackOff;

    private readonly ManualTime _clock = new();
    private readonly FailingQueue _deliveries;
    private readonly FailingQueue _events;
    private readonly MemoryPayloads _payloads = new();
    private OutboundBridge? _bridge;

    public OutboundBridgeTests() => (_deliveries, _events) = (new FailingQueue(_clock), new FailingQueue(_clock));

    public void Dispose() => _bridge?.Dispose();

    [Fact]
    public async Task A_message_is_put_on_the_queue_with_all_it_has_and_then_acknowledged()
    {
        var bridge = Started();
        var message = Message("a/ü", "hello") with { Retain = true };
        var stored = new Signal();
        Assert.True(bridge.Offer(Hub, [Route], message, stored.Set));
        await Eventually.True(() => stored.Times == 1);
        var envelope = Assert.Single(await Delivered());
        Assert.Equal((1, Hub, Route, 0, _clock.GetUtcNow()), (envelope.Version, envelope.HubId, envelope.RouteId, envelope.Attempt, envelope.CreatedAt));
        var only = Assert.Single(envelope.Messages);
        Assert.Equal((message.Id, "a/ü", true, message.ReceivedAt), (only.Id, only.Topic, only.Retain, only.ReceivedAt));
        Assert.Equal("hello", Encoding.UTF8.GetString(only.Payload!));
        await bridge.Stop();
    }

    [Fact]
    public async Task Nothing_is_acknowledged_while_storage_is_down_and_everything_in_order_after()
    {
        var bridge = Started();
        _deliveries.Fails = true;
        var stored = new Signal();
        var messages = Enumerable.Range(0, 500).Select(i => Message($"t/{i}", "x")).ToList();
        foreach (var message in messages)
        {
            Assert.True(bridge.Offer(Hub, [Route], message, stored.Set));
        }
        for (var tries = _deliveries.Tries; tries < 5; tries++)
        {
            await Eventually.True(() => _deliveries.Tries > tries && _clock.Timers >= 2);
            _clock.Advance(Longest);
        }
        Assert.Equal(0, stored.Times);
        _deliveries.Fails = false;
        await WithTimePassing(() => stored.Times == messages.Count);
        var delivered = await Delivered();
        Assert.Equal(messages.Select(m => m.Id), delivered.SelectMany(e => e.Messages).Select(m => m.Id));
        await bridge.Stop();
    }

    [Fact]
    public async Task A_message_owed_to_several_routes_is_acknowledged_once_when_all_have_it()
    {
        var bridge = Started();
        var routes = Enumerable.Range(0, 20).Select(_ => Guid.NewGuid()).ToList();
        var release = _deliveries.Hold();
        var stored = new Signal();
        Assert.True(bridge.Offer(Hub, routes, Message("t", "x"), stored.Set));
        await Eventually.True(() => _deliveries.Tries == 8);
        Assert.Equal(0, stored.Times);
        release();
        await Eventually.True(() => stored.Times == 1);
        Assert.Equal(routes.Order(), (await Delivered()).Select(e => e.RouteId).Order());
        await bridge.Stop();
        Assert.Equal(1, stored.Times);
    }

    [Fact]
    public async Task What_comes_while_a_batch_is_under_way_leaves_in_one_envelope()
    {
        var bridge = Started();
        var release = _deliveries.Hold();
        bridge.Offer(Hub, [Route], Message("t/first", "x"), null);
        await Eventually.True(() => _deliveries.Tries == 1);
        for (var i = 0; i < 50; i++)
        {
            bridge.Offer(Hub, [Route], Message($"t/{i}", "x"), null);
        }
        release();
        await Eventually.True(() => bridge.WaitingDeliveries == 0);
        Assert.Equal([1, 50], (await Delivered()).Select(e => e.Messages.Count));
        await bridge.Stop();
    }

    [Fact]
    public async Task One_slow_route_does_not_hold_another()
    {
        var bridge = Started(new BridgeLimits { ConcurrentDeliverySends = 2 });
        var release = _deliveries.Hold();
        bridge.Offer(Hub, [Route], Message("t", "slow"), null);
        await Eventually.True(() => _deliveries.Tries == 1);
        bridge.Offer(Hub, [Route], Message("t", "after the slow one"), null);
        bridge.Offer(Hub, [Guid.NewGuid()], Message("t", "other"), null);
        await Eventually.True(() => _deliveries.Tries == 2);
        release();
        await Eventually.True(() => bridge.WaitingDeliveries == 0);
        await bridge.Stop();
    }

    [Fact]
    public async Task Large_payloads_go_to_a_blob_first_and_envelopes_always_fit()
    {
        var bridge = Started();
        var random = new Random(7);
        var release = _deliveries.Hold();
        var sent = new List<(Guid Id, byte[] Payload)>();
        foreach (var size in new[] { 0, 20_000, 20_000, 36_000, 37_000, 4 * 1024 * 1024, 100, 35_000, 10 })
        {
            var payload = new byte[size];
            random.NextBytes(payload);
            var message = Message("täst/\"quoted\"", "") with { Payload = payload };
            sent.Add((message.Id, payload));
            Assert.True(bridge.Offer(Hub, [Route], message, null));
        }
        release();
        await Eventually.True(() => bridge.WaitingDeliveries == 0);
        var received = (await Delivered()).SelectMany(e => e.Messages).ToList();
        Assert.Equal(sent.Select(s => s.Id), received.Select(m => m.Id));
        foreach (var (message, (_, payload)) in received.Zip(sent))
        {
            Assert.Equal(payload, message.Payload ?? await _payloads.Get(message.PayloadBlob!, int.MaxValue));
        }
        Assert.Equal(2, _payloads.Count);
        await bridge.Stop();
    }

    [Fact]
    public async Task A_topic_that_no_queue_message_can_hold_does_not_block_the_route()
    {
        var bridge = Started();
        var stored = new Signal();
        bridge.Offer(Hub, [Route], Message(new string('ü', 30_000), "x"), stored.Set);
        var next = Message("t", "next");
        bridge.Offer(Hub, [Route], next, stored.Set);
        await Eventually.True(() => stored.Times == 2);
        Assert.Equal(next.Id, Assert.Single(Assert.Single(await Delivered()).Messages).Id);
        await bridge.Stop();
    }

    [Fact]
    public async Task A_full_buffer_refuses_whole_messages_and_takes_them_again_when_there_is_room()
    {
        var bridge = Started(new BridgeLimits { BufferedDeliveries = 10 });
        var release = _deliveries.Hold();
        var stored = new Signal();
        Assert.True(bridge.Offer(Hub, Routes(8), Message("t", "x"), stored.Set));
        Assert.False(bridge.Offer(Hub, Routes(3), Message("t", "x"), () => Assert.Fail("acknowledged what was not taken")));
        Assert.True(bridge.Offer(Hub, Routes(2), Message("t", "x"), stored.Set));
        Assert.Equal(10, bridge.WaitingDeliveries);
        release();
        await Eventually.True(() => stored.Times == 2 && bridge.WaitingDeliveries == 0);
        Assert.True(bridge.Offer(Hub, Routes(10), Message("t", "x"), stored.Set));
        await Eventually.True(() => stored.Times == 3);
        Assert.Equal(20, (await Delivered()).Count);
        await bridge.Stop();
    }

    [Fact]
    public async Task The_buffer_is_bounded_in_bytes_and_routes_share_a_message()
    {
        var bridge = Started(new BridgeLimits { BufferedDeliveryBytes = 10_000 });
        var release = _deliveries.Hold();
        var big = Message("t", "") with { Payload = new byte[6_000] };
        Assert.True(bridge.Offer(Hub, Routes(50), big, null));
        Assert.False(bridge.Offer(Hub, Routes(1), big, null));
        release();
        await Eventually.True(() => bridge.WaitingDeliveries == 0);
        Assert.True(bridge.Offer(Hub, Routes(1), big, null));
        await bridge.Stop();
    }

    [Fact]
    public async Task A_message_that_no_route_wants_is_acknowledged_at_once()
    {
        var bridge = Started();
        var stored = new Signal();
        Assert.True(bridge.Offer(Hub, [], Message("t", "x"), stored.Set));
        Assert.Equal(1, stored.Times);
        await bridge.Stop();
    }

    [Fact]
    public async Task Stopping_hands_over_what_is_held_and_takes_no_more()
    {
        var bridge = Started();
        var release = _deliveries.Hold();
        var stored = new Signal();
        bridge.Offer(Hub, [Route], Message("t", "1"), stored.Set);
        bridge.Offer(Hub, [Route], Message("t", "2"), stored.Set);
        bridge.Activity(Hub, new ActivityReport(Guid.NewGuid(), false, _clock.GetUtcNow()));
        var stopping = bridge.Stop();
        Assert.False(bridge.Offer(Hub, [Route], Message("t", "late"), null));
        release();
        await stopping;
        Assert.Equal(2, stored.Times);
        Assert.Equal(2, (await Delivered()).Sum(e => e.Messages.Count));
        Assert.Single(await Recorded());
    }

    [Fact]
    public async Task Stopping_gives_up_after_its_time_and_acknowledges_nothing_it_lost()
    {
        var bridge = Started();
        (_deliveries.Fails, _events.Fails) = (true, true);
        bridge.Offer(Hub, [Route], Message("t", "1"), () => Assert.Fail("acknowledged what was lost"));
        bridge.Event(Hub, Happened("x"));
        var stopping = bridge.Stop();
        await WithTimePassing(() => stopping.IsCompleted);
        await stopping;
        Assert.Empty(await Delivered());
    }

    [Fact]
    public async Task Events_keep_their_order_and_the_newest_activity_of_a_device_wins()
    {
        var bridge = Started();
        var device = Guid.NewGuid();
        var other = Guid.NewGuid();
        var now = _clock.GetUtcNow();
        bridge.Activity(Hub, new ActivityReport(device, true, now));
        bridge.Activity(Hub, new ActivityReport(device, false, now.AddSeconds(2)));
        bridge.Activity(Hub, new ActivityReport(device, true, now.AddSeconds(1)));
        bridge.Activity(other, new ActivityReport(device, true, now));
        bridge.Event(Hub, Happened("first"));
        bridge.Event(Hub, Happened("second"));
        await bridge.Stop();
        var recorded = await Recorded();
        Assert.Equal(2, recorded.Count);
        var mine = recorded.Single(e => e.HubId == Hub);
        Assert.Equal(new ActivityReport(device, false, now.AddSeconds(2)), Assert.Single(mine.Activity));
        Assert.Equal(["first", "second"], mine.Events.Select(e => e.Message));
    }

    [Fact]
    public async Task Events_are_sent_within_a_second()
    {
        var bridge = Started();
        bridge.Event(Hub, Happened("x"));
        await Eventually.True(() => _clock.Timers > 0);
        _clock.Advance(TimeSpan.FromSeconds(1));
        await Eventually.True(() => _events.Inner.Count == 1);
        await bridge.Stop();
    }

    [Fact]
    public async Task While_storage_is_down_the_newest_events_and_devices_are_kept_and_the_rest_is_counted()
    {
        var bridge = Started(new BridgeLimits { BufferedEvents = 3, BufferedActivity = 2 });
        var devices = Enumerable.Range(0, 4).Select(_ => Guid.NewGuid()).ToList();
        for (var i = 0; i < 5; i++)
        {
            bridge.Event(Hub, Happened($"{i}"));
        }
        foreach (var device in devices)
        {
            bridge.Activity(Hub, new ActivityReport(device, true, _clock.GetUtcNow()));
        }
        Assert.Equal(4, bridge.DroppedEvents);
        await bridge.Stop();
        var recorded = Assert.Single(await Recorded());
        Assert.Equal(["2", "3", "4"], recorded.Events.Select(e => e.Message));
        Assert.Equal(devices[2..], recorded.Activity.Select(a => a.DeviceId));
    }

    [Fact]
    public async Task Many_events_are_spread_over_envelopes_that_fit_and_an_endless_payload_is_left_out()
    {
        var bridge = Started();
        bridge.Event(Hub, Happened("huge") with { Payload = new string('"', 100_000) });
        for (var i = 0; i < 1_000; i++)
        {
            bridge.Event(Hub, Happened($"event {i} \"quoted\" äöü"));
            bridge.Activity(Hub, new ActivityReport(Guid.NewGuid(), true, _clock.GetUtcNow()));
        }
        await bridge.Stop();
        var recorded = await Recorded();
        Assert.Equal(1_001, recorded.Sum(e => e.Events.Count));
        Assert.Equal(1_000, recorded.Sum(e => e.Activity.Count));
        Assert.True(recorded.Count < 12, $"{recorded.Count} envelopes");
        Assert.Null(recorded.SelectMany(e => e.Events).First().Payload);
    }

    [Fact]
    public void The_stand_alone_bridge_acknowledges_and_forgets()
    {
        var stored = new Signal();
        Assert.True(new NullBridge().Offer(Hub, [Route], Message("t", "x"), stored.Set));
        Assert.Equal(1, stored.Times);
    }

    private OutboundBridge Started(BridgeLimits? limits = null)
    {
        _bridge = new OutboundBridge(_deliveries, _events, _payloads, _clock, limits ?? new BridgeLimits(), Logging.None<OutboundBridge>());
        _bridge.Start();
        return _bridge;
    }

    private async Task WithTimePassing(Func<bool> condition) => await Eventually.True(() =>
    {
        _clock.Advance(TimeSpan.FromSeconds(1));
        return condition();
    });

    private DeviceMessage Message(string topic, string payload) =>
        new(Guid.NewGuid(), topic, Encoding.UTF8.GetBytes(payload), false, _clock.GetUtcNow());

    private HubEvent Happened(string text) => new()
    {
        Time = _clock.GetUtcNow(),
        Severity = "error",
        ObjectType = "device",
        ObjectId = "unknown",
        Message = text,
    };

    private static List<Guid> Routes(int count) => [.. Enumerable.Range(0, count).Select(_ => Guid.NewGuid())];

    private Task<List<DeliveryEnvelope>> Delivered() => All<DeliveryEnvelope>(_deliveries.Inner);

    private Task<List<EventsEnvelope>> Recorded() => All<EventsEnvelope>(_events.Inner);

    private static async Task<List<T>> All<T>(MemoryQueue queue)
    {
        List<T> all = [];
        while (await queue.Receive(32, TimeSpan.FromHours(1)) is { Count: > 0 } some)
        {
            all.AddRange(some.Select(message => EnvelopeJson.Read<T>(message.Body!.Value.Span)));
        }
        return all;
    }

    private sealed class Signal
    {
        private int _times;

        public int Times => Volatile.Read(ref _times);

        public void Set() => Interlocked.Increment(ref _times);
    }
}
