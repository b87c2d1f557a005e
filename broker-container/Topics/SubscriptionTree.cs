using System.Diagnostics.CodeAnalysis;
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
            node.Add(subscription);
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
            node.Remove(subscription);
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

    /// <summary>The shared group of a filter; null when it has no member.</summary>
    public SharedGroup? GroupOf(SharedFilter shared)
    {
        var node = _root;
        foreach (var level in shared.TopicFilter.Split('/'))
        {
            if (!node.TryGetChild(level, out node!))
            {
                return null;
            }
        }
        return node.HasGroups ? node.Groups.Find(g => g.ShareName == shared.ShareName) : null;
    }

    /// <summary>Adds what matches <paramref name="topic"/> to the two lists.</summary>
    public void Match(string topic, List<Subscription> plain, List<SharedGroup> groups)
    {
        // [MQTT-4.7.2-1]: a filter that starts with a wildcard does not see topics that start with $.
        var hidden = topic.StartsWith('$');
        _level.Clear();
        _level.Add(_root);
        var isFirst = true;
        foreach (var range in topic.AsSpan().Split('/'))
        {
            var level = topic.AsSpan()[range];
            var wildcards = !isFirst || !hidden;
            isFirst = false;
            _nextLevel.Clear();
            foreach (var node in _level)
            {
                if (wildcards && node.TryGetChild("#", out var rest))
                {
                    Collect(rest, plain, groups);
                }
                if (wildcards && node.TryGetChild("+", out var any))
                {
                    _nextLevel.Add(any);
                }
                if (node.TryGetChild(level, out var exact))
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
            if (node.TryGetChild("#", out var parent))
            {
                Collect(parent, plain, groups);
            }
        }
    }

    private static void Collect(Node node, List<Subscription> plain, List<SharedGroup> groups)
    {
        node.CopyTo(plain);
        if (node.HasGroups)
        {
            groups.AddRange(node.Groups);
        }
    }

    private Node Seek(string filter)
    {
        var node = _root;
        foreach (var range in filter.AsSpan().Split('/'))
        {
            var level = filter.AsSpan()[range];
            if (!node.TryGetChild(level, out var child))
            {
                child = new Node();
                node.Children.Add(level.ToString(), child);
            }
            node = child;
        }
        return node;
    }

    /// <summary>Lists are made when they are needed: most nodes of a large tree carry one subscription or none.</summary>
    private sealed class Node
    {
        private Dictionary<string, Node>? _children;
        private Subscription? _first;
        private List<Subscription>? _more;
        private List<SharedGroup>? _groups;

        public Dictionary<string, Node> Children => _children ??= new Dictionary<string, Node>(StringComparer.Ordinal);
        public List<SharedGroup> Groups => _groups ??= new List<SharedGroup>(1);
        public bool HasGroups => _groups is { Count: > 0 };
        public bool IsUnused => _children is not { Count: > 0 } && _first is null && !HasGroups;

        public bool TryGetChild(ReadOnlySpan<char> level, [NotNullWhen(true)] out Node? child)
        {
            child = null;
            return _children is not null && _children.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(level, out child);
        }

        public void Add(Subscription subscription)
        {
            if (_first is null)
            {
                _first = subscription;
            }
            else
            {
                (_more ??= []).Add(subscription);
            }
        }

        public void Remove(Subscription subscription)
        {
            if (ReferenceEquals(_first, subscription))
            {
                _first = _more is { Count: > 0 } ? _more[^1] : null;
                _more?.RemoveAt(_more.Count - 1);
            }
            else
            {
                _more?.Remove(subscription);
            }
            _more = _more is { Count: > 0 } ? _more : null;
        }

        public void CopyTo(List<Subscription> list)
        {
            if (_first is not null)
            {
                list.Add(_first);
            }
            if (_more is not null)
            {
                list.AddRange(_more);
            }
        }
    }
}
