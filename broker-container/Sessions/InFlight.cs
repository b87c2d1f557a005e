namespace IotHub.Broker.Sessions;

/// <summary>What is owed for one packet id towards a client.</summary>
public enum Owed : byte
{
    Nothing = 0,

    /// <summary>QoS 1 PUBLISH sent, PUBACK awaited.</summary>
    PubAck,

    /// <summary>QoS 2 PUBLISH sent, PUBREC awaited.</summary>
    PubRec,

    /// <summary>PUBREL sent, PUBCOMP awaited; the message itself is no longer needed.</summary>
    PubComp,
}

/// <summary>One exchange towards a client.</summary>
public struct InFlightEntry
{
    public ushort PacketId { get; set; }
    public Owed Owed { get; set; }
    public bool Retain { get; set; }

    /// <summary>Sending order, for the resend after a reconnect; of a stored session the sequence number in its queue. [MQTT-4.6.0-1]</summary>
    public long Order { get; set; }

    /// <summary>Null once PUBREL is sent, and for stored sessions, whose messages lie in the log.</summary>
    public Message? Message { get; set; }

    public int[]? SubscriptionIds { get; set; }
    public SharedGroup? Group { get; set; }

    /// <summary>Sent on the present connection, so that its end frees a place in the window.</summary>
    public bool IsSent { get; set; }
}

/// <summary>
/// Open exchanges of one session towards its client: an array indexed by the low bits of the packet id. Ids are handed out in order, so
/// look-up and release are one step; the array grows with the window and is not made before the first use.
/// </summary>
public sealed class InFlight
{
    private InFlightEntry[] _entries = [];
    private ushort _lastId;
    private long _order;

    public int Count { get; private set; }

    /// <summary>A free entry with a new packet id, to be filled by the caller. [MQTT-2.2.1-4]</summary>
    public ref InFlightEntry Add()
    {
        if (Count * 2 >= _entries.Length)
        {
            Grow();
        }
        while (true)
        {
            var id = ++_lastId;
            ref var entry = ref _entries[id & (_entries.Length - 1)];
            if (id != 0 && entry.Owed == Owed.Nothing)
            {
                Count++;
                entry.PacketId = id;
                entry.Order = ++_order;
                return ref entry;
            }
        }
    }

    /// <summary>Puts back an exchange that was open when the broker ended.</summary>
    public void Restore(ushort packetId, long order, Owed owed)
    {
        while (Count * 2 >= _entries.Length || _entries[packetId & (_entries.Length - 1)].Owed != Owed.Nothing)
        {
            Grow();
        }
        _entries[packetId & (_entries.Length - 1)] = new InFlightEntry { PacketId = packetId, Order = order, Owed = owed };
        Count++;
        // They come in the order of sending: the next id is the one behind the last.
        _lastId = packetId;
    }

    /// <summary>Packet id of the open exchange that was begun at this place; 0 when there is none.</summary>
    public ushort IdOf(long order)
    {
        foreach (ref var entry in _entries.AsSpan())
        {
            if (entry.Owed != Owed.Nothing && entry.Order == order)
            {
                return entry.PacketId;
            }
        }
        return 0;
    }

    /// <summary>Exchanges for which PUBCOMP is owed.</summary>
    public List<(long Order, ushort PacketId)> Released()
    {
        var released = new List<(long, ushort)>();
        foreach (ref var entry in _entries.AsSpan())
        {
            if (entry.Owed == Owed.PubComp)
            {
                released.Add((entry.Order, entry.PacketId));
            }
        }
        return released;
    }

    /// <summary>The open exchange with this id, or a null reference (see <see cref="System.Runtime.CompilerServices.Unsafe.IsNullRef"/>).</summary>
    public ref InFlightEntry Find(ushort packetId)
    {
        if (_entries.Length > 0)
        {
            ref var entry = ref _entries[packetId & (_entries.Length - 1)];
            if (entry.Owed != Owed.Nothing && entry.PacketId == packetId)
            {
                return ref entry;
            }
        }
        return ref System.Runtime.CompilerServices.Unsafe.NullRef<InFlightEntry>();
    }

    /// <summary>Is PUBREL what is to be sent for this id?</summary>
    public bool IsReleased(ushort packetId)
    {
        ref var entry = ref Find(packetId);
        return !System.Runtime.CompilerServices.Unsafe.IsNullRef(ref entry) && entry.Owed == Owed.PubComp;
    }

    /// <summary>Ends the exchange; the caller has released its message.</summary>
    public void Remove(ref InFlightEntry entry)
    {
        entry = default;
        Count--;
    }

    /// <summary>Packet ids of the open exchanges in the order they were begun.</summary>
    public List<ushort> IdsInOrder()
    {
        var open = new List<(long Order, ushort Id)>(Count);
        foreach (ref var entry in _entries.AsSpan())
        {
            if (entry.Owed != Owed.Nothing)
            {
                open.Add((entry.Order, entry.PacketId));
            }
        }
        open.Sort();
        return open.ConvertAll(o => o.Id);
    }

    private void Grow()
    {
        // Ids that met in a small table can still meet in a larger one only if they met before: they are all distinct modulo the old size.
        var larger = new InFlightEntry[Math.Max(8, _entries.Length * 2)];
        foreach (ref var entry in _entries.AsSpan())
        {
            if (entry.Owed != Owed.Nothing)
            {
                larger[entry.PacketId & (larger.Length - 1)] = entry;
            }
        }
        _entries = larger;
    }
}
