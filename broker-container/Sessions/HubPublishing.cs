using System.Text;
using IotHub.Broker.Auth;
using IotHub.Broker.Bridge;
using IotHub.Broker.Protocol.Packets;
using IotHub.Broker.Topics;
using IotHub.Core.Domain;
using IotHub.Core.Messages;

namespace IotHub.Broker.Sessions;

/// <summary>How a publish ended, for its acknowledgement.</summary>
public enum PublishResult
{
    Delivered,
    NoMatchingSubscribers,

    /// <summary>Owed to routes: the acknowledgement follows when the message is stored.</summary>
    AwaitsStorage,

    /// <summary>Nothing was done: a buffer or quota is full.</summary>
    QuotaExceeded,
}

/// <content>How a message goes out: routes, retained, subscribers.</content>
public sealed partial class Hub
{
    private readonly Queue<HubEvent> _waitingEvents = [];
    private Message? _current;
    private bool _isDelivering;

    /// <summary>
    /// A message of a client: owed to routes, retained, then delivered. All or nothing: a refusal comes before anyone has got it.
    /// </summary>
    /// <param name="stored">Called when the message is stored for the routes; only with <see cref="PublishResult.AwaitsStorage"/>.</param>
    public PublishResult Publish(in PublishedMessage message, Action? stored)
    {
        if (IsOfTwins(message.Topic))
        {
            return PublishResult.NoMatchingSubscribers;
        }
        if ((message.Retain && !HasRoomForRetained(message)) || (Lane.RefusesWork && !message.IsWill && MustBeKept(message)))
        {
            return PublishResult.QuotaExceeded;
        }
        var awaits = false;
        if (message.Topic.Routes.Length > 0)
        {
            var routed = new DeviceMessage(
                Guid.NewGuid(), message.Topic.Text, message.Payload.ToArray(), message.Retain, Broker.Time.GetUtcNow());
            var isOwed = Lane.Journal is not null && message.Qos > 0;
            var isTaken = isOwed ? OweToRoutes(message, message.Topic.Routes, routed) : OfferToRoutes(message.Topic.Routes, routed, stored);
            if (!isTaken && message.Qos > 0)
            {
                return PublishResult.QuotaExceeded;
            }
            awaits = message.Qos > 0 && !isOwed;
        }
        if (message.Retain)
        {
            KeepRetained(message, isStored: Lane.Journal is not null);
        }
        var receivers = Deliver(message);
        EndRecord(message);
        return awaits ? PublishResult.AwaitsStorage
            : receivers > 0 || message.Topic.Routes.Length > 0 ? PublishResult.Delivered : PublishResult.NoMatchingSubscribers;
    }

    /// <summary>A message from a network, a route's reply or the ingress queue.</summary>
    public IngestOutcome Ingest(DeviceMessage message, Guid? exceptRoute, Action stored)
    {
        var topic = Resolve(Encoding.UTF8.GetBytes(message.Topic));
        if (topic is null || IsOfTwins(topic))
        {
            return IngestOutcome.TopicInvalid;
        }
        if (Lane.Damage is not null || Lane.RefusesWork)
        {
            return IngestOutcome.BufferFull;
        }
        if (!_recentIds.Add(message.Id, position: 0, out var forgotten))
        {
            return IngestOutcome.Duplicate;
        }
        if (forgotten != 0)
        {
            Log.DropReference(forgotten);
        }
        var routes = exceptRoute is { } except ? Array.FindAll(topic.Routes, r => r != except) : topic.Routes;
        var published = Unqualified(topic, message.Payload.Span, message.Retain);
        if (routes.Length > 0 && !(Lane.Journal is null ? OfferToRoutes(routes, message, stored) : OweToRoutes(published, routes, message)))
        {
            _recentIds.Forget(message.Id);
            return IngestOutcome.BufferFull;
        }
        Deliver(published);
        EndRecord(published);
        if (Lane.Journal is { } journal)
        {
            _recentIds.PositionOf(message.Id) = journal.Ingested(Id, message.Id);
            journal.AfterCommit(stored);
        }
        else if (routes.Length == 0)
        {
            stored();
        }
        return IngestOutcome.Accepted;
    }

    /// <summary>Publishes a text of the hub's own, QoS 0: an event, or a figure under $SYS.</summary>
    public void PublishText(string topicText, byte[] payload, bool retain = false)
    {
        if (Resolve(Encoding.UTF8.GetBytes(topicText)) is { } topic && !IsOfTwins(topic))
        {
            if (topic.Routes.Length > 0)
            {
                OfferToRoutes(topic.Routes, new DeviceMessage(Guid.NewGuid(), topic.Text, payload, false, Broker.Time.GetUtcNow()), null);
            }
            var message = Unqualified(topic, payload, retain);
            if (retain && HasRoomForRetained(message))
            {
                // A figure of the broker's own is as old as the broker.
                KeepRetained(message, isStored: false);
            }
            Deliver(message);
        }
    }

    /// <summary>Under that tree only the broker speaks, and only to who asked: wills, networks and events have no say there.</summary>
    private bool IsOfTwins(TopicEntry topic) => topic.IsTwin && Broker.Twins is not null;

    private static PublishedMessage Unqualified(TopicEntry topic, ReadOnlySpan<byte> payload, bool retain) => new()
    {
        Topic = topic,
        Payload = payload,
        Properties = [],
        Qos = 0,
        Retain = retain,
        ExpiresAt = long.MaxValue,
    };

    private bool OfferToRoutes(Guid[] routes, DeviceMessage message, Action? stored)
    {
        var taken = Broker.Outbound.Offer(Id, routes, message, stored);
        RouteBufferIsFull(!taken);
        return taken;
    }

    private void RouteBufferIsFull(bool isFull)
    {
        if (isFull && !_isRouteBufferFull)
        {
            // Set first: the event may match a route as well.
            _isRouteBufferFull = true;
            Raise(HubEvents.Warning(EventSource.Hub, Id, "messages for routes are refused: the buffer is full", Broker.Time));
        }
        _isRouteBufferFull = isFull;
    }

    /// <summary>Gives the message to every receiver and returns how many there were.</summary>
    private int Deliver(in PublishedMessage message)
    {
        var receivers = 0;
        _isDelivering = true;
        Lane.Frames.Reset();
        foreach (var target in message.Topic.Targets)
        {
            if (target.HasNoLocal && target.Session == message.Publisher)
            {
                receivers += DeliverToPublisher(message, target);
                continue;
            }
            receivers++;
            DeliverTo(message, target.Session, target.Qos, target.RetainAsPublished, target.SubscriptionIds, null);
        }
        foreach (var group in message.Topic.Groups)
        {
            receivers += DeliverToOneOf(message, group);
        }
        if (_current is { } kept)
        {
            _current = null;
            Lane.Messages.Release(kept);
        }
        _isDelivering = false;
        while (_waitingEvents.TryDequeue(out var happened))
        {
            Raise(happened);
        }
        return receivers;
    }

    /// <summary>No Local: only the subscriptions without it carry a publisher's own message back. [MQTT-3.8.3-3]</summary>
    private int DeliverToPublisher(in PublishedMessage message, Target target)
    {
        var others = Array.FindAll(target.Subscriptions, s => !s.Options.NoLocal);
        if (others.Length == 0)
        {
            return 0;
        }
        var rest = TargetOf(target.Session, others);
        DeliverTo(message, rest.Session, rest.Qos, rest.RetainAsPublished, rest.SubscriptionIds, null);
        return 1;
    }

    private int DeliverToOneOf(in PublishedMessage message, SharedGroup group)
    {
        if (group.Choose(message.Qos, message.Topic.Text, MessageLengths.Of(message), Limits) is not { } member)
        {
            return 0;
        }
        var ids = member.Id == 0 ? null : new[] { member.Id };
        DeliverTo(message, member.Session, member.Options.Qos, member.Options.RetainAsPublished, ids, group);
        return 1;
    }

    private void DeliverTo(
        in PublishedMessage message, Session session, byte maximumQos, bool retainAsPublished, int[]? subscriptionIds, SharedGroup? group)
    {
        var qos = Math.Min(message.Qos, maximumQos);
        var retain = retainAsPublished && message.Retain;
        if (qos == 0)
        {
            SendQos0(message, session, retain, subscriptionIds);
        }
        else if (session.IsStored)
        {
            DeliverStored(message, session, qos, retain, subscriptionIds, group);
        }
        else if (session.CanTakeNow(qos))
        {
            SendInFlight(message, session.Connection!, qos, retain, subscriptionIds, group);
        }
        else
        {
            var kept = Keep(message);
            kept.AddReference();
            Enqueue(session, new QueuedMessage(kept, qos, retain, subscriptionIds, group));
        }
    }

    private void SendQos0(in PublishedMessage message, Session session, bool retain, int[]? subscriptionIds)
    {
        var connection = session.Connection;
        if (connection is null)
        {
            return;
        }
        if (connection.IsOutboxFull)
        {
            Lane.Counters.DroppedSlowReceiver++;
            return;
        }
        Encode(message, connection, (byte)(retain ? 1 : 0), 0, subscriptionIds);
    }

    private void SendInFlight(
        in PublishedMessage message, Connection connection, byte qos, bool retain, int[]? subscriptionIds, SharedGroup? group)
    {
        ref var entry = ref connection.Session!.InFlight.Add();
        if (!Encode(message, connection, (byte)((qos << 1) | (retain ? 1 : 0)), entry.PacketId, subscriptionIds))
        {
            connection.Session.InFlight.Remove(ref entry);
            return;
        }
        var kept = Keep(message);
        kept.AddReference();
        entry.Message = kept;
        entry.Owed = qos == 1 ? Owed.PubAck : Owed.PubRec;
        entry.Retain = retain;
        entry.SubscriptionIds = subscriptionIds;
        entry.Group = group;
        entry.IsSent = true;
        connection.Outstanding++;
    }

    private bool Encode(in PublishedMessage message, Connection connection, byte flags, ushort packetId, int[]? subscriptionIds)
    {
        var fits = connection.IsV5 && (subscriptionIds is not null || connection.HasAliases)
            ? connection.WritePublish(
                new PublishHead(flags, packetId, message.ExpirySeconds, subscriptionIds), message.Topic.Utf8, message.Properties, message.Payload)
            : Lane.Frames.CopyTo(connection, message, flags, packetId);
        if (fits)
        {
            Lane.MarkDirty(connection);
            Lane.Counters.Sent++;
        }
        return fits;
    }

    /// <summary>The message being published as one that lasts; made once, whoever asks first.</summary>
    private Message Keep(in PublishedMessage message) => _current ??= Lane.Messages.Rent(message);

    private bool HasRoomForRetained(in PublishedMessage message)
    {
        var size = message.Topic.Utf8.Length + message.Properties.Length + message.Payload.Length;
        return message.Payload.IsEmpty
            || (Retained.Bytes + size <= Limits.RetainedBytesPerHubMaximum
                && (Retained.Count < Limits.RetainedMessagesPerHubMaximum || Retained.Find(message.Topic.Text) is not null));
    }

    /// <summary>Keeps the message for its topic, or clears it when the payload is empty. [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7]</summary>
    private void KeepRetained(in PublishedMessage message, bool isStored)
    {
        Message? replaced;
        if (message.Payload.IsEmpty)
        {
            replaced = Retained.Remove(message.Topic.Text);
            if (replaced is { Position: > 0 })
            {
                RecordRetainedCleared(message.Topic);
            }
        }
        else
        {
            var kept = Lane.Messages.Rent(message);
            if (isStored)
            {
                BeginRecord(message, routes: null);
                kept.Position = _recordAt;
                Log.AddReference(_recordAt);
            }
            replaced = Retained.Set(message.Topic.Text, kept);
        }
        if (replaced is not null)
        {
            ReleaseRetained(replaced);
        }
    }
}
