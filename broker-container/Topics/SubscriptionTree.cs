using IotHub.Broker.Sessions;

namespace IotHub.Broker.Topics;

/// <summary>
/// The subscriptions of one hub by the levels of their filters. A walk goes level by level with the set of nodes that still match, so
/// neither a deep topic nor a deep filter uses the stack. Results are remembered per topic (<see cref="TopicTable"/>): the walk runs
/// only when a topic is new or its subscribers may have changed.
/// </summary>
public sealed class SubscriptionTree
{
    private readonly Node _root = new();
    private readonly List<Node> _level = [];
    private readonly List<Node> _nextLevel = [];

    public int Count { get; private set; }

    public void Add(Subscription subscription)
    {
        var node = Seek(subscription.TopicFilter);
        if (subscription.ShareName is null)
        {
            node.Plain.Add(subscription);
        }
        else
        {
            var group = node.Groups.Find(g => g.ShareName == subscription.ShareName);
            if (group is null)
            {
                group = new SharedGroup(subscription.ShareName, subscription.TopicFilter);
                node.Groups.Add(group);
            }
            group.Members.Add(subscription);
        }
        Count++;
    }

    /// <returns>The shared group it left, if it was in one.</returns>
    public SharedGroup? Remove(Subscription subscription)
    {
        var path = new List<(Node Parent, string Level)>();
        var node = _root;
        foreach (var level in subscription.TopicFilter.Split('/'))
        {
            path.Add((node, level));
            node = node.Children[level];
        }
        SharedGroup? left = null;
        if (subscription.ShareName is null)
        {
            node.Plain.Remove(subscription);
        }
        else
        {
            left = node.Groups.Find(g => g.ShareName == subscription.ShareName)!;
            left.Members.Remove(subscription);
            if (left.Members.Count == 0)
            {
                node.Groups.Remove(left);
            }
        }
        Count--;
        for (var i = path.Count - 1; i >= 0 && path[i].Parent.Children[path[i].Level].IsUnused; i--)
        {
            path[i].Parent.Children.Remove(path[i].Level);
        }
        return left;
    }

    /// <summary>Adds what matches <paramref name="topic"/> to the two lists.</summary>
    public void Match(string topic, List<Subscription> plain, List<SharedGroup> groups)
    {
        // [MQTT-4.7.2-1]: a filter that starts with a wildcard does not see topics that start with $.
        var hidden = topic.StartsWith('$');
        var levels = topic.Split('/');
        _level.Clear();
        _level.Add(_root);
        for (var i = 0; i < levels.Length && _level.Count > 0; i++)
        {
            _nextLevel.Clear();
            foreach (var node in _level)
            {
                var wildcards = i > 0 || !hidden;
                if (wildcards && node.Children.TryGetValue("#", out var rest))
                {
                    Collect(rest, plain, groups);
                }
                if (wildcards && node.Children.TryGetValue("+", out var any))
                {
                    _nextLevel.Add(any);
                }
                if (node.Children.TryGetValue(levels[i], out var exact))
                {
                    _nextLevel.Add(exact);
                }
            }
            _level.Clear();
            _level.AddRange(_nextLevel);
        }
        foreach (var node in _level)
        {
            Collect(node, plain, groups);
            // "sport/#" matches "sport" itself. [MQTT-4.7.1-2]
            if (node.Children.TryGetValue("#", out var parent))
            {
                Collect(parent, plain, groups);
            }
        }
    }

    private static void Collect(Node node, List<Subscription> plain, List<SharedGroup> groups)
    {
        plain.AddRange(node.Plain);
        groups.AddRange(node.Groups);
    }

    private Node Seek(string filter)
    {
        var node = _root;
        foreach (var level in filter.Split('/'))
        {
            if (!node.Children.TryGetValue(level, out var child))
            {
                child = new Node();
                node.Children.Add(level, child);
            }
            node = child;
        }
        return node;
    }

    /// <summary>Lists are made on first use: most nodes of a large tree carry one subscription or none.</summary>
    private sealed class Node
    {
        private Dictionary<string, Node>? _children;
        private List<Subscription>? _plain;
        private List<SharedGroup>? _groups;

        public Dictionary<string, Node> Children => _children ??= new Dictionary<string, Node>(StringComparer.Ordinal);
        public List<Subscription> Plain => _plain ??= new List<Subscription>(1);
        public List<SharedGroup> Groups => _groups ??= new List<SharedGroup>(1);
        public bool IsUnused => _children is not { Count: > 0 } && _plain is not { Count: > 0 } && _groups is not { Count: > 0 };
    }
}
