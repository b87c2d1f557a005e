using IotHub.Broker.Sessions;

namespace IotHub.Broker.Retained;

/// <summary>
/// The retained messages of one hub, one per topic, found by filter (MQTT 5.0 section 3.3.1.3). A tree over the topic's levels, walked
/// level by level. Holds a reference on each message; the caller releases what it gets back.
/// </summary>
public sealed class RetainedMessages
{
    private readonly Node _root = new();

    public int Count { get; private set; }

    /// <summary>Topic and payload bytes.</summary>
    public long Bytes { get; private set; }

    /// <summary>The message kept for this topic, or null.</summary>
    public Message? Find(string topic)
    {
        var node = _root;
        foreach (var level in topic.Split('/'))
        {
            if (!node.Children.TryGetValue(level, out node!))
            {
                return null;
            }
        }
        return node.Message;
    }

    /// <summary>Keeps <paramref name="message"/>, whose reference passes over, and returns the one it replaces.</summary>
    public Message? Set(string topic, Message message)
    {
        var node = _root;
        foreach (var level in topic.Split('/'))
        {
            if (!node.Children.TryGetValue(level, out var child))
            {
                child = new Node();
                node.Children.Add(level, child);
            }
            node = child;
        }
        var replaced = node.Message;
        node.Message = message;
        Count += replaced is null ? 1 : 0;
        Bytes += message.Size - (replaced?.Size ?? 0);
        return replaced;
    }

    /// <summary>Forgets the topic and returns what was kept for it. [MQTT-3.3.1-6]</summary>
    public Message? Remove(string topic)
    {
        var path = new List<(Node Parent, string Level)>();
        var node = _root;
        foreach (var level in topic.Split('/'))
        {
            path.Add((node, level));
            if (!node.Children.TryGetValue(level, out node!))
            {
                return null;
            }
        }
        var removed = node.Message;
        node.Message = null;
        if (removed is not null)
        {
            Count--;
            Bytes -= removed.Size;
        }
        for (var i = path.Count - 1; i >= 0 && path[i].Parent.Children[path[i].Level] is { Message: null, Children.Count: 0 }; i--)
        {
            path[i].Parent.Children.Remove(path[i].Level);
        }
        return removed;
    }

    /// <summary>All messages whose topic the filter matches. [MQTT-3.3.1-9] [MQTT-4.7.2-1]</summary>
    public List<Message> Matching(string filter)
    {
        var found = new List<Message>();
        var levels = filter.Split('/');
        var current = new List<Node> { _root };
        for (var i = 0; i < levels.Length && current.Count > 0; i++)
        {
            if (levels[i] == "#")
            {
                foreach (var node in current)
                {
                    CollectBelow(node, hideDollar: i == 0, found);
                }
                return found;
            }
            var next = new List<Node>();
            foreach (var node in current)
            {
                if (levels[i] == "+")
                {
                    next.AddRange(i == 0 ? node.Children.Where(c => !c.Key.StartsWith('$')).Select(c => c.Value) : node.Children.Values);
                }
                else if (node.Children.TryGetValue(levels[i], out var exact))
                {
                    next.Add(exact);
                }
            }
            current = next;
        }
        found.AddRange(current.Select(n => n.Message).OfType<Message>());
        return found;
    }

    /// <summary>Empties the tree and returns all that it held.</summary>
    public List<Message> Clear()
    {
        var all = new List<Message>();
        CollectBelow(_root, hideDollar: false, all);
        _root.Children.Clear();
        (Count, Bytes) = (0, 0);
        return all;
    }

    private static void CollectBelow(Node top, bool hideDollar, List<Message> found)
    {
        var open = new Stack<Node>();
        if (top.Message is not null)
        {
            found.Add(top.Message);
        }
        foreach (var (level, child) in top.Children)
        {
            if (!hideDollar || !level.StartsWith('$'))
            {
                open.Push(child);
            }
        }
        while (open.TryPop(out var node))
        {
            if (node.Message is not null)
            {
                found.Add(node.Message);
            }
            foreach (var child in node.Children.Values)
            {
                open.Push(child);
            }
        }
    }

    private sealed class Node
    {
        private Dictionary<string, Node>? _children;
        public Dictionary<string, Node> Children => _children ??= new Dictionary<string, Node>(StringComparer.Ordinal);
        public Message? Message { get; set; }
    }
}
