using System.Net;
using System.Net.Sockets;
using Xunit;

namespace IotHub.Harness.Mqtt;

/// <summary>
/// A client of bytes: sends what it is told, cuts what comes into packets by their fixed header, and fails with what it saw instead.
/// Never waits for a duration: that nothing came is shown by a PINGRESP that came first.
/// </summary>
public sealed class RawClient(Stream stream, IDisposable owner) : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);
    private readonly List<byte> _received = [];

    public bool IsV5 { get; set; } = true;

    /// <summary>The CONNACK of <see cref="TestBroker.Connect(ConnectOptions)"/>.</summary>
    public byte[] ConnAck { get; set; } = [];

    public static async Task<RawClient> Open(int port, Via via = Via.Tcp)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(new IPEndPoint(IPAddress.Loopback, port));
        return new RawClient(await Transports.Speak(new NetworkStream(socket, ownsSocket: true), via), socket);
    }

    public Task Send(string hex) => Send(Hex.Read(hex));

    public async Task Send(params byte[][] packets) => await stream.WriteAsync(packets.SelectMany(p => p).ToArray());

    /// <summary>The next packet, whole.</summary>
    public async Task<byte[]> Next() =>
        await TryNext() ?? throw new InvalidOperationException($"closed while a packet was awaited; unread: {Hex.Write(_received.ToArray())}");

    /// <summary>The next packet, or null when the server has closed.</summary>
    public async Task<byte[]?> TryNext()
    {
        using var patience = new CancellationTokenSource(Patience);
        var buffer = new byte[64 * 1024];
        while (true)
        {
            if (TakePacket() is { } packet)
            {
                return packet;
            }
            try
            {
                var read = await stream.ReadAsync(buffer, patience.Token);
                if (read == 0)
                {
                    return null;
                }
                _received.AddRange(buffer.AsSpan(0, read));
            }
            catch (IOException)
            {
                return null;
            }
            catch (OperationCanceledException)
            {
                throw new TimeoutException($"no packet within {Patience.TotalSeconds} s; unread: {Hex.Write(_received.ToArray())}");
            }
        }
    }

    /// <summary>The next packet fits the pattern, in which <c>..</c> is any byte.</summary>
    public async Task<byte[]> Expect(string pattern)
    {
        var packet = await Next();
        Assert.True(Hex.Fits(pattern, packet), $"expected {pattern}, got {Hex.Write(packet)}");
        return packet;
    }

    /// <summary>The next packet is this one.</summary>
    public async Task Expect(byte[] packet) => Assert.Equal(Hex.Write(packet), Hex.Write(await Next()));

    /// <summary>The server closes without another packet.</summary>
    public async Task ExpectClosed()
    {
        var packet = await TryNext();
        Assert.True(packet is null, $"expected a close, got {(packet is null ? "" : Hex.Write(packet))}");
    }

    /// <summary>5.0: DISCONNECT with one of these reasons, then a close. 3.1.1: a close alone.</summary>
    public async Task ExpectDisconnect(params byte[] reasons)
    {
        if (IsV5)
        {
            var packet = await Next();
            Assert.True(
                packet[0] == 0xE0 && packet.Length > 2 && reasons.Contains(packet[2]),
                $"expected DISCONNECT {Hex.Write(reasons)}, got {Hex.Write(packet)}");
        }
        await ExpectClosed();
    }

    /// <summary>The server closes; before that it may send a CONNACK of 5.0 with one of these codes, and nothing else.</summary>
    /// <returns>The CONNACK, or null.</returns>
    public async Task<byte[]?> ExpectRefused(params byte[] codes)
    {
        if (await TryNext() is not { } packet)
        {
            return null;
        }
        Assert.True(
            packet[0] == 0x20 && packet.Length >= 5 && packet[2] == 0 && codes.Contains(packet[3]),
            $"expected a close or CONNACK {Hex.Write(codes)}, got {Hex.Write(packet)}");
        await ExpectClosed();
        return packet;
    }

    /// <summary>The next packet is an answer of 5.0, taken apart.</summary>
    public async Task<ReceivedAnswer> NextAnswer() => ReceivedAnswer.Read(await Next());

    /// <summary>Nothing else came before the answer to a PINGREQ.</summary>
    public async Task ExpectNothing()
    {
        await Send("C0 00");
        await Expect("D0 00");
    }

    /// <summary>Subscribes to one filter and takes the SUBACK.</summary>
    /// <param name="options">Subscription options byte: QoS, and for 5.0 the other bits.</param>
    public async Task Subscribe(string filter, byte options, int subscriptionId = 0)
    {
        await Send(Packet.Subscribe(0x7001, IsV5, subscriptionId, (filter, options)));
        var answer = await Next();
        Assert.True(answer[0] == 0x90 && answer[^1] < 0x80, $"SUBACK says no: {Hex.Write(answer)}");
    }

    /// <summary>The next packet, which is a PUBLISH, taken apart.</summary>
    public async Task<ReceivedPublish> NextPublish() => ReceivedPublish.Read(await Next(), IsV5);

    /// <summary>Closes without a DISCONNECT.</summary>
    public void Cut() => owner.Dispose();

    public async ValueTask DisposeAsync()
    {
        await stream.DisposeAsync();
        owner.Dispose();
    }

    private byte[]? TakePacket()
    {
        var length = 0;
        for (var i = 1; i < Math.Min(5, _received.Count); i++)
        {
            length |= (_received[i] & 0x7F) << (7 * (i - 1));
            if ((_received[i] & 0x80) == 0)
            {
                var total = 1 + i + length;
                if (_received.Count < total)
                {
                    return null;
                }
                var packet = _received.GetRange(0, total).ToArray();
                _received.RemoveRange(0, total);
                return packet;
            }
        }
        return null;
    }
}
