using IotHub.Broker.Auth;
using IotHub.Broker.Bridge;
using IotHub.Core.Messages;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Unit.Sessions;

/// <summary>What is owed to routes, and what came in from outside, with a broker that has a disk.</summary>
public class OwedToRoutesTests
{
    private static readonly Guid Route = Guid.NewGuid();
    private readonly Bridge _bridge = new();
    private readonly DurableBroker _broker;

    public OwedToRoutesTests()
    {
        _broker = new DurableBroker(outbound: _bridge);
        Configure();
    }

    [Fact]
    public void A_message_is_offered_again_after_a_crash_under_its_id_until_the_routes_have_it()
    {
        var publisher = _broker.Connect(new ConnectOptions { ClientId = "p" });
        publisher.Send(Packet.Publish("t", "x", 1, 1));
        _broker.Run();
        Assert.Equal(["CONNACK new", "PUBACK #1"], publisher.TakeStory());
        var (first, _) = Assert.Single(_bridge.Offered);
        Crash();
        var (again, stored) = Assert.Single(_bridge.Offered);
        Assert.Equal((first.Id, first.Topic, "x", first.ReceivedAt.ToUnixTimeMilliseconds()),
            (again.Id, again.Topic, System.Text.Encoding.UTF8.GetString(again.Payload.Span), again.ReceivedAt.ToUnixTimeMilliseconds()));
        stored!();
        _broker.Run();
        Crash();
        Assert.Empty(_bridge.Offered);
    }

    [Fact]
    public void A_message_is_offered_when_it_is_on_disk_and_not_under_two_ids_when_a_crash_comes_first()
    {
        var publisher = _broker.Connect(new ConnectOptions { ClientId = "p", Properties = Packet.Property(0x11, uint.MaxValue) });
        _broker.Run();
        publisher.Send(Packet.Publish("t", "x", 2, 1));
        Assert.Empty(_bridge.Offered);
        _broker.Crash();
        Configure();
        publisher = _broker.Connect(new ConnectOptions { ClientId = "p", CleanStart = false, Properties = Packet.Property(0x11, uint.MaxValue) });
        publisher.Send(Packet.Publish("t", "x", 2, 1, dup: true));
        _broker.Run();
        Assert.Equal(["CONNACK present", "PUBREC #1"], publisher.TakeStory());
        Assert.Single(_bridge.Offered);
    }

    [Fact]
    public void What_the_buffer_does_not_take_after_all_is_offered_later_in_order()
    {
        var publisher = _broker.Connect(new ConnectOptions { ClientId = "p" });
        _broker.Run();
        publisher.Send(Packet.Publish("t", "1", 1, 1));
        _bridge.IsFull = true;
        _broker.Run();
        _bridge.IsFull = false;
        publisher.Send(Packet.Publish("t", "2", 1, 2));
        _broker.Run();
        _broker.Broker.Tick();
        Assert.Equal(["CONNACK new", "PUBACK #1", "PUBACK #2"], publisher.TakeStory());
        Assert.Equal(["1", "2"], _bridge.Offered.Select(o => System.Text.Encoding.UTF8.GetString(o.Message.Payload.Span)));
    }

    [Fact]
    public void What_the_disk_does_not_give_back_now_is_offered_when_it_does()
    {
        // A read that failed once was taken for a message that is gone, and struck off what the routes are owed.
        var publisher = _broker.Connect(new ConnectOptions { ClientId = "p" });
        _broker.Run();
        publisher.Send(Packet.Publish("t", "owed", 1, 1));
        _bridge.IsFull = true;
        _broker.Run();
        Assert.Equal(["CONNACK new", "PUBACK #1"], publisher.TakeStory());
        (_bridge.IsFull, _broker.Disk.FailingReads) = (false, true);
        _broker.Broker.Tick();
        _broker.Run();
        Assert.Empty(_bridge.Offered);
        _broker.Disk.FailingReads = false;
        _broker.Broker.Tick();
        Assert.Equal("owed", System.Text.Encoding.UTF8.GetString(Assert.Single(_bridge.Offered).Message.Payload.Span));
    }

    [Fact]
    public async Task A_repeat_from_outside_is_told_when_the_first_is_on_disk()
    {
        // The first may have been given up by its caller: were the repeat told earlier, a crash would lose the message.
        var message = new DeviceMessage(Guid.NewGuid(), "other", new byte[] { 1 }, false, DateTimeOffset.UnixEpoch);
        var first = _broker.Broker.Publish(AnonymousAuthenticator.HubId, message, null, CancellationToken.None);
        var second = _broker.Broker.Publish(AnonymousAuthenticator.HubId, message, null, CancellationToken.None);
        Assert.False(second.IsCompleted);
        _broker.Run();
        Assert.Equal((IngestOutcome.Accepted, IngestOutcome.Duplicate), (await first, await second));
    }

    [Fact]
    public void A_full_buffer_refuses_the_publish_and_records_nothing()
    {
        var publisher = _broker.Connect(new ConnectOptions { ClientId = "p" });
        _broker.Run();
        _bridge.IsFull = true;
        publisher.Send(Packet.Publish("t", "x", 1, 1));
        Assert.Equal(["CONNACK new", "PUBACK #1 97"], publisher.TakeStory());
        Assert.False(_broker.Lane.IsUncommitted);
    }

    [Fact]
    public async Task An_id_from_outside_is_known_after_a_crash()
    {
        var message = new DeviceMessage(Guid.NewGuid(), "other", new byte[] { 1 }, false, DateTimeOffset.UnixEpoch);
        var publish = _broker.Broker.Publish(AnonymousAuthenticator.HubId, message, null, CancellationToken.None);
        Assert.False(publish.IsCompleted);
        _broker.Run();
        Assert.Equal(IngestOutcome.Accepted, await publish);
        Crash();
        Assert.Equal(
            IngestOutcome.Duplicate, await _broker.Broker.Publish(AnonymousAuthenticator.HubId, message, null, CancellationToken.None));
    }

    private void Crash()
    {
        _bridge.Offered.Clear();
        _broker.Crash();
        Configure();
        _broker.Broker.Tick();
        _broker.Run();
    }

    private void Configure() => _broker.Broker.Configure(
        AnonymousAuthenticator.HubId, new HubSettings(null, false, [new RouteSubscription(Route, "t")]));

    private sealed class Bridge : IOutboundBridge
    {
        public List<(DeviceMessage Message, Action? Stored)> Offered { get; } = [];
        public bool IsFull { get; set; }

        public bool Offer(Guid hubId, IReadOnlyList<Guid> routeIds, DeviceMessage message, Action? stored)
        {
            Assert.Equal([Route], routeIds);
            if (!IsFull)
            {
                Offered.Add((message, stored));
            }
            return !IsFull;
        }

        public bool HasRoom(IReadOnlyList<Guid> routeIds, DeviceMessage message) => !IsFull;

        public void Activity(Guid hubId, ActivityReport report)
        {
        }

        public void Event(Guid hubId, HubEvent happened)
        {
        }
    }
}
