using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using IotHub.Broker.Auth;
using IotHub.Broker.Protocol;
using IotHub.Broker.Protocol.Packets;
using IotHub.Core.Messages;

namespace IotHub.Broker.Sessions;

/// <content>Sessions: opening, taking over, ending.</content>
public sealed partial class Hub
{
    private readonly Dictionary<Guid, DeviceCounts> _devices = [];

    private struct DeviceCounts
    {
        public int Sessions;
        public int Connections;
    }

    /// <summary>
    /// Opens the session of a client that has been let in: ends an older connection of it, then resumes or starts anew.
    /// [MQTT-3.1.4-3] [MQTT-3.1.2-4] [MQTT-3.1.2-5]
    /// </summary>
    /// <returns>The session and whether it was there before; null when the device has too many.</returns>
    public (Session Session, bool WasPresent)? Open(Connection connection, SessionKey key, Rights rights)
    {
        var connect = connection.Connect;
        Sessions.TryGetValue(key, out var session);
        if (session?.Connection is { } older)
        {
            older.End(ReasonCode.SessionTakenOver, publishWill: true);
            // A session without expiry ended with its connection.
            Sessions.TryGetValue(key, out session);
        }
        if (session is not null && (connect.CleanStart || session.ExpiresAt <= Lane.Now))
        {
            // Its will, if one waits, goes by what the device may do now.
            session.Rights = rights;
            Drop(session);
            session = null;
        }
        var wasPresent = session is not null;
        if (session is null)
        {
            ref var device = ref CollectionsMarshal.GetValueRefOrAddDefault(_devices, key.DeviceId, out _);
            if (device.Sessions >= Limits.SessionsPerDeviceMaximum)
            {
                return null;
            }
            device.Sessions++;
            session = new Session(this, key, rights);
            Sessions.Add(key, session);
        }
        session.Connection = connection;
        session.IsUnchecked = false;
        CollectionsMarshal.GetValueRefOrNullRef(_devices, key.DeviceId).Connections++;
        // A reader that was resumed may have other rights than before.
        if (!ReferenceEquals(session.Rights, rights) && wasPresent)
        {
            _allVersion++;
        }
        session.Rights = rights;
        session.ExpirySeconds = connection.GrantedExpirySeconds(rights);
        session.ExpiresAt = long.MaxValue;
        // [MQTT-3.1.3-9]: back in time, the will is not sent.
        (session.DelayedWill, session.WillAt) = (null, long.MaxValue);
        if (session.IsStored)
        {
            Journal.Changed(session);
        }
        else if (Lane.Journal is { } journal && session.ExpirySeconds > 0)
        {
            journal.Begin(session);
            journal.Image(session);
        }
        return (session, wasPresent);
    }

    /// <summary>Puts the open exchanges of a resumed session up for resending, before anything new. [MQTT-4.4.0-1] [MQTT-4.6.0-1]</summary>
    public void Resume(Session session)
    {
        if (session.HasInFlight)
        {
            session.Resend.Clear();
            foreach (var id in session.InFlight.IdsInOrder())
            {
                session.InFlight.Find(id).IsSent = false;
                session.Resend.Enqueue(id);
            }
        }
        Pump(session);
    }

    /// <summary>The connection of a session has ended: its will, then the session's own end or wait.</summary>
    public void Detach(Session session, bool publishWill)
    {
        var connection = session.Connection!;
        Count(session.Key.DeviceId, connection);
        session.Connection = null;
        CollectionsMarshal.GetValueRefOrNullRef(_devices, session.Key.DeviceId).Connections--;
        if (session.HasResend)
        {
            session.Resend.Clear();
        }
        DropQos0(session);
        ForgetLoaded(session);
        if (publishWill && connection.Connect.Will is { } will)
        {
            var delay = Math.Min(will.DelaySeconds, session.ExpirySeconds);
            if (delay == 0)
            {
                Publish(will, session);
            }
            else
            {
                session.DelayedWill = will;
                session.WillAt = Lane.Now + (delay * 1000L);
                Lane.WakeAt(session.WillAt);
            }
        }
        Broker.Outbound.Activity(Id, new ActivityReport(session.Key.DeviceId, IsConnected(session.Key.DeviceId), Broker.Time.GetUtcNow()));
        if (session.ExpirySeconds == 0)
        {
            Drop(session);
        }
        else
        {
            if (session.ExpirySeconds != Connect.NeverExpires)
            {
                session.ExpiresAt = Lane.Now + (session.ExpirySeconds * 1000L);
                Lane.WakeAt(session.ExpiresAt);
            }
            if (session.IsStored)
            {
                Journal.Changed(session);
            }
            PassOnWhileAway(session);
        }
    }

    public bool IsConnected(Guid deviceId) => _devices.TryGetValue(deviceId, out var device) && device.Connections > 0;

    /// <summary>Ends a session for good: a will that waited is published, what was given to it by a group goes to other members.</summary>
    public void Drop(Session session)
    {
        Sessions.Remove(session.Key);
        ref var device = ref CollectionsMarshal.GetValueRefOrNullRef(_devices, session.Key.DeviceId);
        if (--device.Sessions == 0)
        {
            _devices.Remove(session.Key.DeviceId);
        }
        var left = new List<(SharedGroup Group, QueuedMessage Message)>();
        if (session.IsStored)
        {
            DropStored(session, left);
        }
        foreach (var id in session.HasInFlight ? session.InFlight.IdsInOrder() : [])
        {
            ref var entry = ref session.InFlight.Find(id);
            if (entry.Message is { } message)
            {
                // QoS 2 in flight may have been received already: nobody else may get it. [MQTT-4.8.2-5]
                Collect(new QueuedMessage(message, message.Qos, entry.Retain, null, entry.Owed == Owed.PubAck ? entry.Group : null), left);
            }
            session.InFlight.Remove(ref entry);
        }
        while (TryDequeue(session, out var queued))
        {
            Collect(queued, left);
        }
        foreach (var subscription in session.Subscriptions.Values)
        {
            Forget(subscription);
        }
        session.Subscriptions.Clear();
        if (session.DelayedWill is not null)
        {
            PublishDelayedWill(session);
        }
        foreach (var (group, message) in left)
        {
            GiveToGroup(message, group, isMoved: session.IsStored);
        }
    }

    private void Collect(in QueuedMessage message, List<(SharedGroup, QueuedMessage)> left)
    {
        if (message.Group is { } group)
        {
            left.Add((group, message));
        }
        else
        {
            Lane.Messages.Release(message.Message);
        }
    }

    /// <summary>Messages of QoS 0 wait only for a slow socket, not for an absent client.</summary>
    private void DropQos0(Session session)
    {
        for (var left = session.HasQueued ? session.Queue.Count : 0; left > 0; left--)
        {
            TryDequeue(session, out var queued);
            if (queued.Qos == 0)
            {
                Lane.Messages.Release(queued.Message);
            }
            else
            {
                QueuedBytes += queued.Message.Size;
                session.Queue.Enqueue(queued);
            }
        }
    }

    private void PublishDelayedWill(Session session)
    {
        var will = session.DelayedWill!;
        (session.DelayedWill, session.WillAt) = (null, long.MaxValue);
        Publish(will, session);
    }

    /// <summary>A will is a publish like another: rights and plan are those of the moment. [MQTT-3.1.2-8] [MQTT-3.1.2-14] [MQTT-3.1.2-15]</summary>
    private void Publish(Will will, Session session)
    {
        if (!session.Rights.MayPublish(will.Topic))
        {
            Raise(HubEvents.OfDevice(session.Key.DeviceId, $"unauthorized topic {will.Topic}", Broker.Time, null));
            return;
        }
        if (Resolve(Encoding.UTF8.GetBytes(will.Topic)) is not { } topic)
        {
            return;
        }
        Publish(
            new PublishedMessage
            {
                Topic = topic,
                Publisher = session,
                IsWill = true,
                Properties = will.Properties,
                Payload = will.Payload,
                Qos = session.Rights.Plan.NoQos2Publish ? Math.Min(will.Qos, (byte)1) : will.Qos,
                Retain = will.Retain && !session.Rights.Plan.NoRetain,
                PayloadIsText = will.PayloadIsText,
                ExpirySeconds = will.ExpirySeconds,
                ExpiresAt = will.ExpirySeconds is { } seconds ? Lane.Now + (seconds * 1000L) : long.MaxValue,
            },
            stored: static () => { });
    }

    /// <summary>New rights for a device's sessions, live and waiting: receivers are resolved anew, queues are filtered as they go out.</summary>
    public void ChangeRights(Guid deviceId, Rights rights)
    {
        foreach (var session in Sessions.Values.Where(s => s.Key.DeviceId == deviceId))
        {
            session.Rights = rights;
            session.IsUnchecked = false;
            Lane.WakeAt(Math.Min(session.WillAt, session.ExpiresAt));
        }
        _allVersion++;
    }

    public void Disconnect(Func<Session, bool> which, ReasonCode reason, HubEvent? because, bool dropSessions)
    {
        var ended = false;
        foreach (var session in Sessions.Values.Where(which).ToList())
        {
            if (session.Connection is { } connection)
            {
                ended = true;
                connection.End(reason, publishWill: true);
            }
            if (dropSessions && Sessions.ContainsKey(session.Key))
            {
                // Rights are gone with the device: so is a will that waits.
                (session.DelayedWill, session.WillAt) = (null, long.MaxValue);
                Drop(session);
            }
        }
        if (ended && because is not null)
        {
            Raise(because);
        }
    }

    private void ForgetRetained()
    {
        foreach (var message in Retained.Clear())
        {
            ReleaseRetained(message);
        }
    }

    /// <summary>The hub is gone: nothing of it is needed any more.</summary>
    internal void End()
    {
        ForgetRetained();
        if (Lane.Journal is { } journal)
        {
            journal.HubEnded(Id);
            foreach (var position in _recentIds.Positions)
            {
                journal.Log.DropReference(position);
            }
        }
        Lane.Hubs.Remove(Id);
    }

    /// <summary>PUBACK, PUBREC or PUBCOMP from a client: moves or ends an exchange. [MQTT-4.3.2-1] [MQTT-4.3.3-1]</summary>
    public void Acknowledged(Session session, Connection connection, PacketType type, Acknowledgement acknowledgement)
    {
        ref var entry = ref session.InFlight.Find(acknowledgement.PacketId);
        var expected = type == PacketType.PubAck ? Owed.PubAck : type == PacketType.PubRec ? Owed.PubRec : Owed.PubComp;
        if (Unsafe.IsNullRef(ref entry) || entry.Owed != expected)
        {
            connection.HoldIfUncommitted();
            AnswerUnexpected(connection, type, acknowledgement.PacketId, !Unsafe.IsNullRef(ref entry) && entry.Owed == Owed.PubComp);
            return;
        }
        if (entry.Message is { } message)
        {
            Lane.Messages.Release(message);
            entry.Message = null;
        }
        var isReceived = type == PacketType.PubRec && acknowledgement.Reason < ReasonCode.UnspecifiedError;
        if (session.IsStored)
        {
            RecordAcknowledged(session, connection, entry, isReceived);
        }
        if (isReceived)
        {
            entry.Owed = Owed.PubComp;
            connection.Acknowledge(PacketType.PubRel, acknowledgement.PacketId, ReasonCode.Success);
            return;
        }
        if (entry.IsSent)
        {
            connection.Outstanding--;
        }
        session.InFlight.Remove(ref entry);
        Pump(session);
    }

    private static void AnswerUnexpected(Connection connection, PacketType type, ushort packetId, bool isReleased)
    {
        if (type == PacketType.PubRec)
        {
            // A repeat of one we know gets its PUBREL again; an unknown one is told so (5.0) or helped to its end (3.1.1).
            connection.Acknowledge(
                PacketType.PubRel, packetId, isReleased || !connection.IsV5 ? ReasonCode.Success : ReasonCode.PacketIdentifierNotFound);
        }
    }
}
