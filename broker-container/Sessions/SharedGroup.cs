using IotHub.Broker.Topics;

namespace IotHub.Broker.Sessions;

/// <summary>The members of one shared subscription: each message goes to one of them. (MQTT 5.0 section 4.8.2)</summary>
public sealed class SharedGroup(string shareName, string topicFilter)
{
    private int _next;

    public string ShareName { get; } = shareName;
    public string TopicFilter { get; } = topicFilter;

    /// <summary>As the members subscribed to it.</summary>
    public string Filter { get; } = $"$share/{shareName}/{topicFilter}";
    public List<Subscription> Members { get; } = [];

    /// <summary>Is anyone of the group there to take over at once?</summary>
    public bool IsAnyoneConnected => Members.Exists(static m => m.Session.Connection is not null);

    /// <summary>
    /// The next member in turn that can take a message now; else, for QoS 1 and 2, one whose queue has room: rather one that is
    /// connected than one that is away. One that is connected and takes no packets of this size is passed over. Null when there is
    /// none: the message is nobody's.
    /// </summary>
    public Subscription? Choose(byte qos, string topic, in MessageLengths lengths, BrokerLimits limits)
    {
        Subscription? waiting = null;
        var waitingIndex = 0;
        for (var i = 0; i < Members.Count; i++)
        {
            var index = (_next + i) % Members.Count;
            var member = Members[index];
            var session = member.Session;
            var granted = Math.Min(qos, member.Options.Qos);
            if ((!session.Rights.Unfiltered && !session.Rights.MayReceive(topic))
                || session.Connection?.Takes(lengths, granted, member.Id) == false)
            {
                continue;
            }
            if (session.CanTakeNow(granted))
            {
                _next = index + 1;
                return member;
            }
            var isBetter = waiting is null || (waiting.Session.Connection is null && session.Connection is not null);
            if (granted > 0 && isBetter && session.HasRoom(limits))
            {
                (waiting, waitingIndex) = (member, index);
            }
        }
        _next = waiting is null ? _next : waitingIndex + 1;
        return waiting;
    }
}
