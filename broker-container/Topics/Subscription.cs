using IotHub.Broker.Protocol.Packets;
using IotHub.Broker.Sessions;

namespace IotHub.Broker.Topics;

/// <summary>One session's subscription to one filter.</summary>
public sealed class Subscription(Session session, string filter, SharedFilter? shared)
{
    public Session Session { get; } = session;

    /// <summary>As the client wrote it, <c>$share/name/</c> included.</summary>
    public string Filter { get; } = filter;

    /// <summary>The filter that topics are held against.</summary>
    public string TopicFilter { get; } = shared?.TopicFilter ?? filter;

    public string? ShareName { get; } = shared?.ShareName;
    public SubscriptionOptions Options { get; set; }

    /// <summary>Subscription Identifier, or 0.</summary>
    public int Id { get; set; }
}

/// <summary>A <c>$share/{name}/{filter}</c> taken apart (MQTT 5.0 section 4.8.2).</summary>
public sealed record SharedFilter(string ShareName, string TopicFilter)
{
    private const string Prefix = "$share/";

    public static bool IsShared(string filter) => filter.StartsWith(Prefix, StringComparison.Ordinal);

    /// <summary>Null when the form is wrong: no name, a wildcard in it, or no filter after it. [MQTT-4.8.2-1] [MQTT-4.8.2-2]</summary>
    public static SharedFilter? Parse(string filter)
    {
        var slash = filter.IndexOf('/', Prefix.Length);
        if (slash <= Prefix.Length || slash == filter.Length - 1)
        {
            return null;
        }
        var name = filter[Prefix.Length..slash];
        return name.AsSpan().IndexOfAny('+', '#') >= 0 ? null : new SharedFilter(name, filter[(slash + 1)..]);
    }
}
