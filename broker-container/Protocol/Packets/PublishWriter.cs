using System.Buffers.Binary;

namespace IotHub.Broker.Protocol.Packets;

/// <summary>What stands in front of a PUBLISH for one receiver.</summary>
/// <param name="Flags">Low bits of the first byte: DUP 8, QoS 2 and 4, RETAIN 1.</param>
/// <param name="PacketId">0 for QoS 0.</param>
/// <param name="ExpirySeconds">What is left of the Message Expiry Interval, or null.</param>
/// <param name="SubscriptionIds">Identifiers of the receiver's matching subscriptions, or null.</param>
/// <param name="TopicAlias">0 for none.</param>
public readonly record struct PublishHead(
    byte Flags, ushort PacketId, uint? ExpirySeconds, int[]? SubscriptionIds, ushort TopicAlias = 0);

/// <summary>Lengths that <see cref="PublishWriter"/> computes once and uses twice.</summary>
public readonly record struct PublishSize(int Total, int Remaining, int Properties)
{
    /// <summary>Where the two bytes of the packet id stand, for a packet that has one.</summary>
    public int PacketIdOffset(int topicLength) => Total - Remaining + 2 + topicLength;
}

/// <summary>Writes a PUBLISH to a receiver from the message's parts.</summary>
public static class PublishWriter
{
    public static PublishSize Size(in PublishHead head, int topic, int properties, int payload, bool isV5)
    {
        var remaining = 2 + topic + (head.PacketId == 0 ? 0 : 2) + payload;
        var propertyLength = 0;
        if (isV5)
        {
            propertyLength = properties + (head.ExpirySeconds is null ? 0 : 5) + (head.TopicAlias == 0 ? 0 : 3);
            if (head.SubscriptionIds is { } ids)
            {
                foreach (var id in ids)
                {
                    propertyLength += 1 + VariableByteInteger.Size(id);
                }
            }
            remaining += VariableByteInteger.Size(propertyLength) + propertyLength;
        }
        return new PublishSize(1 + VariableByteInteger.Size(remaining) + remaining, remaining, propertyLength);
    }

    // 0x30 + flags | remaining length | topic | [packet id] | [property length, forwarded properties, expiry, alias, subscription ids] | payload
    /// <summary>Fills <paramref name="target"/>, which has exactly the size that <see cref="Size"/> gave.</summary>
    public static void Write(
        Span<byte> target, in PublishSize size, in PublishHead head,
        ReadOnlySpan<byte> topic, ReadOnlySpan<byte> properties, ReadOnlySpan<byte> payload, bool isV5)
    {
        target[0] = (byte)(0x30 | head.Flags);
        var at = 1 + VariableByteInteger.Write(target[1..], size.Remaining);
        BinaryPrimitives.WriteUInt16BigEndian(target[at..], (ushort)topic.Length);
        topic.CopyTo(target[(at + 2)..]);
        at += 2 + topic.Length;
        if (head.PacketId != 0)
        {
            BinaryPrimitives.WriteUInt16BigEndian(target[at..], head.PacketId);
            at += 2;
        }
        if (isV5)
        {
            at += VariableByteInteger.Write(target[at..], size.Properties);
            properties.CopyTo(target[at..]);
            at += properties.Length;
            at += WriteOwnProperties(target[at..], head);
        }
        payload.CopyTo(target[at..]);
    }

    private static int WriteOwnProperties(Span<byte> target, in PublishHead head)
    {
        var at = 0;
        if (head.ExpirySeconds is { } expiry)
        {
            target[0] = (byte)PropertyId.MessageExpiryInterval;
            BinaryPrimitives.WriteUInt32BigEndian(target[1..], expiry);
            at = 5;
        }
        if (head.TopicAlias != 0)
        {
            target[at] = (byte)PropertyId.TopicAlias;
            BinaryPrimitives.WriteUInt16BigEndian(target[(at + 1)..], head.TopicAlias);
            at += 3;
        }
        if (head.SubscriptionIds is { } ids)
        {
            foreach (var id in ids)
            {
                target[at++] = (byte)PropertyId.SubscriptionIdentifier;
                at += VariableByteInteger.Write(target[at..], id);
            }
        }
        return at;
    }
}
