using System.Text;

namespace IotHub.Broker.Topics;

/// <summary>A receiver of a topic: a session with what its matching subscriptions together ask for.</summary>
/// <param name="Subscriptions">All of them; looked at one by one only where No Local is among them.</param>
public sealed record Target(
    Sessions.Session Session, byte Qos, bool RetainAsPublished, int[]? SubscriptionIds, bool HasNoLocal, Subscription[] Subscriptions);

/// <summary>A topic that was seen, with who gets its messages as of <see cref="Version"/>.</summary>
public sealed class TopicEntry(byte[] utf8, ulong hash)
{
    public byte[] Utf8 { get; } = utf8;
    public ulong Hash { get; } = hash;
    public string Text { get; } = Encoding.UTF8.GetString(utf8);

    /// <summary>Under <c>$SYS/</c>, where the broker publishes its own figures if asked to.</summary>
    public bool IsSys { get; } = utf8.AsSpan().StartsWith("$SYS/"u8);

    /// <summary>Under <c>$SCW/twins/</c>, where devices ask for their twin if the broker has twins.</summary>
    public bool IsTwin { get; } = utf8.AsSpan().StartsWith("$SCW/twins/"u8);

    /// <summary>First level, as the subscription versions are kept by it.</summary>
    public int Bucket { get; init; }

    /// <summary>Version of the subscription set that the three lists were made from; -1 for never.</summary>
    public long Version { get; set; } = -1;

    public Target[] Targets { get; set; } = [];
    public Sessions.SharedGroup[] Groups { get; set; } = [];
    public Guid[] Routes { get; set; } = [];
}

/// <summary>
/// Topics of one hub by their bytes: open addressing over a seeded hash, so that a topic seen before costs neither a string nor a
/// walk. Bounded: when full it starts anew.
/// </summary>
public sealed class TopicTable(int maximumEntries, ulong seed, Func<ReadOnlySpan<byte>, int> bucketOf)
{
    private TopicEntry?[] _slots = new TopicEntry?[64];

    public int Count { get; private set; }

    /// <summary>The entry of a valid topic name; null when the bytes are not one, or have too many levels.</summary>
    public TopicEntry? Find(ReadOnlySpan<byte> topic, int maximumLevels)
    {
        var hash = TopicBytes.Hash(topic, seed);
        for (var i = (int)hash & (_slots.Length - 1); ; i = (i + 1) & (_slots.Length - 1))
        {
            var entry = _slots[i];
            if (entry is null)
            {
                return TopicBytes.IsValidName(topic) && topic.Count((byte)'/') < maximumLevels ? Add(topic, hash) : null;
            }
            if (entry.Hash == hash && topic.SequenceEqual(entry.Utf8))
            {
                return entry;
            }
        }
    }

    private TopicEntry Add(ReadOnlySpan<byte> topic, ulong hash)
    {
        if (Count == maximumEntries)
        {
            _slots = new TopicEntry?[64];
            Count = 0;
        }
        else if (Count * 2 >= _slots.Length)
        {
            var old = _slots;
            _slots = new TopicEntry?[old.Length * 2];
            foreach (var entry in old)
            {
                if (entry is not null)
                {
                    Place(entry);
                }
            }
        }
        var added = new TopicEntry(topic.ToArray(), hash) { Bucket = bucketOf(topic) };
        Place(added);
        Count++;
        return added;
    }

    private void Place(TopicEntry entry)
    {
        var i = (int)entry.Hash & (_slots.Length - 1);
        while (_slots[i] is not null)
        {
            i = (i + 1) & (_slots.Length - 1);
        }
        _slots[i] = entry;
    }
}
