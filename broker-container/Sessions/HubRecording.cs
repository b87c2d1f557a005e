using System.Text;
using IotHub.Broker.Durability;
using IotHub.Broker.Protocol.Packets;
using IotHub.Broker.Sessions.Stored;
using IotHub.Broker.Topics;
using IotHub.Core.Messages;

namespace IotHub.Broker.Sessions;

/// <content>
/// What is recorded of a message, where state outlives the process: one record with all that it is kept for, opened by the first who wants
/// it kept and closed behind its last receiver. No other record can be written meanwhile.
/// </content>
public sealed partial class Hub
{
    /// <summary>Position of the open record of the message being published; 0 while nothing wants it kept.</summary>
    private long _recordAt;
    private int _recordReceivers;

    /// <summary>What happened while that record was open, and is recorded behind it.</summary>
    private readonly List<(Session Session, long Sequence)> _doneMeanwhile = [];
    private TopicEntry? _clearedMeanwhile;

    private Journal Journal => Lane.Journal!;
    private ShardLog Log => Lane.Journal!.Log;

    /// <summary>Would this publish have to be on disk before it is acknowledged?</summary>
    private static bool MustBeKept(in PublishedMessage message)
    {
        if (message.Retain || (message.Qos == 2 && message.Publisher is { IsStored: true }))
        {
            return true;
        }
        if (message.Qos == 0)
        {
            return false;
        }
        foreach (var target in message.Topic.Targets)
        {
            if (target.Session.IsStored && target.Qos > 0)
            {
                return true;
            }
        }
        foreach (var group in message.Topic.Groups)
        {
            if (group.Members.Exists(static m => m.Session.IsStored && m.Options.Qos > 0))
            {
                return true;
            }
        }
        return message.Topic.Routes.Length > 0;
    }

    /// <summary>Opens the message's record, if it is not yet, with what is known before its receivers are.</summary>
    private void BeginRecord(in PublishedMessage message, OwedRoutes? routes)
    {
        if (_recordAt != 0)
        {
            return;
        }
        var isIncoming = message.IncomingPacketId != 0 && message.Publisher is { IsStored: true };
        // What a network or the hub itself publishes is not kept, whatever it says.
        var retainedBy = message.Payload.IsEmpty ? null : message.RetainedBy;
        _recordReceivers = 0;
        _recordAt = MessageRecord.Begin(Log, new StoredMessage
        {
            Qos = message.Qos,
            PayloadIsText = message.PayloadIsText,
            ExpiresAt = message.ExpiresAt,
            Topic = message.Topic.Utf8,
            Properties = message.Properties,
            Payload = message.Payload,
            HubId = Id,
            IsRetained = retainedBy is not null,
            RetainedBy = retainedBy,
            Publisher = isIncoming ? message.Publisher!.Number : 0,
            IncomingPacketId = message.IncomingPacketId,
            Routes = routes,
        });
    }

    private void EndRecord(in PublishedMessage message)
    {
        if (_recordAt != 0)
        {
            MessageRecord.End(Log, _recordReceivers);
            _recordAt = 0;
            RecordMeanwhile();
        }
        else if (message.IncomingPacketId != 0 && message.Publisher is { IsStored: true } publisher)
        {
            // Nobody wants the message, but its id must not count twice.
            Journal.IncomingReceived(publisher, message.IncomingPacketId);
        }
    }

    /// <summary>A QoS 2 publish of a client that is no message for others: a request to a twin.</summary>
    internal void RecordOpened(Session session, in Publish publish)
    {
        if (session.IsStored && publish.Qos == 2)
        {
            Journal.IncomingReceived(session, publish.PacketId);
        }
    }

    /// <summary>PUBREL for a stored session's QoS 2 publish.</summary>
    internal void RecordReleased(Session session, ushort packetId) => Journal.IncomingReleased(session, packetId);

    private void RecordMeanwhile()
    {
        foreach (var (session, sequence) in _doneMeanwhile)
        {
            Journal.Done(session, sequence);
        }
        _doneMeanwhile.Clear();
        if (_clearedMeanwhile is { } topic)
        {
            _clearedMeanwhile = null;
            Journal.RetainedCleared(Id, topic.Utf8);
        }
    }

    private void RecordRetainedCleared(TopicEntry topic)
    {
        if (_recordAt != 0)
        {
            _clearedMeanwhile = topic;
        }
        else
        {
            Journal.RetainedCleared(Id, topic.Utf8);
        }
    }

    /// <summary>
    /// A message is owed to routes from the moment its record is on disk until all of them have it, and not offered before: what a crash
    /// takes back is published once more, and would come to them under two ids.
    /// </summary>
    private bool OweToRoutes(in PublishedMessage message, Guid[] routes, DeviceMessage routed)
    {
        if (!Broker.Outbound.HasRoom(routes, routed))
        {
            RouteBufferIsFull(true);
            return false;
        }
        RouteBufferIsFull(false);
        var owed = new OwedRoutes(Id, routed.Id, routed.ReceivedAt.ToUnixTimeMilliseconds(), routes, routed.Retain);
        BeginRecord(message, owed);
        Journal.Owe(_recordAt, owed);
        Journal.AfterCommit(() => Lane.OfferOwed(this, routed, owed));
        return true;
    }

    internal bool Offer(DeviceMessage routed, OwedRoutes owed) =>
        Broker.Outbound.Offer(Id, owed.Routes, routed, () => RoutesHave(routed.Id));

    /// <summary>From any thread, and maybe before the record is written: on a thread of its own.</summary>
    private void RoutesHave(Guid messageId) => Broker.Background(() =>
    {
        Lane.Enter();
        try
        {
            Journal.RoutesDone(Id, messageId);
        }
        finally
        {
            Lane.Leave();
        }
    });

    /// <summary>Offers a message that was not taken before, or was owed to routes when the broker ended; false when it is not taken now.</summary>
    internal bool OfferAgain(long position, OwedRoutes owed)
    {
        if (LoadNow(position, out var mayComeBack) is not { } message)
        {
            if (mayComeBack)
            {
                return false;
            }
            Journal.RoutesDone(Id, owed.MessageId);
            return true;
        }
        var routed = new DeviceMessage(
            owed.MessageId, Encoding.UTF8.GetString(message.Topic), message.Payload.ToArray(), owed.Retain,
            DateTimeOffset.FromUnixTimeMilliseconds(owed.ReceivedAtMs));
        Lane.Messages.Release(message);
        return Offer(routed, owed);
    }
}
