using System.Buffers.Binary;
using IotHub.Broker.Protocol.Packets;

namespace IotHub.Broker.Sessions;

/// <summary>
/// The message being published, encoded once per wire layout (3.1.1 or 5.0, with or without packet id) and copied to each receiver;
/// only flags and packet id are patched in. One per lane.
/// </summary>
public sealed class FrameCache
{
    private const int KeptBytes = 64 * 1024;
    private readonly Layout[] _layouts = [new(), new(), new(), new()];

    public void Reset()
    {
        foreach (var layout in _layouts)
        {
            layout.Length = 0;
            if (layout.Bytes.Length > KeptBytes)
            {
                layout.Bytes = [];
            }
        }
    }

    /// <summary>Copies the message to a receiver's outbox; false when it is larger than the receiver takes.</summary>
    public bool CopyTo(Connection receiver, in PublishedMessage message, byte flags, ushort packetId)
    {
        var isV5 = receiver.IsV5;
        if (packetId == 0 && !message.ReadyFrame.IsEmpty && message.ReadyFrameIsV5 == isV5)
        {
            if ((uint)message.ReadyFrame.Length > receiver.MaximumPacketSize)
            {
                return false;
            }
            var copy = receiver.Outbox.Take(message.ReadyFrame.Length);
            message.ReadyFrame.CopyTo(copy);
            copy[0] = (byte)(0x30 | flags);
            return true;
        }
        var layout = _layouts[(isV5 ? 1 : 0) | (packetId != 0 ? 2 : 0)];
        if (layout.Length == 0)
        {
            layout.Encode(message, isV5, packetId);
        }
        if ((uint)layout.Length > receiver.MaximumPacketSize)
        {
            return false;
        }
        var target = receiver.Outbox.Take(layout.Length);
        layout.Bytes.AsSpan(0, layout.Length).CopyTo(target);
        target[0] = (byte)(0x30 | flags);
        if (packetId != 0)
        {
            BinaryPrimitives.WriteUInt16BigEndian(target[layout.PacketIdOffset..], packetId);
        }
        return true;
    }

    private sealed class Layout
    {
        public byte[] Bytes = [];
        public int Length;
        public int PacketIdOffset;

        public void Encode(in PublishedMessage message, bool isV5, ushort packetId)
        {
            var head = new PublishHead(0, packetId, message.ExpirySeconds, null);
            var topic = message.Topic.Utf8;
            var size = PublishWriter.Size(head, topic.Length, message.Properties.Length, message.Payload.Length, isV5);
            if (Bytes.Length < size.Total)
            {
                Bytes = new byte[size.Total + (size.Total / 2)];
            }
            PublishWriter.Write(Bytes.AsSpan(0, size.Total), size, head, topic, message.Properties, message.Payload, isV5);
            Length = size.Total;
            PacketIdOffset = size.PacketIdOffset(topic.Length);
        }
    }
}
