using IotHub.Broker;
using IotHub.Broker.Auth;
using IotHub.Broker.Bridge;
using IotHub.Broker.Durability;
using IotHub.Broker.Protocol.Packets;
using IotHub.Broker.Sessions;
using IotHub.Broker.Sessions.Stored;
using IotHub.Broker.Topics;
using IotHub.Harness;
using Xunit;

namespace IotHub.Unit.Sessions;

/// <summary>Freezes docs/formats/journal.md: these bytes are on other people's disks.</summary>
public sealed class JournalFormatTests : IDisposable
{
    private static readonly Guid HubId = new("11111111-2222-3333-4444-555555555555");
    private static readonly Guid DeviceId = new("66666666-7777-8888-9999-aaaaaaaaaaaa");
    private static readonly Guid MessageId = new("bbbbbbbb-cccc-dddd-eeee-ffffffffffff");
    private static readonly Guid RouteId = new("01010101-0202-0303-0404-050505050505");
    private static readonly BootClock Boot = new(new("0a0b0c0d-0102-0304-0506-0708090a0b0c"), 77_000);

    private readonly ShardLog _log;
    private readonly Journal _journal;
    private readonly Hub _hub;

    public JournalFormatTests()
    {
        var disk = new MemoryDisk(1);
        ShardLog.Create(disk);
        _log = ShardLog.Open(disk, new LogOptions(), (_, _, _) => { });
        _journal = new Journal(_log, nextSession: 5, pendingBytesMaximum: 1_000_000);
        var broker = new MqttBroker(new BrokerLimits(), new AnonymousAuthenticator(), new NullBridge(), TimeProvider.System, lanes: 1);
        _hub = new Hub(broker.Lanes[0], HubId);
    }

    public void Dispose() => _log.Dispose();

    [Fact]
    public void Kinds_of_records_may_only_grow() => Assert.Equal(
        "Clock 1, SessionImage 2, SessionChanged 3, SessionEnded 4, Subscribed 5, Unsubscribed 6, Message 7, Sent 8, Received 9, Done 10, "
        + "IncomingReceived 11, IncomingReleased 12, RetainedCleared 13, RoutesDone 14, Ingested 15, HubEnded 16",
        string.Join(", ", Enum.GetValues<RecordKind>().Select(kind => $"{kind} {(byte)kind}")));

    [Fact]
    public void Each_record_has_these_bytes() => Assert.Equal(VectorsOf(Journal.Version), WriteAll());

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void These_bytes_are_read_for_good(int version)
    {
        var shard = new RecoveredShard(rememberedIds: 10);
        var position = 48L;
        foreach (var line in VectorsOf(version))
        {
            var (kind, body) = (line.Split(' ')[0], Convert.FromHexString(line.Split(' ')[1]));
            if (!kind.EndsWith("Ended", StringComparison.Ordinal) && kind is not ("Done" or "RoutesDone" or "RetainedCleared"))
            {
                shard.Apply(position, (byte)Enum.Parse<RecordKind>(kind), body);
            }
            position += 1000;
        }
        shard.Complete();
        Assert.Equal((Boot, 123_456L), (shard.Clock!.Value.Boot, shard.Clock.Value.AtMs));
        var session = shard.Sessions[5];
        Assert.Equal((HubId, new SessionKey(DeviceId, "client ü")), (session.HubId, session.Key));
        Assert.Equal((3600u, 999_000L, 888_000L, false), (session.ExpirySeconds, session.ExpiresAt, session.WillAt, session.WasConnected));
        Assert.Equal(("w/t", "will", (byte)1, true, 30u, (uint?)60, true), (
            session.Will!.Topic, System.Text.Encoding.UTF8.GetString(session.Will.Payload), session.Will.Qos, session.Will.Retain,
            session.Will.DelaySeconds, session.Will.ExpirySeconds, session.Will.PayloadIsText));
        Assert.Equal(new SubscriptionOptions(2, true, true, 1), session.Subscriptions["a/+"].Options);
        Assert.Equal(268_435_455, session.Subscriptions["a/+"].Id);
        Assert.Equal([(ushort)21], session.Incoming);
        Assert.Equal([(9L, ((ushort)7, Owed.PubRec)), (10L, ((ushort)8, Owed.PubComp))], session.InFlight.Select(e => (e.Key, e.Value)));
        var entry = session.Queue[9];
        Assert.Equal((5048L, (byte)2, (byte)2, true), (entry.Position, entry.Qos, entry.PublishedQos, entry.Retain));
        Assert.Equal([11, 12], session.Queue.ExtraOf(9)!.SubscriptionIds!);
        Assert.Equal("$share/g/a/+", session.Queue.ExtraOf(9)!.ShareFilter);
        Assert.Equal(5048L, shard.Retained[HubId]["a/b"]);
        var (at, routes) = shard.Owed[(HubId, MessageId)];
        Assert.Equal((5048L, 1_764_000_000_000L, true), (at, routes.ReceivedAtMs, routes.Retain));
        Assert.Equal([RouteId], routes.Routes);
        Assert.Equal(MessageId, Assert.Single(shard.Ingested[HubId]).MessageId);
        Assert.Equal(6, shard.NextSession);
    }

    [Theory]
    [InlineData(1, null)]
    [InlineData(2, "client ü")]
    public void A_retained_message_says_whose_it_is_since_version_2(int version, string? expected)
    {
        var line = VectorsOf(version).Single(v => v.StartsWith("Message ", StringComparison.Ordinal));
        var message = MessageRecord.Read(Convert.FromHexString(line.Split(' ')[1]));
        Assert.Equal(expected is null ? null : new SessionKey(DeviceId, expected), message.RetainedBy);
        Assert.Equal("a/b", System.Text.Encoding.UTF8.GetString(message.Topic));
    }

    [Fact]
    public void What_ends_ends()
    {
        var shard = new RecoveredShard(rememberedIds: 10);
        foreach (var line in VectorsOf(Journal.Version))
        {
            shard.Apply(48, (byte)Enum.Parse<RecordKind>(line.Split(' ')[0]), Convert.FromHexString(line.Split(' ')[1]));
        }
        shard.Complete();
        Assert.Empty(shard.Sessions);
        Assert.Empty(shard.Retained);
        Assert.Empty(shard.Owed);
        Assert.Empty(shard.Ingested);
    }

    [Theory]
    [InlineData(200, "", "a record of kind 200, which this broker does not know: a newer one wrote it")]
    [InlineData(1, "03", "records of version 3; this one reads up to 2")]
    [InlineData(7, "0140", "a message with flags 0x40, which this broker does not know: a newer one wrote it")]
    [InlineData(10, "0500", "a record ends before its last field")]
    public void What_a_newer_broker_wrote_is_refused_in_words(byte kind, string body, string expected)
    {
        var e = Assert.Throws<InvalidDataException>(() => new RecoveredShard(1).Apply(48, kind, Convert.FromHexString(body)));
        Assert.Contains(expected, e.Message, StringComparison.Ordinal);
    }

    private List<string> WriteAll()
    {
        _journal.Clock(Boot, 123_456);
        var session = new Session(_hub, new SessionKey(DeviceId, "client ü"), Rights.All)
        {
            ExpirySeconds = 3600,
            ExpiresAt = 999_000,
            WillAt = 888_000,
            DelayedWill = new Will("w/t", "will"u8.ToArray(), 1, true, 30, [0x26, 0, 1, (byte)'k', 0, 1, (byte)'v'], 60, true),
            IncomingQos2 = [21],
        };
        _journal.Begin(session);
        var subscription = new Subscription(session, "a/+", shared: null) { Options = new SubscriptionOptions(2, true, true, 1), Id = 268_435_455 };
        session.Subscriptions.Add(subscription);
        session.InFlight.Restore(8, 10, Owed.PubComp);
        _journal.Image(session);
        _journal.Changed(session);
        _journal.Subscribed(session, subscription);
        _journal.Unsubscribed(session, "gone");
        MessageRecord.Begin(_log, new StoredMessage
        {
            Qos = 2,
            PayloadIsText = true,
            ExpiresAt = 555_000,
            Topic = "a/b"u8,
            Properties = [3, 0, 1, (byte)'c'],
            Payload = "hello"u8,
            HubId = HubId,
            IsRetained = true,
            RetainedBy = new SessionKey(DeviceId, "client ü"),
            Publisher = 5,
            IncomingPacketId = 21,
            Routes = new OwedRoutes(HubId, MessageId, 1_764_000_000_000, [RouteId], Retain: true),
        });
        MessageRecord.WriteReceiver(_log, new StoredReceiver(5, 9, 7, 2, true, new StoredExtra([11, 12], "$share/g/a/+")));
        MessageRecord.End(_log, 1);
        _journal.Sent(session, 9, 7);
        _journal.Received(session, 10, 8);
        _journal.Done(session, 9);
        _journal.IncomingReceived(session, 22);
        _journal.IncomingReleased(session, 22);
        _journal.RetainedCleared(HubId, "a/b"u8);
        _journal.Ingested(HubId, MessageId);
        _journal.Owe(_journal.ClockHome, new OwedRoutes(HubId, MessageId, 1_764_000_000_000, [RouteId], Retain: true));
        _journal.RoutesDone(HubId, MessageId);
        _journal.Ended(session);
        _journal.HubEnded(HubId);
        Assert.True(_log.BeginCommit(new LogClock(1, 1)));
        _log.WriteCommit();
        _log.EndCommit();
        List<string> records = [];
        _log.ReadBlock(0, (_, kind, body) => records.Add($"{(RecordKind)kind} {Convert.ToHexStringLower(body)}"));
        return records;
    }

    private const string MessageOf1 = "Message "
        + "021f0300040000000500000001000000f8770800000000001111111122223333444455555555555505000000000000001500bbbbbbbbccccdddd"
        + "eeeeffffffffffff00e897b69a010000010001010101020203030404050505050505612f620300016368656c6c6f050000000000000009000000"
        + "0000000007000e020b0000000c0000000c002473686172652f672f612f2b";

    private const string MessageOf2 = "Message "
        + "023f0300040000000500000001000000f87708000000000011111111222233334444555555555555"
        + "66666666777788889999aaaaaaaaaaaa0900636c69656e7420c3bc05000000000000001500bbbbbbbbccccdddd"
        + "eeeeffffffffffff00e897b69a010000010001010101020203030404050505050505612f620300016368656c6c6f050000000000000009000000"
        + "0000000007000e020b0000000c0000000c002473686172652f672f612f2b";

    private static List<string> VectorsOf(int version) =>
    [
        $"Clock {version:x2}" + "0a0b0c0d0102030405060708090a0b0cc82c01000000000040e2010000000000",
        "SessionImage " + "05000000000000001111111122223333444455555555555566666666777788889999aaaaaaaaaaaa0900636c69656e7420c3bc100e0000583e0f"
            + "0000000000c08c0d0000000000020300772f741d1e0000003c000000070000002600016b0001760400000077696c6c0100000000000000010000"
            + "0000000000010000000300612f2b1effffff0f010000001500010000000a000000000000000800",
        "SessionChanged " + "0500000000000000100e0000583e0f0000000000c08c0d0000000000020300772f741d1e0000003c000000070000002600016b00017604000000"
            + "77696c6c",
        "Subscribed " + "05000000000000000300612f2b1effffff0f",
        "Unsubscribed " + "05000000000000000400676f6e65",
        version == 1 ? MessageOf1 : MessageOf2,
        "Sent " + "050000000000000009000000000000000700",
        "Received " + "05000000000000000a000000000000000800",
        "Done " + "05000000000000000900000000000000",
        "IncomingReceived " + "05000000000000001600",
        "IncomingReleased " + "05000000000000001600",
        "RetainedCleared " + "11111111222233334444555555555555612f62",
        "Ingested " + "11111111222233334444555555555555bbbbbbbbccccddddeeeeffffffffffff",
        "RoutesDone " + "11111111222233334444555555555555bbbbbbbbccccddddeeeeffffffffffff",
        "SessionEnded " + "0500000000000000",
        "HubEnded " + "11111111222233334444555555555555",
    ];
}
