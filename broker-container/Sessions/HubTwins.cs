using System.Text;
using IotHub.Core.Messages;

namespace IotHub.Broker.Sessions;

/// <content>Answers to twin requests.</content>
public sealed partial class Hub
{
    /// <summary>
    /// Sends an answer to the one connection of a session that asked, at QoS 0, if the session subscribes to where it goes. Nobody else
    /// can get it: nothing that is published under the tree of twins goes out by itself.
    /// </summary>
    /// <param name="properties">The request's Correlation Data, if it had any. (MQTT 5.0 section 4.10)</param>
    public void Respond(Session session, string topic, ReadOnlySpan<byte> payload, ReadOnlySpan<byte> properties)
    {
        var isSubscribed = false;
        List<int>? ids = null;
        foreach (var subscription in session.Subscriptions.Values)
        {
            // A shared subscription is no answer's address: its other members did not ask.
            if (subscription.Filter == subscription.TopicFilter && TopicFilter.Matches(subscription.TopicFilter, topic))
            {
                isSubscribed = true;
                if (subscription.Id != 0)
                {
                    (ids ??= []).Add(subscription.Id);
                }
            }
        }
        if (isSubscribed && Resolve(Encoding.UTF8.GetBytes(topic)) is { } entry)
        {
            Lane.Frames.Reset();
            var message = new PublishedMessage
            {
                Topic = entry,
                Payload = payload,
                Properties = properties,
                Qos = 0,
                Retain = false,
                ExpiresAt = long.MaxValue,
            };
            SendQos0(message, session, retain: false, ids?.ToArray());
        }
    }
}
