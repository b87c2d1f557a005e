using System.Text;
using IotHub.Broker.Auth;
using IotHub.Broker.Protocol;
using IotHub.Broker.Protocol.Packets;
using IotHub.Broker.Topics;
using IotHub.Core.Messages;

namespace IotHub.Broker.Sessions;

/// <content>Subscribing and unsubscribing.</content>
public sealed partial class Hub
{
    /// <summary>Grants or refuses one filter; retained messages follow through <see cref="SendRetained"/> after the SUBACK.</summary>
    /// <returns>The code for SUBACK, and the subscription when retained messages are due for it.</returns>
    public (ReasonCode Code, Subscription? RetainedDue) Subscribe(
        Session session, in SubscribeEntry entry, int subscriptionId, int remainingLength)
    {
        var shared = SharedFilter.IsShared(entry.Filter) ? SharedFilter.Parse(entry.Filter) : null;
        var topicFilter = shared?.TopicFilter ?? entry.Filter;
        if ((shared is null && SharedFilter.IsShared(entry.Filter)) || !TopicFilter.IsValidFilter(topicFilter)
            || topicFilter.AsSpan().Count('/') >= Limits.TopicLevelsMaximum)
        {
            return (ReasonCode.TopicFilterInvalid, null);
        }
        if (shared is not null && entry.Options.NoLocal)
        {
            throw new MqttException(ReasonCode.ProtocolError, "No Local on a shared subscription [MQTT-3.8.3-4]");
        }
        // Only answers to the session's own requests come from there.
        var isOfTwins = topicFilter.StartsWith(TwinTopic.Tree, StringComparison.Ordinal) && Broker.Twins is not null;
        if (!isOfTwins && !session.Rights.MaySubscribe(topicFilter))
        {
            RaiseAboutSubscribe(session, $"unauthorized topic {topicFilter}", remainingLength);
            return (ReasonCode.NotAuthorized, null);
        }
        var options = entry.Options;
        if (session.Rights.Plan.Qos0SubscribeOnly && options.Qos > 0)
        {
            RaiseAboutSubscribe(session, "service level: subscribing with QoS 1-2 is forbidden on a shared hub", remainingLength);
            if (!session.Connection!.IsV5)
            {
                return (ReasonCode.NotAuthorized, null);
            }
            // The original, which speaks 3.1.1, says no. 5.0 wants it taken and granted as far as it goes. [MQTT-3.2.2-10]
            options = options with { Qos = 0 };
        }
        var isNew = !session.Subscriptions.TryGetValue(entry.Filter, out var subscription);
        if (isNew && session.Subscriptions.Count >= Limits.SubscriptionsPerSessionMaximum)
        {
            return (ReasonCode.QuotaExceeded, null);
        }
        if (session.IsStored && Lane.RefusesWork)
        {
            return (ReasonCode.QuotaExceeded, null);
        }
        // [MQTT-3.8.4-3]: the same filter again replaces the options.
        subscription ??= new Subscription(session, entry.Filter, shared);
        subscription.Options = options;
        subscription.Id = subscriptionId;
        if (isNew)
        {
            session.Subscriptions.Add(subscription);
            _tree.Add(subscription);
        }
        if (session.IsStored)
        {
            Journal.Subscribed(session, subscription);
        }
        Touch(topicFilter);
        var retainedDue = shared is null && (options.RetainHandling == 0 || (options.RetainHandling == 1 && isNew));
        return ((ReasonCode)options.Qos, retainedDue ? subscription : null);
    }

    private void RaiseAboutSubscribe(Session session, string text, int remainingLength) => Raise(HubEvents.OfDevice(
        session.Key.DeviceId, text, Broker.Time, PacketText.Of((byte)PacketType.Subscribe << 4, remainingLength)));

    public ReasonCode Unsubscribe(Session session, string filter)
    {
        if (session.IsStored && Lane.RefusesWork)
        {
            return ReasonCode.ImplementationSpecificError;
        }
        if (!session.Subscriptions.Remove(filter, out var subscription))
        {
            return ReasonCode.NoSubscriptionExisted;
        }
        if (session.IsStored)
        {
            Journal.Unsubscribed(session, filter);
        }
        Forget(subscription);
        return ReasonCode.Success;
    }

    /// <summary>
    /// Queues the retained messages that match, behind what waits already; with No Local not the client's own. [MQTT-3.3.1-9] [MQTT-3.8.3-3]
    /// </summary>
    public void SendRetained(Subscription subscription)
    {
        var session = subscription.Session;
        foreach (var message in Retained.Matching(subscription.TopicFilter))
        {
            var topic = Encoding.UTF8.GetString(message.Topic);
            if (message.HasExpired(Lane.Now))
            {
                if (message.Position > 0)
                {
                    Journal.RetainedCleared(Id, message.Topic);
                }
                ReleaseRetained(Retained.Remove(topic)!);
                continue;
            }
            var isOwn = subscription.Options.NoLocal && message.RetainedBy == session.Key;
            if (!isOwn && session.Rights.MayReceive(topic))
            {
                message.AddReference();
                var qos = Math.Min(message.Qos, subscription.Options.Qos);
                Enqueue(session, new QueuedMessage(message, qos, true, subscription.Id == 0 ? null : [subscription.Id], null));
            }
        }
        Pump(session);
    }

    private void Forget(Subscription subscription)
    {
        var group = _tree.Remove(subscription);
        Touch(subscription.TopicFilter);
        if (group is not null)
        {
            PassOn(subscription.Session, group);
        }
    }

    /// <summary>What waits in a session for a group that it left goes to the other members.</summary>
    private void PassOn(Session session, SharedGroup group)
    {
        if (session.HasStored)
        {
            PassOnStored(session, group, inFlightToo: false);
        }
        PassOnQueued(session, q => q.Group == group);
    }

    /// <summary>
    /// A member is away: what it has not acknowledged at QoS 1, or was never sent, goes to members that are there. What was sent at QoS 2
    /// stays. [MQTT-4.8.2-4]
    /// </summary>
    private void PassOnWhileAway(Session session)
    {
        if (session.HasStored)
        {
            PassOnStored(session, null, inFlightToo: true);
        }
        foreach (var id in session.HasInFlight ? session.InFlight.IdsInOrder() : [])
        {
            ref var entry = ref session.InFlight.Find(id);
            if (entry is { Owed: Owed.PubAck, Message: { } message, Group: { IsAnyoneConnected: true } group })
            {
                var queued = new QueuedMessage(message, message.Qos, entry.Retain, null, group);
                session.InFlight.Remove(ref entry);
                GiveToGroup(queued, group);
            }
        }
        PassOnQueued(session, static q => q.Group is { IsAnyoneConnected: true });
    }

    private void PassOnQueued(Session session, Func<QueuedMessage, bool> which)
    {
        for (var left = session.HasQueued ? session.Queue.Count : 0; left > 0; left--)
        {
            TryDequeue(session, out var queued);
            if (which(queued))
            {
                GiveToGroup(queued, queued.Group!);
            }
            else
            {
                QueuedBytes += queued.Message.Size;
                session.Queue.Enqueue(queued);
            }
        }
    }

    private void GiveToGroup(in QueuedMessage queued, SharedGroup group, bool isMoved = false)
    {
        if (!queued.Message.HasExpired(Lane.Now) && MemberFor(queued, group) is { } member)
        {
            GiveTo(member, queued, isMoved);
        }
        else
        {
            Lane.Messages.Release(queued.Message);
        }
    }

    private Subscription? MemberFor(in QueuedMessage queued, SharedGroup group)
    {
        var message = queued.Message;
        return group.Choose(message.Qos, Encoding.UTF8.GetString(message.Topic), MessageLengths.Of(message), Limits);
    }

    /// <summary>
    /// Each member gets it at the quality that it was granted, and with RETAIN only if it asked for that, whoever had it before.
    /// [MQTT-4.8.2-3] [MQTT-3.3.1-12]
    /// </summary>
    /// <param name="isMoved">That another has it no longer is recorded, and not on disk yet: after a crash, both would have it.</param>
    private void GiveTo(Subscription member, in QueuedMessage queued, bool isMoved)
    {
        if (isMoved)
        {
            member.Session.Connection?.Hold();
        }
        var qos = Math.Min(queued.Message.Qos, member.Options.Qos);
        Enqueue(member.Session, queued with
        {
            Qos = qos,
            Retain = queued.Retain && member.Options.RetainAsPublished,
            SubscriptionIds = member.Id == 0 ? null : [member.Id],
        });
        Pump(member.Session);
    }
}
