using IotHub.Broker.Protocol;
using IotHub.Broker.Protocol.Packets;
using IotHub.Broker.Sessions;
using IotHub.Broker.Topics;

namespace IotHub.Broker;

/// <content>What goes out to the client, within what it takes. All under the lane.</content>
public sealed partial class Connection
{
    private OutgoingAliases? _outgoingAliases;

    /// <summary>The client allows topic aliases: what it gets cannot be shared with other receivers.</summary>
    public bool HasAliases => _outgoingAliases is not null;

    /// <summary>Writes one acknowledgement; a failing one with a text if the client wants it and has room. [MQTT-3.1.2-29] [MQTT-3.4.2-2]</summary>
    public void Acknowledge(PacketType type, ushort packetId, ReasonCode reason)
    {
        if (IsV5 && reason >= ReasonCode.UnspecifiedError && Connect.RequestProblemInformation && ReasonText.Of(reason) is { } text)
        {
            Send(ServerPackets.FailingAcknowledgement(type, packetId, reason, text, MaximumPacketSize));
            return;
        }
        Span<byte> packet = stackalloc byte[Acknowledgement.MaximumSize];
        Send(packet[..Acknowledgement.Write(packet, type, packetId, reason, IsV5)]);
    }

    /// <summary>
    /// Writes a PUBLISH from its parts, with a topic alias where the client allows one; false when it is larger than the client takes.
    /// [MQTT-3.1.2-24] [MQTT-3.1.2-26] [MQTT-3.1.2-27]
    /// </summary>
    public bool WritePublish(PublishHead head, ReadOnlySpan<byte> topic, ReadOnlySpan<byte> properties, ReadOnlySpan<byte> payload)
    {
        if (_outgoingAliases is not { } aliases || topic.Length <= OutgoingAliases.ShortTopic)
        {
            return TryWrite(head, topic, properties, payload);
        }
        var hash = TopicBytes.Hash(topic, _broker.HashSeed);
        if (aliases.Find(topic, hash) is > 0 and var known)
        {
            return TryWrite(head with { TopicAlias = known }, [], properties, payload);
        }
        if (!aliases.HasRoom || !TryWrite(head with { TopicAlias = aliases.Next }, topic, properties, payload))
        {
            // Without the alias it may still fit.
            return TryWrite(head, topic, properties, payload);
        }
        aliases.Add(topic, hash);
        return true;
    }

    /// <summary>Does a PUBLISH of these parts stay within what the client takes? Without the help of a topic alias.</summary>
    public bool Takes(in MessageLengths lengths, byte qos, int subscriptionId)
    {
        if (MaximumPacketSize == uint.MaxValue)
        {
            return true;
        }
        var head = new PublishHead(
            (byte)(qos << 1), (ushort)(qos == 0 ? 0 : 1), lengths.Expires ? 1 : null, subscriptionId == 0 ? null : [subscriptionId]);
        return (uint)PublishWriter.Size(head, lengths.Topic, lengths.Properties, lengths.Payload, IsV5).Total <= MaximumPacketSize;
    }

    private bool TryWrite(in PublishHead head, ReadOnlySpan<byte> topic, ReadOnlySpan<byte> properties, ReadOnlySpan<byte> payload)
    {
        var size = PublishWriter.Size(head, topic.Length, properties.Length, payload.Length, IsV5);
        if ((uint)size.Total > MaximumPacketSize)
        {
            return false;
        }
        PublishWriter.Write(Outbox.Take(size.Total), size, head, topic, properties, payload, IsV5);
        return true;
    }

    /// <summary>
    /// Sends an answer that the client waits for. One that is larger than the client takes cannot be left out: then the connection ends.
    /// Only SUBACK and UNSUBACK grow with the request; the others fit wherever CONNACK did.
    /// </summary>
    private void Send(ReadOnlySpan<byte> packet)
    {
        if ((uint)packet.Length > MaximumPacketSize)
        {
            End(ReasonCode.PacketTooLarge, publishWill: true);
            return;
        }
        Outbox.Append(packet);
        Lane!.MarkDirty(this);
    }
}
