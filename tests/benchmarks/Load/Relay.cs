using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace IotHub.Benchmarks.Load;

/// <summary>
/// <c>relay</c>: the least that can stand between two MQTT 3.1.1 clients. It looks at first bytes and topics of QoS 0 packets below 128
/// bytes, hands each PUBLISH on as it came to the one client that asked for its topic, and checks nothing. What a message costs here is
/// the kernel's: one wake-up, one recv, one send. No broker for anybody.
/// </summary>
internal sealed class Relay : IDisposable
{
    public const string Usage = "relay --port N\n  no broker: passes QoS 0 messages on unread, to see what kernel and generator cost alone; ends with the terminal";
    private const int HeaderSize = 2;

    private readonly Linux.Poller _poller = new();
    private readonly Dictionary<string, int> _receivers = [];
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _byTopic;
    private readonly byte[] _buffer = new byte[64 * 1024];

    private Relay() => _byTopic = _receivers.GetAlternateLookup<ReadOnlySpan<char>>();

    public static int Run(string[] args)
    {
        if (args is not ["--port", var text] || !ushort.TryParse(text, out var port))
        {
            Console.Error.WriteLine($"usage: {Usage}");
            return 2;
        }
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, port));
        listener.Listen(512);
        Console.WriteLine($"process {Environment.ProcessId} passes on what comes to port {port}");
        using var relay = new Relay();
        new Thread(relay.Work) { IsBackground = true, Name = "relay" }.Start();
        List<Socket> accepted = [];
        while (true)
        {
            var socket = listener.Accept();
            socket.NoDelay = true;
            accepted.Add(socket);
            var handle = (int)socket.Handle;
            relay._poller.Watch(handle, handle, Linux.Poller.Readable);
        }
    }

    public void Dispose() => _poller.Dispose();

    private void Work()
    {
        while (true)
        {
            for (int i = 0, count = _poller.Wait(1_000_000_000); i < count; i++)
            {
                var (socket, _) = _poller[i];
                var size = Linux.Receive(socket, _buffer);
                if (size <= 0)
                {
                    _poller.Forget(socket);
                    continue;
                }
                for (var at = 0; at + HeaderSize <= size; at += HeaderSize + _buffer[at + 1])
                {
                    Pass(socket, _buffer.AsSpan(at, HeaderSize + _buffer[at + 1]));
                }
            }
        }
    }

    private void Pass(int from, ReadOnlySpan<byte> packet)
    {
        const int connect = 1, publish = 3, subscribe = 8, ping = 12;
        switch (packet[0] >> 4)
        {
            case connect:
                Linux.Send(from, [0x20, 2, 0, 0]);
                break;
            case subscribe:
                _receivers[Encoding.ASCII.GetString(TextAt(packet, HeaderSize + 2))] = from;
                Linux.Send(from, [0x90, 3, packet[HeaderSize], packet[HeaderSize + 1], 0]);
                break;
            case publish:
                Span<char> topic = stackalloc char[128];
                var length = Encoding.ASCII.GetChars(TextAt(packet, HeaderSize), topic);
                if (_byTopic.TryGetValue(topic[..length], out var receiver))
                {
                    Linux.Send(receiver, packet);
                }
                break;
            case ping:
                Linux.Send(from, [0xD0, 0]);
                break;
        }
    }

    private static ReadOnlySpan<byte> TextAt(ReadOnlySpan<byte> packet, int at) =>
        packet.Slice(at + 2, BinaryPrimitives.ReadUInt16BigEndian(packet[at..]));
}
