using System.Buffers.Binary;

namespace IotHub.Harness.Mqtt;

/// <content>What comes in: cut into packets, handed over and acknowledged.</content>
public sealed partial class LastingClient
{
    private async Task Read(Line line, int session)
    {
        var buffer = new byte[16 * 1024];
        var length = 0;
        int read;
        while ((read = await ReadSome(line.Stream, buffer.AsMemory(length))) > 0)
        {
            length += read;
            var at = 0;
            while (TryFrame(buffer.AsMemory(at, length - at), out var first, out var body, out var size))
            {
                await Handle(first, body, session);
                at += size;
            }
            buffer.AsSpan(at, length - at).CopyTo(buffer);
            length -= at;
            if (length == buffer.Length)
            {
                Array.Resize(ref buffer, buffer.Length * 2);
            }
        }
        if (ReferenceEquals(Interlocked.CompareExchange(ref _line, null, line), line))
        {
            Refusal ??= $"{id}: the broker ended the connection";
            line.Socket.Dispose();
            if (!_isLeaving)
            {
                OnLost();
            }
        }
        try
        {
            // A WebSocket would say goodbye first; its socket is gone.
            await line.Stream.DisposeAsync();
        }
        catch (Exception e) when (IsCut(e))
        {
            // There is nobody to say it to.
        }
    }

    /// <summary>0 at the end of the connection, whether we cut it or the broker.</summary>
    private static async ValueTask<int> ReadSome(Stream stream, Memory<byte> buffer)
    {
        try
        {
            return await stream.ReadAsync(buffer);
        }
        catch (Exception e) when (IsCut(e))
        {
            return 0;
        }
    }

    private async Task Handle(byte first, ReadOnlyMemory<byte> body, int session)
    {
        switch (first >> 4)
        {
            case >= 4 and <= 7 when IsDeaf:
                break;
            case 2 or 9 or 11:
                _answer.TrySetResult(body.ToArray());
                break;
            case 3:
                await Received(first, body, session);
                break;
            case 4 or 7:
                Close(BinaryPrimitives.ReadUInt16BigEndian(body.Span), (byte)(first >> 4 == 4 ? 1 : 2), CodeOf(body.Span));
                break;
            case 5:
                await PubRec(BinaryPrimitives.ReadUInt16BigEndian(body.Span), CodeOf(body.Span));
                break;
            case 6:
                _takenQos2.Remove(BinaryPrimitives.ReadUInt16BigEndian(body.Span));
                await Send(Packet.Ack(7, BinaryPrimitives.ReadUInt16BigEndian(body.Span)));
                break;
            case 13:
                int acksBefore;
                lock (_pings)
                {
                    // One that was on its way while the connection was made anew is not counted.
                    acksBefore = _pings.TryDequeue(out var acks) ? acks : 0;
                }
                OnPong(session, acksBefore);
                break;
            case 14:
                Farewell ??= $"{Id}: DISCONNECT with reason 0x{(body.Length > 0 ? body.Span[0] : 0):X2}";
                Refusal ??= Farewell;
                break;
        }
    }

    private async Task Received(byte first, ReadOnlyMemory<byte> body, int session)
    {
        var qos = (first >> 1) & 3;
        var topicEnd = 2 + BinaryPrimitives.ReadUInt16BigEndian(body.Span);
        var topic = System.Text.Encoding.UTF8.GetString(body.Span[2..topicEnd]);
        var at = topicEnd + (qos > 0 ? 2 : 0);
        var properties = isV5 ? body.Slice(at + 1, body.Span[at]) : default;
        at += isV5 ? 1 + properties.Length : 0;
        var packetId = qos > 0 ? BinaryPrimitives.ReadUInt16BigEndian(body.Span[topicEnd..]) : (ushort)0;
        if (qos < 2 || _takenQos2.Add(packetId))
        {
            await OnMessage(new TakenMessage(
                body[at..], topic, qos, (first & 8) != 0, (first & 1) != 0, packetId, session, Volatile.Read(ref _acksSent))
            {
                Properties = properties,
            });
        }
        if (qos > 0 && !IsDeaf)
        {
            await Send(Packet.Ack(qos == 1 ? 4 : 5, packetId));
            Interlocked.Increment(ref _acksSent);
        }
    }

    private static byte CodeOf(ReadOnlySpan<byte> body) => body.Length > 2 ? body[2] : (byte)0;

    private async Task PubRec(ushort packetId, byte code)
    {
        if (code >= 0x80)
        {
            Close(packetId, 2, code);
            return;
        }
        Open? received = null;
        lock (_open)
        {
            if (_orders.TryGetValue(packetId, out var order) && _open[order] is { Qos: 2, IsReceived: false } open)
            {
                open.IsReceived = true;
                received = open;
            }
        }
        if (received is not null)
        {
            OnAcknowledged(received.Tag);
        }
        await Send(Packet.Ack(6, packetId));
    }

    /// <summary>PUBACK, PUBCOMP, or a PUBREC that says no.</summary>
    private void Close(ushort packetId, byte qos, byte code)
    {
        Open? closed = null;
        lock (_open)
        {
            if (_orders.TryGetValue(packetId, out var order) && _open[order].Qos == qos)
            {
                closed = _open[order];
                _orders.Remove(packetId);
                _open.Remove(order);
            }
        }
        // PUBCOMP with 0x92: released before a crash, and the first PUBCOMP was lost. (MQTT 5.0 section 3.7.2.1)
        if (code >= 0x80 && !(code == 0x92 && closed?.IsReceived == true))
        {
            Refused ??= $"{id}: a publish was answered with 0x{code:X2}";
        }
        else if (closed is not null && !closed.IsReceived)
        {
            OnAcknowledged(closed.Tag);
        }
    }

    private static bool TryFrame(ReadOnlyMemory<byte> data, out byte first, out ReadOnlyMemory<byte> body, out int size)
    {
        (first, body, size) = (0, default, 0);
        var bytes = data.Span;
        int length = 0, digits = 0;
        do
        {
            if (bytes.Length < 2 + digits)
            {
                return false;
            }
            length |= (bytes[1 + digits] & 127) << (7 * digits);
        }
        while (bytes[1 + digits++] > 127 && digits < 4);
        size = 1 + digits + length;
        if (bytes.Length < size)
        {
            return false;
        }
        (first, body) = (bytes[0], data.Slice(1 + digits, length));
        return true;
    }
}
