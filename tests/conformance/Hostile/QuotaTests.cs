using IotHub.Broker;
using IotHub.Broker.Auth;
using IotHub.Broker.Bridge;
using IotHub.Core.Messages;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.Hostile;

/// <summary>One over each limit of what a hub keeps.</summary>
public sealed class QuotaTests
{
    private static readonly HubSettings WithEvents = new("$SCW/events", false, []);

    private static ConnectOptions Persistent(string clientId) =>
        new() { ClientId = clientId, CleanStart = false, Properties = Packet.Property(0x11, 1000u) };

    [Fact]
    [Limit(nameof(BrokerLimits.RetainedMessagesPerHubMaximum), "PUBACK 0x97; nobody gets the message")]
    public async Task One_retained_message_too_many_is_refused_and_a_known_topic_may_still_change()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { RetainedMessagesPerHubMaximum = 2 });
        await using var client = await broker.Connect("a");
        await client.Send(Packet.Publish("a", "1", 1, 1, retain: true), Packet.Publish("b", "1", 1, 2, retain: true));
        await client.Next();
        await client.Next();
        await client.Send(Packet.Publish("c", "1", 1, 3, retain: true));
        Assert.Equal(0x97, (await client.Next())[4]);
        await client.Send(Packet.Publish("b", "2", 1, 4, retain: true));
        Assert.NotEqual(0x97, (await client.Next())[^1]);
        await client.Send(Packet.Publish("a", "", 1, 5, retain: true));
        await client.Next();
        await client.Send(Packet.Publish("c", "1", 1, 6, retain: true));
        Assert.NotEqual(0x97, (await client.Next())[^1]);
    }

    [Fact]
    [Limit(nameof(BrokerLimits.RetainedBytesPerHubMaximum), "PUBACK 0x97; nobody gets the message")]
    public async Task Retained_bytes_above_the_quota_are_refused()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { RetainedBytesPerHubMaximum = 100 });
        await using var client = await broker.Connect("a");
        await client.Send(Packet.Publish("a", new string('x', 99), 1, 1, retain: true));
        Assert.NotEqual(0x97, (await client.Next())[^1]);
        await client.Send(Packet.Publish("b", "x", 1, 2, retain: true));
        Assert.Equal(0x97, (await client.Next())[4]);
    }

    [Fact]
    [Limit(nameof(BrokerLimits.QueuedMessagesPerSessionMaximum), "the newest message is dropped; one event per episode")]
    public async Task A_full_queue_drops_the_newest_with_one_event_and_keeps_the_rest_in_order()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { QueuedMessagesPerSessionMaximum = 3 }, settings: WithEvents);
        await LeaveSession(broker);
        await PublishFive(broker, "");
        Assert.Equal(["1", "2", "3"], await TakeAll(broker));
        Assert.Single(broker.Bridge.Events, e => e.Message.StartsWith("messages are dropped", StringComparison.Ordinal));
    }

    [Fact]
    [Limit(nameof(BrokerLimits.QueueOverflow), "with DropOldest those that waited longest go; the same event")]
    public async Task A_full_queue_drops_the_oldest_where_that_is_the_policy()
    {
        await using var broker = TestBroker.Start(
            new BrokerLimits { QueuedMessagesPerSessionMaximum = 3, QueueOverflow = QueueOverflow.DropOldest }, settings: WithEvents);
        await LeaveSession(broker);
        await PublishFive(broker, "");
        Assert.Equal(["3", "4", "5"], await TakeAll(broker));
        Assert.Single(broker.Bridge.Events, e => e.Message.StartsWith("messages are dropped", StringComparison.Ordinal));
    }

    [Fact]
    [Limit(nameof(BrokerLimits.UncommittedBytesPerShardMaximum), "0x97 until the disk has caught up")]
    public void A_disk_that_falls_behind_refuses_what_must_be_kept()
    {
        var broker = new DurableBroker(limits: new BrokerLimits { UncommittedBytesPerShardMaximum = 2_000 });
        broker.Connect(new ConnectOptions { ClientId = "away", Properties = Packet.Property(0x11, 60u) }).Send(Packet.Subscribe(1, true, 0, ("t", 1)));
        broker.Run();
        var publisher = broker.Connect(new ConnectOptions { ClientId = "publisher" });
        Assert.Equal(["CONNACK new"], publisher.TakeStory());
        publisher.Send(Packet.Publish("t", new string('x', 2_000), 1, 1));
        publisher.Send(Packet.Publish("t", "too much", 1, 2));
        broker.Run();
        publisher.Send(Packet.Publish("t", "fits again", 1, 3));
        broker.Run();
        Assert.Equal(["PUBACK #1", "PUBACK #2 97", "PUBACK #3"], publisher.TakeStory());
    }

    [Fact]
    [Limit(nameof(BrokerLimits.QueuedBytesPerSessionMaximum), "the newest message is dropped; one event per episode")]
    public async Task Queued_bytes_above_the_session_quota_are_dropped()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { QueuedBytesPerSessionMaximum = 350 });
        await LeaveSession(broker);
        await PublishFive(broker, new string('x', 100));
        Assert.Equal(["1", "2", "3"], (await TakeAll(broker)).Select(p => p.TrimStart('x')));
    }

    [Fact]
    [Limit(nameof(BrokerLimits.StoredBytesPerHubMaximum), "the newest message is dropped; one event per episode")]
    public async Task Queued_bytes_above_the_hub_quota_are_dropped()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { QueuedBytesPerSessionMaximum = 250, StoredBytesPerHubMaximum = 250 });
        await LeaveSession(broker);
        await PublishFive(broker, new string('x', 100));
        Assert.Equal(["1", "2"], (await TakeAll(broker)).Select(p => p.TrimStart('x')));
    }

    [Fact]
    [Limit(nameof(BrokerLimits.CachedTopicsPerHubMaximum), "none: the table of known topics starts anew")]
    public async Task More_topics_than_the_table_remembers_are_delivered_all_the_same()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { CachedTopicsPerHubMaximum = 4 });
        await using var client = await broker.Connect("a");
        await client.Subscribe("t/+", 0);
        for (var round = 0; round < 2; round++)
        {
            for (var i = 0; i < 10; i++)
            {
                await client.Send(Packet.Publish($"t/{i}", $"{round}"));
                Assert.Equal(($"t/{i}", $"{round}"), ((await client.NextPublish()) is var p ? (p.Topic, p.Payload) : default));
            }
        }
    }

    [Fact]
    [Limit(nameof(BrokerLimits.RememberedMessageIdsPerHub), "a repeat of an older id counts as new")]
    public async Task A_message_id_is_remembered_for_as_many_messages_as_the_limit_says()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { RememberedMessageIdsPerHub = 2 });
        var messages = Enumerable.Range(0, 3).Select(i => new DeviceMessage(Guid.NewGuid(), "t", new byte[] { 1 }, false, DateTimeOffset.UnixEpoch)).ToList();
        Task<IngestOutcome> Publish(int i) => broker.Broker.Publish(AnonymousAuthenticator.HubId, messages[i], null, default);
        Assert.Equal(IngestOutcome.Accepted, await Publish(0));
        Assert.Equal(IngestOutcome.Duplicate, await Publish(0));
        Assert.Equal(IngestOutcome.Accepted, await Publish(1));
        Assert.Equal(IngestOutcome.Duplicate, await Publish(0));
        Assert.Equal(IngestOutcome.Accepted, await Publish(2));
        Assert.Equal(IngestOutcome.Accepted, await Publish(0));
    }

    [Fact]
    [Limit(nameof(BrokerLimits.OutboxBytesMaximum), "QoS 0 is dropped for this receiver; QoS 1 and 2 wait")]
    public async Task A_reader_that_does_not_read_loses_qos_0_and_nothing_of_qos_1()
    {
        await using var broker = TestBroker.Start(new BrokerLimits { OutboxBytesMaximum = 64 * 1024 });
        await using var slow = await broker.Connect("slow");
        await slow.Subscribe("big/0", 0);
        await slow.Subscribe("big/1", 1);
        await using var publisher = await broker.Connect("p");
        await using var healthy = await HealthyPair.On(broker);
        var payload = new string('x', 60_000);
        const int Messages = 300;
        for (ushort i = 1; i <= Messages; i++)
        {
            await publisher.Send(Packet.Publish("big/0", payload), Packet.Publish("big/1", $"{i} {payload}", 1, i));
            await publisher.Expect(Packet.Ack(4, i));
        }
        await healthy.IsServed();
        Assert.True(broker.Broker.Lanes.Sum(l => l.Counters.DroppedSlowReceiver) > 0, "nothing was dropped: the socket took it all");
        var next = 1;
        while (next <= Messages)
        {
            var received = await slow.NextPublish();
            if (received.Qos == 1)
            {
                Assert.StartsWith($"{next++} ", received.Payload, StringComparison.Ordinal);
                await slow.Send(Packet.Ack(4, received.Id));
            }
        }
        await healthy.IsServed();
    }

    private static async Task LeaveSession(TestBroker broker)
    {
        await using var subscriber = await broker.Connect(Persistent("s"));
        await subscriber.Subscribe("t", 1);
        await subscriber.Send("E0 00");
        await subscriber.ExpectClosed();
    }

    private static async Task PublishFive(TestBroker broker, string padding)
    {
        await using var publisher = await broker.Connect("p");
        for (ushort i = 1; i <= 5; i++)
        {
            await publisher.Send(Packet.Publish("t", $"{padding}{i}", 1, i));
            await publisher.Next();
        }
    }

    private static async Task<List<string>> TakeAll(TestBroker broker)
    {
        await using var subscriber = await broker.Connect(Persistent("s"));
        await subscriber.Send("C0 00");
        var payloads = new List<string>();
        while (true)
        {
            var packet = await subscriber.Next();
            if (packet[0] == 0xD0)
            {
                return payloads;
            }
            var received = ReceivedPublish.Read(packet, isV5: true);
            payloads.Add(received.Payload);
            await subscriber.Send(Packet.Ack(4, received.Id));
        }
    }
}
