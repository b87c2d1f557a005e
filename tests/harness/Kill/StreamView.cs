using IotHub.Harness.Mqtt;

namespace IotHub.Harness.Kill;

/// <summary>
/// A stream as one session (or the members of one group together) gets it: each message, in order, and twice only where that is
/// permitted. At QoS 2 never. At QoS 1 as often as its publisher has sent it, and each of these copies again when the connection that took
/// it has ended, with DUP and its packet id (a group may give it to another member), as long as the acknowledgement was not on disk.
/// </summary>
internal sealed class StreamView(Ledger ledger, NumberedStream stream, string name, bool isShared)
{
    private readonly List<Copy> _first = [];
    private readonly Dictionary<int, List<Copy>> _others = [];
    private int _highest = -1;

    private record struct Copy(KillSubscriber? Taker, int Session, ushort PacketId, int AckNumber)
    {
        public readonly bool IsAcknowledged => Taker!.IsProven(Session, AckNumber);
    }

    public int Arrived { get; private set; }
    public int PermittedRepeats { get; private set; }

    public bool IsComplete => Arrived == stream.Published;

    public void Took(KillSubscriber by, in TakenMessage message, int number, bool isDeaf)
    {
        var copy = new Copy(by, message.Session, message.PacketId, isDeaf ? int.MaxValue : message.AckNumber);
        lock (ledger.Gate)
        {
            while (_first.Count <= number)
            {
                _first.Add(default);
            }
            if (_first[number].Taker is null)
            {
                _first[number] = copy;
                Arrived++;
                CheckOrder(by, number);
                return;
            }
            if (message.Qos == 2)
            {
                Blame(KillFault.Doubled, by, message, number);
            }
            else if (!IsRedelivery(copy, message.Dup, number) && !IsOfPublisher(copy, number))
            {
                var isProven = !isShared && _first[number].IsAcknowledged;
                Blame(isProven ? KillFault.Unforgotten : KillFault.Repeated, by, message, number);
            }
            else
            {
                PermittedRepeats++;
            }
        }
    }

    /// <summary>At the end: all that is missing.</summary>
    public void BlameMissing()
    {
        lock (ledger.Gate)
        {
            for (var number = 0; number < stream.Published; number++)
            {
                if (number >= _first.Count || _first[number].Taker is null)
                {
                    var acknowledged = stream.IsAcknowledged(number) ? "acknowledged" : "not acknowledged";
                    ledger.Add(KillFault.Lost, $"{name} never got {stream.Topic} #{number} (QoS {stream.Qos}, {acknowledged})");
                }
            }
        }
    }

    private void CheckOrder(KillSubscriber by, int number)
    {
        if (isShared)
        {
            return;
        }
        if (number < _highest)
        {
            ledger.Add(KillFault.Reordered, $"{by.Name} got {stream.Topic} #{number} (QoS {stream.Qos}) after #{_highest}");
        }
        else if (number > _highest + 1)
        {
            // Told at once; whether it comes late or never is known later.
            ledger.Add(KillFault.Reordered, $"{by.Name} got {stream.Topic} #{number} (QoS {stream.Qos}) right after #{_highest}");
        }
        _highest = Math.Max(_highest, number);
    }

    private bool IsRedelivery(in Copy copy, bool dup, int number)
    {
        if (TryReplace(_first[number], copy, dup))
        {
            _first[number] = copy;
            return true;
        }
        var others = _others.GetValueOrDefault(number);
        for (var i = 0; i < (others?.Count ?? 0); i++)
        {
            if (TryReplace(others![i], copy, dup))
            {
                others[i] = copy;
                return true;
            }
        }
        return false;
    }

    private bool TryReplace(in Copy earlier, in Copy copy, bool dup)
    {
        var isSame = earlier.Taker == copy.Taker && dup && earlier.PacketId == copy.PacketId;
        return (isSame || isShared) && earlier.Taker!.HasEnded(earlier.Session) && !earlier.IsAcknowledged;
    }

    private bool IsOfPublisher(in Copy copy, int number)
    {
        if (stream.Qos != 1)
        {
            return false;
        }
        var others = _others.GetValueOrDefault(number);
        if (1 + (others?.Count ?? 0) >= stream.Sends(number))
        {
            return false;
        }
        if (others is null)
        {
            _others.Add(number, others = []);
        }
        others.Add(copy);
        return true;
    }

    private void Blame(KillFault fault, KillSubscriber by, in TakenMessage message, int number)
    {
        var first = _first[number];
        ledger.Add(
            fault,
            $"{by.Name} got {stream.Topic} #{number} (QoS {stream.Qos} to {message.Qos}, sent {stream.Sends(number)} times) again: id {first.PacketId} on "
            + $"connection {first.Session} of {first.Taker!.Name}, then id {message.PacketId}{(message.Dup ? " DUP" : "")} on {message.Session}");
    }
}
