using System.Runtime.CompilerServices;
using System.Text;
using IotHub.Broker.Protocol.Packets;
using IotHub.Broker.Sessions.Stored;
using IotHub.Broker.Topics;

namespace IotHub.Broker.Sessions;

/// <content>
/// Queues of stored sessions: they hold the position of a message's record and read it back when it is sent later. Whatever a client is
/// told of a record waits until the record is on disk.
/// </content>
public sealed partial class Hub
{
    /// <summary>Keeps the message for a stored session, and sends it at once if the client can take it.</summary>
    private void DeliverStored(
        in PublishedMessage message, Session session, byte qos, bool retain, int[]? subscriptionIds, SharedGroup? group)
    {
        var size = message.Topic.Utf8.Length + message.Properties.Length + message.Payload.Length;
        if (!MakeRoom(session, size))
        {
            return;
        }
        ushort packetId = 0;
        var sequence = session.Stored.Next;
        if (session.CanTakeNow(qos))
        {
            packetId = SendStored(message, session, sequence, qos, retain, subscriptionIds);
            if (packetId == 0)
            {
                // Larger than the client takes: nobody's. [MQTT-3.1.2-25]
                return;
            }
        }
        BeginRecord(message, routes: null);
        var extra = subscriptionIds is null && group is null ? null : new StoredExtra(subscriptionIds, group?.Filter);
        MessageRecord.WriteReceiver(Log, new StoredReceiver(session.Number, sequence, packetId, qos, retain, extra));
        _recordReceivers++;
        Add(session, new StoredEntry(_recordAt, size, qos, message.Qos, retain, extra is not null), extra);
        if (packetId != 0)
        {
            session.Stored.Unsent = sequence + 1;
        }
    }

    private ushort SendStored(
        in PublishedMessage message, Session session, long sequence, byte qos, bool retain, int[]? subscriptionIds)
    {
        var connection = session.Connection!;
        connection.Hold();
        ref var entry = ref session.InFlight.Add();
        if (!Encode(message, connection, (byte)((qos << 1) | (retain ? 1 : 0)), entry.PacketId, subscriptionIds))
        {
            session.InFlight.Remove(ref entry);
            return 0;
        }
        (entry.Owed, entry.Order, entry.IsSent) = (qos == 1 ? Owed.PubAck : Owed.PubRec, sequence, true);
        connection.Outstanding++;
        return entry.PacketId;
    }

    /// <summary>Keeps a message for a stored session that gets it later: a retained one, or one that another member of a group had.</summary>
    private void Store(Session session, in QueuedMessage queued)
    {
        var message = queued.Message;
        if (!MakeRoom(session, message.Size))
        {
            return;
        }
        var extra = queued.SubscriptionIds is null && queued.Group is null ? null
            : new StoredExtra(queued.SubscriptionIds, queued.Group?.Filter);
        var position = Record(message, new StoredReceiver(session.Number, session.Stored.Next, 0, queued.Qos, queued.Retain, extra));
        Add(session, new StoredEntry(position, message.Size, queued.Qos, message.Qos, queued.Retain, extra is not null), extra);
    }

    private long Record(Message message, in StoredReceiver receiver)
    {
        var position = MessageRecord.Begin(Log, new StoredMessage
        {
            Qos = message.Qos,
            PayloadIsText = message.PayloadIsText,
            ExpiresAt = message.ExpiresAt,
            Topic = message.Topic,
            Properties = message.Properties,
            Payload = message.Payload,
        });
        MessageRecord.WriteReceiver(Log, receiver);
        MessageRecord.End(Log, 1);
        return position;
    }

    private void Add(Session session, StoredEntry entry, StoredExtra? extra)
    {
        session.Stored.Add(entry, extra);
        QueuedBytes += entry.Size;
        Log.AddReference(entry.Position);
    }

    /// <summary>The session no longer needs the message.</summary>
    private void Free(Session session, long sequence)
    {
        var entry = session.Stored.Remove(sequence);
        if (!entry.IsEmpty)
        {
            QueuedBytes -= entry.Size;
            Log.DropReference(entry.Position);
            session.IsDropping &= session.HasStored;
        }
    }

    private bool DropOldestStored(Session session)
    {
        var sequence = session.HasStored ? session.Stored.FindLive(session.Stored.Unsent) : long.MaxValue;
        if (!session.HasUnsent)
        {
            return false;
        }
        if (_recordAt != 0)
        {
            _doneMeanwhile.Add((session, sequence));
        }
        else
        {
            Journal.Done(session, sequence);
        }
        Free(session, sequence);
        return true;
    }

    /// <summary>Sends what a stored session is owed, oldest first; what has to be read back from the log comes later.</summary>
    private void PumpStored(Session session, Connection connection)
    {
        while (session.HasResend && !connection.IsOutboxFull)
        {
            ref var entry = ref session.InFlight.Find(session.Resend.Peek());
            if (Unsafe.IsNullRef(ref entry))
            {
                session.Resend.Dequeue();
                continue;
            }
            if (entry.Owed == Owed.PubComp)
            {
                connection.Hold();
                SendAgain(session, connection, session.Resend.Dequeue());
                continue;
            }
            if (connection.Outstanding >= connection.SendWindow || !TryTakeLoaded(session, entry.Order, out var message))
            {
                return;
            }
            session.Resend.Dequeue();
            SendStoredAgain(session, connection, ref entry, message);
            Lane.Messages.Release(message);
        }
        while (session.HasUnsent && !session.HasResend && !connection.IsOutboxFull && connection.Outstanding < connection.SendWindow)
        {
            var sequence = session.Stored.FindLive(session.Stored.Unsent);
            if (!TryTakeLoaded(session, sequence, out var message))
            {
                return;
            }
            if (message.HasExpired(Lane.Now)
                || !(session.Rights.Unfiltered || session.Rights.MayReceive(Encoding.UTF8.GetString(message.Topic)))
                || !SendWaiting(session, connection, sequence, message))
            {
                Journal.Done(session, sequence);
                Free(session, sequence);
            }
            session.Stored.Unsent = Math.Max(session.Stored.Unsent, sequence + 1);
            Lane.Messages.Release(message);
        }
    }

    private bool SendWaiting(Session session, Connection connection, long sequence, Message message)
    {
        var stored = session.Stored[sequence];
        connection.Hold();
        ref var entry = ref session.InFlight.Add();
        var head = new PublishHead(
            (byte)((stored.Qos << 1) | (stored.Retain ? 1 : 0)), entry.PacketId, message.RemainingSeconds(Lane.Now),
            session.Stored.ExtraOf(sequence)?.SubscriptionIds);
        if (!message.WriteTo(connection, head))
        {
            session.InFlight.Remove(ref entry);
            return false;
        }
        (entry.Owed, entry.Order, entry.IsSent) = (stored.Qos == 1 ? Owed.PubAck : Owed.PubRec, sequence, true);
        Journal.Sent(session, sequence, entry.PacketId);
        connection.Outstanding++;
        Lane.MarkDirty(connection);
        Lane.Counters.Sent++;
        return true;
    }

    /// <summary>PUBLISH once more, with DUP and its packet id. [MQTT-4.4.0-1] [MQTT-3.3.1-1]</summary>
    private void SendStoredAgain(Session session, Connection connection, ref InFlightEntry entry, Message message)
    {
        var stored = session.Stored[entry.Order];
        var head = new PublishHead(
            (byte)(8 | (stored.Qos << 1) | (stored.Retain ? 1 : 0)), entry.PacketId, message.RemainingSeconds(Lane.Now),
            session.Stored.ExtraOf(entry.Order)?.SubscriptionIds);
        if (message.WriteTo(connection, head))
        {
            entry.IsSent = true;
            connection.Outstanding++;
            Lane.MarkDirty(connection);
            Lane.Counters.Sent++;
            return;
        }
        Journal.Done(session, entry.Order);
        Free(session, entry.Order);
        session.InFlight.Remove(ref entry);
    }

    /// <summary>An acknowledgement of a stored session's client is recorded; what we answer waits for that, what ends here does not.</summary>
    private void RecordAcknowledged(Session session, Connection connection, in InFlightEntry entry, bool isReceived)
    {
        if (isReceived)
        {
            connection.Hold();
            Journal.Received(session, entry.Order, entry.PacketId);
        }
        else
        {
            Journal.Done(session, entry.Order);
        }
        Free(session, entry.Order);
    }

    /// <summary>
    /// What a stored session holds for shared subscriptions goes to other members; what was sent at QoS 2 stays. [MQTT-4.8.2-4] [MQTT-4.8.2-5]
    /// </summary>
    /// <param name="only">The group it left; null for all groups with a member that is there.</param>
    /// <param name="inFlightToo">Also what was sent at QoS 1 and is not acknowledged.</param>
    private void PassOnStored(Session session, SharedGroup? only, bool inFlightToo)
    {
        var queue = session.Stored;
        // What comes to it meanwhile was meant for it.
        var end = queue.Next;
        for (var sequence = queue.FindLive(0); sequence < end && session.HasStored; sequence = queue.FindLive(sequence + 1))
        {
            var stored = queue[sequence];
            if (!stored.HasExtra || queue.ExtraOf(sequence)?.ShareFilter is not { } filter
                || (only is not null && only.Filter != filter) || (sequence < queue.Unsent && !(inFlightToo && stored.Qos == 1)))
            {
                continue;
            }
            var group = only ?? _tree.GroupOf(SharedFilter.Parse(filter)!);
            if (group is not null && (only is not null || group.IsAnyoneConnected))
            {
                PassOnStored(session, sequence, group);
            }
        }
    }

    /// <summary>Where nobody else can take it, it stays.</summary>
    private void PassOnStored(Session session, long sequence, SharedGroup group)
    {
        if (LoadNow(session.Stored[sequence].Position, out _) is not { } message)
        {
            return;
        }
        var queued = new QueuedMessage(message, message.Qos, session.Stored[sequence].Retain, null, group);
        if (!message.HasExpired(Lane.Now) && MemberFor(queued, group) is { } member && member.Session != session)
        {
            if (session.HasInFlight && session.InFlight.IdOf(sequence) is var packetId and > 0)
            {
                session.InFlight.Remove(ref session.InFlight.Find(packetId));
            }
            Journal.Done(session, sequence);
            Free(session, sequence);
            GiveTo(member, queued, isMoved: true);
        }
        else
        {
            Lane.Messages.Release(message);
        }
    }

    /// <summary>All that a stored session has in the log is let go of; what others should get instead is collected.</summary>
    private void DropStored(Session session, List<(SharedGroup, QueuedMessage)> left)
    {
        var queue = session.Stored;
        for (var sequence = queue.First; sequence < queue.Next; sequence = queue.FindLive(sequence + 1))
        {
            var stored = queue[sequence];
            var isOpenQos2 = sequence < queue.Unsent && stored.Qos == 2;
            if (stored.HasExtra && !isOpenQos2 && queue.ExtraOf(sequence)?.ShareFilter is { } filter
                && _tree.GroupOf(SharedFilter.Parse(filter)!) is { } group && LoadNow(stored.Position, out _) is { } message)
            {
                left.Add((group, new QueuedMessage(message, message.Qos, stored.Retain, null, group)));
            }
            Free(session, sequence);
        }
        ForgetLoaded(session);
        Journal.Ended(session);
    }

    private void ReleaseRetained(Message message)
    {
        if (message.Position != 0)
        {
            Log.DropReference(message.Position);
        }
        Lane.Messages.Release(message);
    }
}
