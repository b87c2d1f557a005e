using System.Text;
using IotHub.Broker.Bridge;
using IotHub.Broker.Retained;
using IotHub.Broker.Topics;
using IotHub.Core.Messages;

namespace IotHub.Broker.Sessions;

/// <summary>
/// One hub: its sessions, subscriptions, retained messages and routes. Nothing of another hub can be reached from here. Touched only
/// under its lane. Hub.cs is what it is; what can happen to it stands in files of their own: HubSessions.cs, HubSubscribing.cs, HubPublishing.cs,
/// HubQueues.cs; and with a disk HubRecording.cs, HubStoring.cs, HubLoading.cs, HubRestoring.cs.
/// </summary>
public sealed partial class Hub(Lane lane, Guid id)
{
    /// <summary>Subscription sets are versioned by the first level of their filters, so that churn under one does not touch the others.</summary>
    private const int VersionBuckets = 256;

    private readonly long[] _versions = new long[VersionBuckets];
    private readonly SubscriptionTree _tree = new();
    private readonly TopicTable _topics = new(lane.Broker.Limits.CachedTopicsPerHubMaximum, lane.Broker.HashSeed, BucketOf);
    private readonly RecentIds _recentIds = new(lane.Broker.Limits.RememberedMessageIdsPerHub);
    private readonly List<Subscription> _matchedPlain = [];
    private readonly List<SharedGroup> _matchedGroups = [];
    private long _allVersion;
    private bool _isRouteBufferFull;

    public Guid Id { get; } = id;
    public Lane Lane { get; } = lane;
    public HubSettings Settings { get; private set; } = new(null, false, []);
    public Dictionary<SessionKey, Session> Sessions { get; } = [];
    public RetainedMessages Retained { get; } = new();
    public int Subscriptions => _tree.Count;

    /// <summary>Bytes of messages that wait in queues of this hub, counted once per queue.</summary>
    public long QueuedBytes { get; private set; }

    private BrokerLimits Limits => Lane.Broker.Limits;
    private MqttBroker Broker => Lane.Broker;

    public void Configure(HubSettings settings)
    {
        Settings = settings;
        _allVersion++;
    }

    /// <summary>The entry of a topic with its receivers as they are now; null when the name is not valid.</summary>
    /// <param name="hint">An entry that is likely to be the one.</param>
    public TopicEntry? Resolve(ReadOnlySpan<byte> topic, TopicEntry? hint = null)
    {
        var entry = hint is not null && topic.SequenceEqual(hint.Utf8) ? hint : _topics.Find(topic, Limits.TopicLevelsMaximum);
        if (entry is not null)
        {
            Refresh(entry);
        }
        return entry;
    }

    /// <summary>Brings an entry's receivers up to date.</summary>
    public void Refresh(TopicEntry entry)
    {
        var version = _allVersion + _versions[entry.Bucket];
        if (entry.Version != version)
        {
            // Apart, so that its closures cost nothing here.
            Rebuild(entry, version);
        }
    }

    private void Rebuild(TopicEntry entry, long version)
    {
        _matchedPlain.Clear();
        _matchedGroups.Clear();
        _tree.Match(entry.Text, _matchedPlain, _matchedGroups);
        entry.Targets = Merge(entry.Text, _matchedPlain);
        entry.Groups = [.. _matchedGroups];
        entry.Routes = [.. Settings.Routes.Where(r => Core.Messages.TopicFilter.Matches(r.Filter, entry.Text)).Select(r => r.RouteId)];
        entry.Version = version;
    }

    /// <summary>One target per session: the highest quality, all identifiers. (MQTT 5.0 section 3.3.4, overlapping subscriptions)</summary>
    private static Target[] Merge(string topic, List<Subscription> matched)
    {
        var targets = new List<Target>();
        foreach (var ofSession in matched.GroupBy(s => s.Session))
        {
            if (!ofSession.Key.Rights.MayReceive(topic))
            {
                continue;
            }
            var subscriptions = ofSession.ToArray();
            targets.Add(TargetOf(ofSession.Key, subscriptions));
        }
        return [.. targets];
    }

    private static Target TargetOf(Session session, Subscription[] subscriptions)
    {
        var ids = subscriptions.Where(s => s.Id != 0).Select(s => s.Id).ToArray();
        return new Target(
            session,
            subscriptions.Max(s => s.Options.Qos),
            subscriptions.Any(s => s.Options.RetainAsPublished),
            ids.Length == 0 ? null : ids,
            subscriptions.Any(s => s.Options.NoLocal),
            subscriptions);
    }

    /// <summary>Receivers of topics that this filter can match may have changed.</summary>
    private void Touch(string topicFilter)
    {
        if (topicFilter.StartsWith('+') || topicFilter.StartsWith('#'))
        {
            _allVersion++;
        }
        else
        {
            var slash = topicFilter.IndexOf('/');
            var level = slash < 0 ? topicFilter : topicFilter.AsSpan(0, slash);
            Span<byte> utf8 = level.Length <= 128 ? stackalloc byte[3 * 128] : new byte[3 * level.Length];
            _versions[BucketOf(utf8[..Encoding.UTF8.GetBytes(level, utf8)])]++;
        }
    }

    private static int BucketOf(ReadOnlySpan<byte> topic)
    {
        var slash = topic.IndexOf((byte)'/');
        return (int)(TopicBytes.Hash(slash < 0 ? topic : topic[..slash], seed: 0) % VersionBuckets);
    }

    /// <summary>Publishes an event on the hub's event topics and hands it on to be recorded; nothing when events are switched off.</summary>
    public void Raise(HubEvent happened)
    {
        if (Settings.EventsTopicPrefix is not { } prefix)
        {
            return;
        }
        if (_isDelivering)
        {
            // The frames of the message going out are shared: the event goes out after it.
            _waitingEvents.Enqueue(happened);
            return;
        }
        var about = $"{happened.ObjectType}/{happened.ObjectId}";
        var topic = Settings.SeverityFirst ? $"{prefix}/{happened.Severity}/{about}" : $"{prefix}/{about}/{happened.Severity}";
        PublishText(topic, System.Text.Json.JsonSerializer.SerializeToUtf8Bytes(happened));
        Broker.Outbound.Event(Id, happened);
    }

    /// <summary>Ends what is due: delayed wills, then expired sessions. [MQTT-3.1.3-9] [MQTT-4.1.0-2]</summary>
    public void EndDue(long now)
    {
        foreach (var session in Sessions.Values.Where(s => !s.IsUnchecked && (s.WillAt <= now || s.ExpiresAt <= now)).ToList())
        {
            if (session.WillAt <= now)
            {
                PublishDelayedWill(session);
            }
            if (session.ExpiresAt <= now)
            {
                Drop(session);
            }
            else if (session.IsStored)
            {
                // The will is out, and must not be published again after a crash.
                Journal.Changed(session);
            }
        }
        foreach (var session in Sessions.Values.Where(s => !s.IsUnchecked))
        {
            Lane.WakeAt(Math.Min(session.WillAt, session.ExpiresAt));
        }
    }
}
