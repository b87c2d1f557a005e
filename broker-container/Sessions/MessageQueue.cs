namespace IotHub.Broker.Sessions;

/// <summary>A message that waits for one session.</summary>
public readonly record struct QueuedMessage(Message Message, byte Qos, bool Retain, int[]? SubscriptionIds, SharedGroup? Group);

/// <summary>First in, first out; a ring that grows and lets go of its memory when it has run empty. 32 bytes a message.</summary>
public sealed class MessageQueue
{
    private const int KeptCapacity = 64;
    private QueuedMessage[] _ring = [];
    private int _head;

    public int Count { get; private set; }

    /// <summary>Sum of the sizes of the messages in it.</summary>
    public long Bytes { get; private set; }

    public void Enqueue(in QueuedMessage message)
    {
        if (Count == _ring.Length)
        {
            Grow();
        }
        _ring[(_head + Count) & (_ring.Length - 1)] = message;
        Count++;
        Bytes += message.Message.Size;
    }

    public bool TryPeek(out QueuedMessage message)
    {
        message = Count > 0 ? _ring[_head] : default;
        return Count > 0;
    }

    public bool TryDequeue(out QueuedMessage message)
    {
        if (!TryPeek(out message))
        {
            return false;
        }
        _ring[_head] = default;
        _head = (_head + 1) & (_ring.Length - 1);
        Count--;
        Bytes -= message.Message.Size;
        if (Count == 0 && _ring.Length > KeptCapacity)
        {
            (_ring, _head) = ([], 0);
        }
        return true;
    }

    private void Grow()
    {
        var larger = new QueuedMessage[Math.Max(8, _ring.Length * 2)];
        for (var i = 0; i < Count; i++)
        {
            larger[i] = _ring[(_head + i) & (_ring.Length - 1)];
        }
        (_ring, _head) = (larger, 0);
    }
}
