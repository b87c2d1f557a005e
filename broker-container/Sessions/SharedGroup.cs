using IotHub.Broker.Topics;

namespace IotHub.Broker.Sessions;

/// <summary>The members of one shared subscription: each message goes to one of them. (MQTT 5.0 section 4.8.2)</summary>
public sealed class SharedGroup(string shareName, string topicFilter)
{
    private int _next;

    public string ShareName { get; } = shareName;
    public string TopicFilter { get; } = topicFilter;
    public List<Subscription> Members { get; } = [];

    /// <summary>
    /// The next member in turn that can take a message now; else, for QoS 1 and 2, the next one whose session waits. Null when there is
    /// none: the message is nobody's.
    /// </summary>
    public Subscription? Choose(byte qos, Session? except)
    {
        Subscription? waiting = null;
        for (var i = 0; i < Members.Count; i++)
        {
            var member = Members[(_next + i) % Members.Count];
            if (member.Session == except)
            {
                continue;
            }
            if (member.Session.CanTakeNow(Math.Min(qos, member.Options.Qos)))
            {
                _next = (_next + i + 1) % Members.Count;
                return member;
            }
            waiting ??= Math.Min(qos, member.Options.Qos) > 0 ? member : null;
        }
        if (waiting is not null)
        {
            _next = (_next + 1) % Members.Count;
        }
        return waiting;
    }
}
