using IotHub.Harness.Mqtt;

namespace IotHub.Harness.Simulation;

/// <content>What comes from the broker.</content>
public sealed partial class SimulatedClient
{
    /// <summary>Reads one packet.</summary>
    public void Read()
    {
        var (packet, at) = _wire.Dequeue();
        tell($"{Id} <- {PacketStory.Tell(packet, IsV5)}");
        var packetId = packet.Length >= 4 ? (ushort)((packet[2] << 8) | packet[3]) : (ushort)0;
        switch (packet[0] >> 4)
        {
            case 2:
                ReadConnAck(isPresent: (packet[2] & 1) != 0, packet[3]);
                break;
            case 3:
                ReadPublish(ReceivedPublish.Read(packet, IsV5), at);
                break;
            case 4 or 5:
                ReadAcknowledgement(packetId, packet.Length > 4 ? packet[4] : (byte)0);
                break;
            case 6:
                _incoming.Remove(packetId);
                _due.Add((7, packetId));
                break;
            case 7:
                End(packetId);
                break;
            case 9 or 11 when _asked.Remove(packetId, out var asked):
                ReadGranted(packetId, asked.Filter, asked.Qos, packet[0] >> 4 == 9 ? packet[^1] : (byte)0, packet[0] >> 4 == 9);
                break;
            default:
                SimulationModel.Check(packet[0] >> 4 == 14, $"{Id} got packet {packet[0]:x2}, and knows not why");
                break;
        }
    }

    private void ReadConnAck(bool isPresent, byte code)
    {
        if (code != 0)
        {
            SimulationModel.Check(!isPresent, "a refusal knows of a session");
            Forget();
            return;
        }
        SimulationModel.Check(isPresent == _expectsPresent, $"{Id} was told that its session is {(isPresent ? "there" : "new")}");
        (IsConnected, _session!.IsConfirmed) = (true, true);
        if (!isPresent || _session != _openOf)
        {
            _outgoing.Clear();
            _incoming.Clear();
        }
        _openOf = _session;
        foreach (var outgoing in _outgoing.Values.ToList())
        {
            if (!IsLetIn)
            {
                return;
            }
            if (outgoing.IsReleased)
            {
                Release(outgoing.Id);
            }
            else
            {
                Send(outgoing, isAgain: true);
            }
        }
    }

    private void ReadPublish(ReceivedPublish publish, long at)
    {
        publish = publish with { Topic = TopicOf(publish) };
        if (publish.Qos > 0)
        {
            SimulationModel.Check(_open.Add(publish.Id), $"{Id} got #{publish.Id} twice on one connection");
            SimulationModel.Check(_open.Count <= _receiveMaximum, $"{Id} got {_open.Count} messages at once, and takes {_receiveMaximum}");
            _due.Add((publish.Qos == 1 ? (byte)4 : (byte)5, publish.Id));
        }
        var number = publish.Payload.Length == 0 ? -1 : SimulationModel.NumberOf(publish.Payload);
        if (publish.Qos == 2)
        {
            if (_incoming.TryGetValue(publish.Id, out var known))
            {
                SimulationModel.Check(known == number && publish.Dup, $"{Id} got #{publish.Id} before it had released it");
                return;
            }
            _incoming.Add(publish.Id, number);
        }
        if (publish.Qos == 1)
        {
            // Once its PUBACK is on disk it is not this one again, but the message once more.
            var isAgain = publish.Dup && _session!.Seen.TryGetValue(publish.Id, out var seen) && seen.Number == number
                && seen.AckedAt > broker.Ended;
            _session!.Seen[publish.Id] = (number, long.MaxValue);
            if (isAgain)
            {
                return;
            }
        }
        if (number >= 0)
        {
            model.Delivered(_session!, publish, at);
        }
    }

    /// <summary>PUBACK or PUBREC.</summary>
    private void ReadAcknowledgement(ushort packetId, byte code)
    {
        var outgoing = _outgoing.Values.FirstOrDefault(o => o.Id == packetId);
        SimulationModel.Check(outgoing is not null, $"{Id} got an acknowledgement of #{packetId}, which it never sent");
        SimulationModel.Check(code >= 0x80 == outgoing!.IsRefused, $"{outgoing.Message} was answered with {code:x2}");
        if (code < 0x80)
        {
            model.Acknowledged(outgoing.Message);
        }
        if (code >= 0x80 || outgoing.Message.Qos == 1)
        {
            End(packetId);
        }
        else
        {
            outgoing.IsReleased = true;
            _due.Add((6, packetId));
        }
    }

    private void ReadGranted(ushort packetId, string filter, byte? qos, byte code, bool isSubAck)
    {
        SimulationModel.Check(!isSubAck || (qos is null ? code >= 0x80 : code == qos), $"{Id} was answered {code:x2} for {filter}");
        if (!isSubAck || qos is not null)
        {
            SimulationModel.Confirm(_session!, filter, packetId);
        }
    }

    private void Release(ushort packetId)
    {
        tell($"{Id} -> PUBREL #{packetId} again");
        _connection!.Send(Packet.Ack(6, packetId));
        Collect();
    }

    private void End(ushort packetId)
    {
        foreach (var (order, _) in _outgoing.Where(o => o.Value.Id == packetId).ToList())
        {
            _outgoing.Remove(order);
        }
    }
}
