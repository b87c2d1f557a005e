using IotHub.Broker;
using IotHub.Broker.Durability;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Unit.Sessions;

/// <summary>What is no longer needed leaves the disk, and one slow session does not keep it there.</summary>
public class CleaningTests
{
    private const int SegmentBytes = 16 * 1024;

    private readonly DurableBroker _broker = new(
        options: new LogOptions { SegmentBytes = SegmentBytes, ExtendBytesMinimum = 4096, CleanFromBytes = 4 * SegmentBytes });

    [Fact]
    public void Segments_that_nothing_needs_are_deleted()
    {
        var subscriber = Persistent("sub", 1);
        for (var i = 0; i < 500; i++)
        {
            PublishAndHear(subscriber, i);
        }
        Assert.True(_broker.Disk.Bytes < 7 * SegmentBytes, $"{_broker.Disk.Bytes} bytes are left");
    }

    [Fact]
    public void What_one_absent_session_and_a_retained_topic_need_of_old_segments_moves_to_new_ones()
    {
        Persistent("slow", 2).Disconnect();
        var publisher = Clean("publisher");
        publisher.Send(Packet.Publish("t", "for the slow one", 2, 1));
        publisher.Send(Packet.Publish("t", "and another", 1, 2, retain: true));
        _broker.Run();
        var first = _broker.Lane.Journal!.Log.Segments[0].First;
        var other = _broker.Connect(new ConnectOptions { ClientId = "slow", CleanStart = false, Properties = Forever });
        other.Send(Packet.Subscribe(9, true, 3, ("later", 0)));
        _broker.Run();
        other.Disconnect();
        var subscriber = Persistent("busy", 1, "busy");
        for (var i = 0; i < 1500; i++)
        {
            PublishAndHear(subscriber, i, "busy");
        }
        Assert.NotEqual(first, _broker.Lane.Journal!.Log.Segments[0].First);
        Assert.True(_broker.Disk.Bytes < 8 * SegmentBytes, $"{_broker.Disk.Bytes} bytes are left");
        // Before and after a crash the session is the same.
        _broker.Crash();
        var slow = _broker.Connect(new ConnectOptions { ClientId = "slow", CleanStart = false, Properties = Forever });
        _broker.Run();
        Assert.Equal(["CONNACK present", "PUBLISH 2 dup #1 t=for the slow one", "PUBLISH 1 dup #2 t=and another"], slow.TakeStory());
        var reader = Clean("reader");
        reader.Send(Packet.Subscribe(1, true, 0, ("t", 0)));
        Assert.Equal(["SUBACK #1 00", "PUBLISH 0 retain t=and another"], reader.TakeStory());
        publisher = Clean("publisher");
        publisher.Send(Packet.Publish("later", "still subscribed", 0));
        Assert.Equal(["PUBLISH 0 later=still subscribed"], slow.TakeStory());
    }

    [Fact]
    public void A_log_that_is_full_of_more_than_was_reckoned_is_not_rewritten_for_ever()
    {
        // Found by the simulator when it got routes: what they were owed was taken for 128 bytes each, and rewritten at every commit.
        for (var i = 0; i < 8; i++)
        {
            var client = _broker.Connect(new ConnectOptions { ClientId = $"many-{i}", Properties = Forever });
            for (var j = 0; j < 180; j++)
            {
                client.Send(Packet.Subscribe(1, true, 0, ($"{new string('x', 60)}/{j}", 0)));
            }
            for (var left = 500; _broker.Lane.IsUncommitted; left--)
            {
                Assert.True(left > 0, "nothing happens any more, and the log is still written to");
                _broker.Commit();
            }
            client.Disconnect();
        }
        _broker.Crash();
        Assert.Equal(8 * 180, _broker.Hub.Sessions.Values.Sum(session => session.Subscriptions.Count));
    }

    [Fact]
    public void A_queue_that_is_large_and_needed_is_not_rewritten_over_and_over()
    {
        Persistent("slow", 1).Disconnect();
        var publisher = Clean("publisher");
        for (var i = 0; i < 400; i++)
        {
            publisher.Send(Packet.Publish("t", $"{i:D4}{new string('x', 500)}", 1, (ushort)(1 + i)));
            _broker.Run();
        }
        var queued = _broker.Hub.QueuedBytes;
        Assert.True(_broker.Disk.Bytes < 2 * queued, $"{_broker.Disk.Bytes} bytes for {queued} queued");
        _broker.Crash();
        var slow = _broker.Connect(new ConnectOptions { ClientId = "slow", CleanStart = false, Properties = Forever });
        var heard = new List<string>();
        do
        {
            _broker.Run();
            foreach (var publish in PacketStory.Split(slow.TakeReceived()).Where(p => p[0] >> 4 == 3).Select(p => ReceivedPublish.Read(p, true)))
            {
                heard.Add(publish.Payload[..4]);
                slow.Send(Packet.Ack(4, publish.Id));
            }
        }
        while (heard.Count < 400 && _broker.Hub.QueuedBytes > 0);
        Assert.Equal(Enumerable.Range(0, 400).Select(i => $"{i:D4}"), heard);
    }

    [Fact]
    public void Cleaning_asks_a_disk_again_that_could_not_be_read()
    {
        // One read that failed ended it until the next start.
        Persistent("slow", 2).Disconnect();
        PublishAndHear(Persistent("other", 1), 0);
        var subscriber = Persistent("busy", 1, "busy");
        _broker.Disk.FailingReads = true;
        for (var i = 0; i < 500; i++)
        {
            PublishAndHear(subscriber, i, "busy");
        }
        Assert.True(_broker.Disk.Bytes > 10 * SegmentBytes, $"only {_broker.Disk.Bytes} bytes though nothing could be cleaned");
        _broker.Disk.FailingReads = false;
        _broker.Time.Advance(TimeSpan.FromMinutes(1));
        for (var i = 0; i < 500; i++)
        {
            PublishAndHear(subscriber, i, "busy");
        }
        Assert.True(_broker.Disk.Bytes < 8 * SegmentBytes, $"{_broker.Disk.Bytes} bytes are left");
    }

    [Fact]
    public void A_message_is_not_given_up_that_cannot_be_read_now_behind_one_that_just_moved()
    {
        // The first lies in the commit to come, the second on a disk that does not answer: they were read in one go, and what failed was lost.
        Persistent("slow", 1).Disconnect();
        var publisher = Clean("publisher");
        publisher.Send(Packet.Publish("t", "one", 1, 1));
        _broker.Run();
        var session = _broker.Hub.Sessions.Values.Single(s => s.Key.ClientId == "slow");
        var position = session.Stored[session.Stored.First].Position;
        var subscriber = Persistent("busy", 1, "busy");
        var isTwoThere = false;
        for (var i = 0; session.Stored[session.Stored.First].Position == position; i++)
        {
            Assert.True(i < 2_000, "nothing was cleaned");
            if (!isTwoThere && _broker.Lane.Journal!.Log.Segments.Count > 1)
            {
                isTwoThere = true;
                publisher.Send(Packet.Publish("t", "two", 1, 2));
            }
            publisher.Send(Packet.Publish("busy", $"{i} {new string('x', 300)}", 1, 3));
            _broker.Commit();
            foreach (var publish in PacketStory.Split(subscriber.TakeReceived()).Where(p => p[0] >> 4 == 3).Select(p => ReceivedPublish.Read(p, true)))
            {
                subscriber.Send(Packet.Ack(4, publish.Id));
            }
        }
        Assert.True(isTwoThere && session.Stored[session.Stored.First].Position >= _broker.Lane.Journal!.Log.CommittedPosition);

        _broker.Disk.FailingReads = true;
        var slow = _broker.Connect(new ConnectOptions { ClientId = "slow", CleanStart = false, Properties = Forever });
        _broker.Disk.FailingReads = false;
        _broker.Run();
        Assert.Equal(["CONNACK present", "PUBLISH 1 #1 t=one", "PUBLISH 1 #2 t=two"], slow.TakeStory());
    }

    [Fact]
    public void A_session_over_its_quota_loses_its_oldest_and_the_disk_gets_that_room_back()
    {
        var broker = new DurableBroker(
            limits: new BrokerLimits { QueuedMessagesPerSessionMaximum = 20, QueueOverflow = QueueOverflow.DropOldest },
            options: new LogOptions { SegmentBytes = SegmentBytes, ExtendBytesMinimum = 4096, CleanFromBytes = 4 * SegmentBytes });
        var slow = broker.Connect(new ConnectOptions { ClientId = "slow", Properties = Forever });
        slow.Send(Packet.Subscribe(1, true, 0, ("t", 1)));
        broker.Run();
        slow.Disconnect();
        var publisher = broker.Connect(new ConnectOptions { ClientId = "publisher" });
        for (var i = 1; i <= 1000; i++)
        {
            publisher.Send(Packet.Publish("t", $"{i} {new string('x', 300)}", 1, (ushort)i));
            broker.Run();
        }
        Assert.True(broker.Disk.Bytes < 7 * SegmentBytes, $"{broker.Disk.Bytes} bytes are left");
        broker.Crash();
        slow = broker.Connect(new ConnectOptions { ClientId = "slow", CleanStart = false, Properties = Forever });
        broker.Run();
        var numbers = PacketStory.Split(slow.TakeReceived()).Where(p => p[0] >> 4 == 3).Select(p => ReceivedPublish.Read(p, true).Payload.Split(' ')[0]);
        Assert.Equal(Enumerable.Range(981, 20).Select(i => $"{i}"), numbers);
    }

    private static byte[] Forever => Packet.Property(0x11, uint.MaxValue);

    private void PublishAndHear(MemoryClient subscriber, int i, string topic = "t")
    {
        var publisher = Clean("publisher");
        publisher.Send(Packet.Publish(topic, $"{i} {new string('x', 300)}", 1, 1));
        _broker.Run();
        var publish = Assert.Single(PacketStory.Split(subscriber.TakeReceived()), p => p[0] >> 4 == 3);
        subscriber.Send(Packet.Ack(4, ReceivedPublish.Read(publish, true).Id));
        _broker.Run();
        publisher.Disconnect();
    }

    private MemoryClient Persistent(string clientId, byte qos, string filter = "t")
    {
        var client = _broker.Connect(new ConnectOptions { ClientId = clientId, Properties = Forever });
        client.Send(Packet.Subscribe(1, true, 0, (filter, qos)));
        _broker.Run();
        Assert.Equal(["CONNACK new", $"SUBACK #1 0{qos}"], client.TakeStory());
        return client;
    }

    private MemoryClient Clean(string clientId)
    {
        var client = _broker.Connect(new ConnectOptions { ClientId = clientId });
        Assert.Equal(["CONNACK new"], client.TakeStory());
        return client;
    }
}
