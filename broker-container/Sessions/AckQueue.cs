using IotHub.Broker.Protocol;

namespace IotHub.Broker.Sessions;

/// <summary>
/// PUBACKs and PUBRECs of one connection in the order of their PUBLISH packets, where one has to wait for storage: those behind it wait
/// with it. [MQTT-4.6.0-2] [MQTT-4.6.0-3] Empty, and free of cost, while nothing waits.
/// </summary>
public sealed class AckQueue
{
    private readonly Queue<Entry> _waiting = new(0);
    private long _firstTicket;

    public bool IsEmpty => _waiting.Count == 0;

    /// <summary>PUBACKs among them, which count against the client's Receive Maximum.</summary>
    public int PubAcks { get; private set; }

    /// <summary>Puts an acknowledgement at the end.</summary>
    /// <returns>The ticket to release it with.</returns>
    public long Add(PacketType type, ushort packetId, ReasonCode reason, bool isReady)
    {
        _waiting.Enqueue(new Entry(type, packetId, reason, isReady));
        PubAcks += type == PacketType.PubAck ? 1 : 0;
        return _firstTicket + _waiting.Count - 1;
    }

    /// <summary>What is waited for has happened; those that stand first and are ready go out through <paramref name="send"/>.</summary>
    public void Release(long ticket, Action<PacketType, ushort, ReasonCode> send)
    {
        _waiting.ElementAt((int)(ticket - _firstTicket)).IsReady = true;
        while (_waiting.TryPeek(out var first) && first.IsReady)
        {
            _waiting.Dequeue();
            _firstTicket++;
            PubAcks -= first.Type == PacketType.PubAck ? 1 : 0;
            send(first.Type, first.PacketId, first.Reason);
        }
    }

    private sealed class Entry(PacketType type, ushort packetId, ReasonCode reason, bool isReady)
    {
        public PacketType Type { get; } = type;
        public ushort PacketId { get; } = packetId;
        public ReasonCode Reason { get; } = reason;
        public bool IsReady { get; set; } = isReady;
    }
}
