using System.Runtime.CompilerServices;
using System.Text;
using IotHub.Broker.Auth;
using IotHub.Broker.Protocol;
using IotHub.Broker.Protocol.Packets;
using IotHub.Core.Domain;

namespace IotHub.Broker.Sessions;

/// <content>Messages that wait for a session in memory, and how they go out. Those of stored sessions: HubStoring.cs.</content>
public sealed partial class Hub
{
    /// <summary>Puts a message at the end of a session's queue; its reference passes over. Over a quota one is dropped with an event.</summary>
    private void Enqueue(Session session, in QueuedMessage queued)
    {
        if (session.IsStored && queued.Qos > 0)
        {
            Store(session, queued);
            Lane.Messages.Release(queued.Message);
            return;
        }
        if (!MakeRoom(session, queued.Message.Size))
        {
            Lane.Messages.Release(queued.Message);
            return;
        }
        QueuedBytes += queued.Message.Size;
        session.Queue.Enqueue(queued);
    }

    /// <summary>Room for one more message of a session: there is some, or its oldest go, by the policy; false when the new one has to.</summary>
    private bool MakeRoom(Session session, int size)
    {
        while (IsFull(session, size))
        {
            Lane.Counters.DroppedQueueFull++;
            if (!session.IsDropping)
            {
                session.IsDropping = true;
                Raise(HubEvents.Warning(
                    EventSource.Device, session.Key.DeviceId, "messages are dropped: the queue of the session is full", Broker.Time));
            }
            if (Limits.QueueOverflow == QueueOverflow.DropNewest || !DropOldest(session))
            {
                return false;
            }
        }
        return true;
    }

    private bool IsFull(Session session, int size)
    {
        var (count, bytes) = session.IsStored
            ? session.HasStored ? (session.Stored.Count, session.Stored.Bytes) : (0, 0L)
            : session.HasQueued ? (session.Queue.Count, session.Queue.Bytes) : (0, 0L);
        return count >= Limits.QueuedMessagesPerSessionMaximum || bytes + size > Limits.QueuedBytesPerSessionMaximum
            || QueuedBytes + size > Limits.StoredBytesPerHubMaximum;
    }

    private bool DropOldest(Session session)
    {
        if (session.IsStored)
        {
            return DropOldestStored(session);
        }
        if (!TryDequeue(session, out var oldest))
        {
            return false;
        }
        Lane.Messages.Release(oldest.Message);
        return true;
    }

    private bool TryDequeue(Session session, out QueuedMessage queued)
    {
        queued = default;
        if (!session.HasQueued || !session.Queue.TryDequeue(out queued))
        {
            return false;
        }
        QueuedBytes -= queued.Message.Size;
        session.IsDropping &= session.Queue.Count > 0;
        return true;
    }

    /// <summary>Sends what waits, oldest first, as far as the client's window and the socket allow.</summary>
    public void Pump(Session session)
    {
        if (session.Connection is not { } connection)
        {
            return;
        }
        // A PUBREL is not a publish: it waits for no place in the window. [MQTT-4.9.0-3]
        while (!session.IsStored && !connection.IsOutboxFull && session.HasResend && session.Resend.TryPeek(out var id)
            && (connection.Outstanding < connection.SendWindow || session.InFlight.IsReleased(id)))
        {
            SendAgain(session, connection, session.Resend.Dequeue());
        }
        while (session.HasQueued && !session.HasResend && !connection.IsOutboxFull && session.Queue.TryPeek(out var next)
            && (next.Qos == 0 || connection.Outstanding < connection.SendWindow))
        {
            TryDequeue(session, out _);
            if (!next.Message.HasExpired(Lane.Now)
                && (session.Rights.Unfiltered || session.Rights.MayReceive(Encoding.UTF8.GetString(next.Message.Topic))))
            {
                SendQueued(session, connection, next);
            }
            Lane.Messages.Release(next.Message);
        }
        if (session.IsStored)
        {
            PumpStored(session, connection);
        }
    }

    private void SendQueued(Session session, Connection connection, in QueuedMessage next)
    {
        var flags = (byte)((next.Qos << 1) | (next.Retain ? 1 : 0));
        var expiry = next.Message.RemainingSeconds(Lane.Now);
        if (next.Qos == 0)
        {
            next.Message.WriteTo(connection, new PublishHead(flags, 0, expiry, next.SubscriptionIds));
            Lane.MarkDirty(connection);
            return;
        }
        ref var entry = ref session.InFlight.Add();
        var head = new PublishHead(flags, entry.PacketId, expiry, next.SubscriptionIds);
        if (!next.Message.WriteTo(connection, head))
        {
            session.InFlight.Remove(ref entry);
            return;
        }
        next.Message.AddReference();
        (entry.Message, entry.Retain, entry.SubscriptionIds, entry.Group) = (next.Message, next.Retain, next.SubscriptionIds, next.Group);
        entry.Owed = next.Qos == 1 ? Owed.PubAck : Owed.PubRec;
        entry.IsSent = true;
        connection.Outstanding++;
        Lane.MarkDirty(connection);
        Lane.Counters.Sent++;
    }

    /// <summary>After a reconnect: PUBLISH once more with DUP, or PUBREL. [MQTT-4.4.0-1]</summary>
    private void SendAgain(Session session, Connection connection, ushort packetId)
    {
        ref var entry = ref session.InFlight.Find(packetId);
        if (Unsafe.IsNullRef(ref entry))
        {
            return;
        }
        entry.IsSent = true;
        if (entry.Message is null)
        {
            connection.Acknowledge(PacketType.PubRel, packetId, ReasonCode.Success);
            connection.Outstanding++;
            return;
        }
        var qos = entry.Owed == Owed.PubAck ? 1 : 2;
        var head = new PublishHead(
            (byte)(8 | (qos << 1) | (entry.Retain ? 1 : 0)), packetId, entry.Message.RemainingSeconds(Lane.Now), entry.SubscriptionIds);
        if (entry.Message.WriteTo(connection, head))
        {
            connection.Outstanding++;
            Lane.MarkDirty(connection);
            return;
        }
        Lane.Messages.Release(entry.Message);
        session.InFlight.Remove(ref entry);
    }
}
