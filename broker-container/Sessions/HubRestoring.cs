using System.Runtime.InteropServices;
using System.Text;
using IotHub.Broker.Auth;
using IotHub.Broker.Protocol.Packets;
using IotHub.Broker.Sessions.Stored;
using IotHub.Broker.Topics;

namespace IotHub.Broker.Sessions;

/// <content>Taking over what the log told, before the first client.</content>
public sealed partial class Hub
{
    /// <summary>
    /// A session as it was. Its client, if it was connected, has lost its connection with the broker: what follows from that begins now.
    /// What the device may do is looked up when it comes back.
    /// </summary>
    internal void Restore(long number, RecoveredSession recovered)
    {
        var session = new Session(this, recovered.Key, Rights.All);
        session.Restore(number, recovered);
        session.IsUnchecked = Broker.ChecksRestored;
        Sessions.Add(session.Key, session);
        CollectionsMarshal.GetValueRefOrAddDefault(_devices, session.Key.DeviceId, out _).Sessions++;
        foreach (var (filter, (options, id)) in recovered.Subscriptions)
        {
            var shared = SharedFilter.IsShared(filter) ? SharedFilter.Parse(filter) : null;
            var subscription = new Subscription(session, filter, shared) { Options = options, Id = id };
            session.Subscriptions.Add(subscription);
            _tree.Add(subscription);
        }
        var queue = session.Stored;
        for (var sequence = queue.First; sequence < queue.Next; sequence = queue.FindLive(sequence + 1))
        {
            QueuedBytes += queue[sequence].Size;
            Log.AddReference(queue[sequence].Position);
        }
        Log.AddReference(session.Home);
        Journal.Sessions.Add(number, session);
        session.ExpirySeconds = recovered.ExpirySeconds;
        if (recovered.WasConnected)
        {
            LoseConnection(session, recovered.Will);
        }
        else
        {
            (session.ExpiresAt, session.WillAt, session.DelayedWill) = (recovered.ExpiresAt, recovered.WillAt, recovered.Will);
        }
        Lane.WakeAt(Math.Min(session.WillAt, session.ExpiresAt));
        _allVersion++;
    }

    private void LoseConnection(Session session, Will? will)
    {
        if (will is not null)
        {
            session.DelayedWill = will;
            session.WillAt = Lane.Now + (Math.Min(will.DelaySeconds, session.ExpirySeconds) * 1000L);
        }
        if (session.ExpirySeconds != Connect.NeverExpires)
        {
            session.ExpiresAt = Lane.Now + (session.ExpirySeconds * 1000L);
        }
        Journal.Changed(session);
    }

    /// <exception cref="IOException">The disk cannot be read now: a start that went on would forget the message.</exception>
    internal void RestoreRetained(long position)
    {
        if (LoadNow(position, out var mayComeBack) is { } message)
        {
            Retained.Set(Encoding.UTF8.GetString(message.Topic), message);
            Log.AddReference(position);
        }
        else if (mayComeBack)
        {
            throw new IOException($"a retained message of shard {Lane.Index} cannot be read back");
        }
    }

    internal void RestoreIngested(Guid messageId, long position)
    {
        if (_recentIds.Add(messageId, position, out var forgotten))
        {
            Log.AddReference(position);
        }
        if (forgotten != 0)
        {
            Log.DropReference(forgotten);
        }
    }

    /// <summary>The record of an id that is still to be known moves to the end of the log.</summary>
    internal void RelocateIngested(long position, Guid messageId)
    {
        ref var at = ref _recentIds.PositionOf(messageId);
        if (!System.Runtime.CompilerServices.Unsafe.IsNullRef(ref at) && at == position)
        {
            at = Journal.Ingested(Id, messageId);
            Log.DropReference(position);
        }
    }
}
