using System.Buffers.Binary;
using System.Runtime.InteropServices;
using IotHub.Harness.Mqtt;

namespace IotHub.Benchmarks.Load;

/// <content>What comes in: cut into packets, answered and checked.</content>
internal sealed partial class LoadConnection
{
    private void Take(ReadOnlySpan<byte> data, long now)
    {
        if (_rest.Length == 0)
        {
            _rest.Append(data[HandleAll(data, now)..]);
            return;
        }
        _rest.Append(data);
        _rest.Consume(HandleAll(_rest.Span, now));
    }

    private int HandleAll(ReadOnlySpan<byte> data, long now)
    {
        var at = 0;
        while (data.Length - at >= 2 && !IsDead)
        {
            int length = 0, digits = 0;
            byte digit;
            do
            {
                if (at + 1 + digits >= data.Length)
                {
                    return at;
                }
                digit = data[at + 1 + digits];
                length |= (digit & 127) << (7 * digits++);
            }
            while (digit > 127 && digits < 4);
            var end = at + 1 + digits + length;
            if (end > data.Length)
            {
                return at;
            }
            Handle(data[at], data[(at + 1 + digits)..end], now);
            at = end;
        }
        return at;
    }

    private void Handle(byte first, ReadOnlySpan<byte> body, long now)
    {
        switch (first >> 4)
        {
            case 3:
                Received(first, body, now);
                break;
            case 4 or 5 when body.Length > 2 && body[2] >= 0x80:
                Die($"a publish was refused with reason 0x{body[2]:X2}");
                break;
            case 4 or 7 when _open is not null && _open.End(BinaryPrimitives.ReadUInt16BigEndian(body), out var begunAt):
                loop.Acked++;
                if (_run.IsMeasuring)
                {
                    loop.AckLatencies.Add(now - begunAt);
                }
                break;
            case 5:
                Acknowledge(0x62, body);
                break;
            case 6:
                Acknowledge(0x70, body);
                break;
            case 2:
                Connected(body);
                break;
            case 9:
                Subscribed(body[^1]);
                break;
            case 14:
                Die($"the broker said DISCONNECT with reason 0x{(body.Length > 0 ? body[0] : 0):X2}");
                break;
        }
    }

    private void Received(byte first, ReadOnlySpan<byte> body, long now)
    {
        var at = 2 + BinaryPrimitives.ReadUInt16BigEndian(body);
        var qos = (first >> 1) & 3;
        if (qos > 0)
        {
            Acknowledge((byte)(qos == 1 ? 0x40 : 0x50), body[at..]);
            at += 2;
        }
        if (_run.Options.IsV5)
        {
            // The generator asks for nothing that would bring more than 127 bytes of properties.
            at += 1 + body[at];
        }
        var stamp = body[at..];
        if (stamp.Length < StampSize || MemoryMarshal.Read<uint>(stamp) != _run.Nonce)
        {
            return;
        }
        loop.Received++;
        Check(MemoryMarshal.Read<int>(stamp[4..]), MemoryMarshal.Read<long>(stamp[8..]));
        if (_run.IsMeasuring)
        {
            loop.Latencies.Add(now - MemoryMarshal.Read<long>(stamp[16..]));
        }
    }

    /// <summary>Each publisher's numbers rise by one. What is skipped counts as missing until it comes after all, out of order.</summary>
    private void Check(int publisher, long sequence)
    {
        ref var next = ref _next[publisher];
        if (sequence >= next)
        {
            _missing[publisher] += (int)(sequence - next);
            next = sequence + 1;
        }
        else if (_missing[publisher] > 0)
        {
            _missing[publisher]--;
            loop.Reordered++;
        }
        else
        {
            loop.Doubled++;
        }
    }

    private void Acknowledge(byte first, ReadOnlySpan<byte> id)
    {
        var packet = (_plain ?? _outgoing).Take(4);
        (packet[0], packet[1], packet[2], packet[3]) = (first, 2, id[0], id[1]);
    }

    private void Connected(ReadOnlySpan<byte> body)
    {
        if (body[1] != 0)
        {
            Die($"CONNACK with code 0x{body[1]:X2}");
            return;
        }
        loop.SessionsFound += body[0] & 1;
        if (_open is not null && _run.Options.IsV5 && body.Length > 3)
        {
            var properties = ReceivedProperties.Read(body[(body[2] > 127 ? 4 : 3)..].ToArray());
            _open.Limit(properties.Has(0x21) ? (int)properties.Number(0x21) : _run.Options.Window);
        }
        SubscribeOrReady();
    }

    private void Subscribed(byte reason)
    {
        if (reason > 2)
        {
            Die($"SUBACK with code 0x{reason:X2}");
            return;
        }
        SubscribeOrReady();
    }

    private void SubscribeOrReady()
    {
        var filters = new List<(string, byte)>();
        while (filters.Count < FiltersPerPacket && Filter(_filtersSent) is { } filter)
        {
            filters.Add((filter, (byte)_run.Options.Qos));
            _filtersSent++;
        }
        if (filters.Count == 0)
        {
            IsReady = true;
            loop.OneIsReady();
            return;
        }
        Write(Packet.Subscribe(1, _run.Options.IsV5, 0, [.. filters]));
    }

    private void PrepareFrame()
    {
        var options = _run.Options;
        var payload = new string('m', options.Size);
        _frame = Packet.Publish(Topic, payload, (byte)options.Qos, 1, isV5: options.IsV5);
        _stampAt = _frame.Length - options.Size;
        _idAt = _stampAt - (options.IsV5 ? 1 : 0) - 2;
        MemoryMarshal.Write(_frame.AsSpan(_stampAt), _run.Nonce);
        MemoryMarshal.Write(_frame.AsSpan(_stampAt + 4), number);
        if (options.Qos > 0)
        {
            _open = new OpenPublishes(options.Window);
        }
    }
}
