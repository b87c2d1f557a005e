using System.Buffers.Binary;

namespace IotHub.Harness.Kill;

/// <summary>What one publisher says on its topic, numbered from 0; each payload can be checked by itself.</summary>
internal sealed class NumberedStream(Ledger ledger, int index, byte qos)
{
    private const int HeadSize = 12;
    private readonly List<Said> _said = [];

    private record struct Said(int Sends, long FirstSend, bool IsAcknowledged);

    public int Index => index;
    public byte Qos => qos;
    public string Topic => $"kill/p/{index}";
    public int Published => _said.Count;
    public int Acknowledged { get; private set; }

    /// <summary>How often its publisher has sent it. Under the gate.</summary>
    public int Sends(int number) => _said[number].Sends;

    public bool IsAcknowledged(int number) => _said[number].IsAcknowledged;

    public int Next()
    {
        lock (ledger.Gate)
        {
            _said.Add(default);
            return _said.Count - 1;
        }
    }

    public byte[] Payload(int number, int size)
    {
        var payload = new byte[Math.Max(size, HeadSize)];
        BinaryPrimitives.WriteInt32BigEndian(payload, index);
        BinaryPrimitives.WriteInt32BigEndian(payload.AsSpan(4), number);
        BinaryPrimitives.WriteInt32BigEndian(payload.AsSpan(8), payload.Length);
        payload.AsSpan(HeadSize).Fill(Filling(index, number));
        return payload;
    }

    /// <returns>Stream and number; null when it is not what was sent.</returns>
    public static (int Index, int Number)? Read(ReadOnlySpan<byte> payload)
    {
        if (payload.Length < HeadSize || BinaryPrimitives.ReadInt32BigEndian(payload[8..]) != payload.Length)
        {
            return null;
        }
        var (index, number) = (BinaryPrimitives.ReadInt32BigEndian(payload), BinaryPrimitives.ReadInt32BigEndian(payload[4..]));
        return payload[HeadSize..].ContainsAnyExcept(Filling(index, number)) ? null : (index, number);
    }

    public void Sending(int number)
    {
        lock (ledger.Gate)
        {
            var clock = ledger.Tick();
            var said = _said[number];
            _said[number] = said with { Sends = said.Sends + 1, FirstSend = said.Sends == 0 ? clock : said.FirstSend };
        }
    }

    /// <param name="incarnation">Of the broker that the acknowledgement came from.</param>
    public void WasAcknowledged(int number, int? incarnation)
    {
        lock (ledger.Gate)
        {
            _said[number] = _said[number] with { IsAcknowledged = true };
            Acknowledged++;
            // What was sent again may have been taken over from what a killed process had of it.
            if (_said[number].Sends == 1 && incarnation is { } process)
            {
                ledger.Proves(process, _said[number].FirstSend);
            }
        }
    }

    private static byte Filling(int index, int number) => (byte)((number * 31) + index);
}
