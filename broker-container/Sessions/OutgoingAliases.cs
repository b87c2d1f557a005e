namespace IotHub.Broker.Sessions;

/// <summary>
/// Topic aliases that the server has set towards one client, for the life of the connection. The first topics get one and keep it: a
/// client with more topics than aliases gets the others by name, which costs less than to name each topic anew in turn.
/// </summary>
public sealed class OutgoingAliases(int maximum)
{
    /// <summary>A topic of up to this many bytes is not longer than its alias.</summary>
    public const int ShortTopic = 3;

    private ulong[] _hashes = [];
    private byte[][] _topics = [];
    private int _count;

    public bool HasRoom => _count < maximum;

    /// <summary>The alias that the next <see cref="Add"/> gives.</summary>
    public ushort Next => (ushort)(_count + 1);

    /// <summary>The alias of a topic, or 0.</summary>
    public ushort Find(ReadOnlySpan<byte> topic, ulong hash)
    {
        for (var from = 0; from < _count;)
        {
            var found = _hashes.AsSpan(from, _count - from).IndexOf(hash);
            if (found < 0)
            {
                return 0;
            }
            from += found + 1;
            if (topic.SequenceEqual(_topics[from - 1]))
            {
                return (ushort)from;
            }
        }
        return 0;
    }

    /// <summary>The client has been told <see cref="Next"/> for this topic. Only while <see cref="HasRoom"/>.</summary>
    public void Add(ReadOnlySpan<byte> topic, ulong hash)
    {
        if (_count == _hashes.Length)
        {
            var larger = Math.Min(maximum, Math.Max(4, _count * 2));
            Array.Resize(ref _hashes, larger);
            Array.Resize(ref _topics, larger);
        }
        _hashes[_count] = hash;
        _topics[_count++] = topic.ToArray();
    }
}
