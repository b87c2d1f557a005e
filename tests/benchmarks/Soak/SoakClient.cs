using System.Net;
using System.Net.Sockets;
using IotHub.Harness.Mqtt;

namespace IotHub.Benchmarks.Soak;

/// <summary>A message as a client took it: <see cref="Session"/> counts its connections, from 1.</summary>
internal readonly record struct SoakMessage(ReadOnlyMemory<byte> Payload, string Topic, int Qos, bool Dup, bool Retain, int Session);

/// <summary>
/// A client that keeps its side of the session through any number of cut connections: unacknowledged publishes are sent again with DUP,
/// QoS 2 ids that were taken are remembered until released. Written for correctness, not for speed.
/// </summary>
internal sealed partial class SoakClient(int port, string id, bool isV5, bool keepsSession) : IAsyncDisposable
{
    private static readonly TimeSpan AnswerDeadline = TimeSpan.FromSeconds(20);
    private readonly SemaphoreSlim _writing = new(1, 1);
    private readonly SortedDictionary<long, Open> _open = [];
    private readonly Dictionary<ushort, long> _orders = [];
    private readonly HashSet<ushort> _takenQos2 = [];
    private TaskCompletionSource<byte[]> _answer = new();
    private Socket? _socket;
    private Task _reading = Task.CompletedTask;
    private ushort _lastId;
    private long _lastOrder;

    private sealed record Open(byte[] Packet, ushort PacketId, byte Qos)
    {
        public bool IsReceived { get; set; }
    }

    public string Id => id;
    public int Connections { get; private set; }
    public bool IsConnected => _socket is not null;
    public ushort ReceiveMaximum { get; init; }

    /// <summary>Takes messages but neither sends nor hears acknowledgements until the next connection: a cut in the worst moment.</summary>
    public bool IsDeaf { get; set; }

    /// <summary>Called for each message that is new to the session, from the read loop; what it waits for holds up reading.</summary>
    public Func<SoakMessage, Task> OnMessage { get; init; } = _ => Task.CompletedTask;

    /// <summary>Why the broker ended a connection that we did not cut; null as long as it has not.</summary>
    public string? Refusal { get; private set; }

    public int OpenPublishes
    {
        get
        {
            lock (_open)
            {
                return _open.Count;
            }
        }
    }

    /// <summary>Connects and sends again what is open; true when the broker had the session.</summary>
    public async Task<bool> Connect()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(IPAddress.Loopback, port);
        Connections++;
        IsDeaf = false;
        _answer = new TaskCompletionSource<byte[]>(TaskCreationOptions.RunContinuationsAsynchronously);
        _socket = socket;
        _reading = Task.Run(() => Read(socket, Connections));
        List<byte> properties = [];
        if (isV5 && keepsSession)
        {
            properties.AddRange([0x11, 0, 0, 0x0E, 0x10]);
        }
        if (isV5 && ReceiveMaximum > 0)
        {
            properties.AddRange([0x21, (byte)(ReceiveMaximum >> 8), (byte)ReceiveMaximum]);
        }
        await Send(Packet.Connect(new ConnectOptions
        {
            Level = (byte)(isV5 ? 5 : 4),
            ClientId = id,
            CleanStart = !keepsSession,
            KeepAlive = 120,
            Properties = [.. properties],
        }));
        var answer = await Answer();
        if (answer[1] != 0)
        {
            throw new IOException($"{id}: CONNACK with code 0x{answer[1]:X2}");
        }
        var wasPresent = (answer[0] & 1) != 0;
        if (!wasPresent)
        {
            _takenQos2.Clear();
        }
        await SendOpenAgain();
        return wasPresent;
    }

    public async Task Subscribe(string filter, byte qos)
    {
        _answer = new TaskCompletionSource<byte[]>(TaskCreationOptions.RunContinuationsAsynchronously);
        await Send(Packet.Subscribe(65_000, isV5, 0, (filter, qos)));
        var answer = await Answer();
        if (answer[^1] > 2)
        {
            throw new IOException($"{id}: SUBACK with code 0x{answer[^1]:X2}");
        }
    }

    /// <summary>Publishes, or keeps for the next connection when there is none.</summary>
    public async Task Publish(string topic, ReadOnlyMemory<byte> payload, byte qos, bool retain = false)
    {
        byte[] packet;
        lock (_open)
        {
            var packetId = qos == 0 ? (ushort)0 : NextId();
            var head = Packet.Publish(topic, "", qos, packetId, retain, isV5: isV5);
            // The harness writes texts; ours is a number: the length is put in anew.
            packet = Packet.Whole(head[0], [.. head[2..], .. payload.Span]);
            if (qos > 0)
            {
                _open.Add(++_lastOrder, new Open(packet, packetId, qos));
                _orders.Add(packetId, _lastOrder);
            }
        }
        await Send(packet);
    }

    /// <summary>Ends the connection without a word, in the middle of whatever is on its way.</summary>
    public async Task Cut()
    {
        if (Interlocked.Exchange(ref _socket, null) is { } socket)
        {
            socket.Dispose();
            await _reading;
        }
    }

    /// <summary>Ends it with DISCONNECT.</summary>
    public async Task Leave()
    {
        await Send(new byte[] { 0xE0, 0 });
        await Cut();
    }

    public async ValueTask DisposeAsync()
    {
        await Cut();
        _writing.Dispose();
    }

    private ushort NextId()
    {
        do
        {
            _lastId = (ushort)(_lastId >= 60_000 ? 1 : _lastId + 1);
        }
        while (_orders.ContainsKey(_lastId));
        return _lastId;
    }

    private async Task SendOpenAgain()
    {
        List<Open> open;
        lock (_open)
        {
            open = [.. _open.Values];
        }
        foreach (var publish in open)
        {
            byte[] repeated = [(byte)(publish.Packet[0] | 8), .. publish.Packet.AsSpan(1)];
            await Send(publish.IsReceived ? Packet.Ack(6, publish.PacketId) : repeated);
        }
    }

    private async Task<byte[]> Answer()
    {
        try
        {
            return await _answer.Task.WaitAsync(AnswerDeadline);
        }
        catch (TimeoutException)
        {
            throw new IOException($"{id}: no answer within {AnswerDeadline.TotalSeconds} s");
        }
    }

    private async Task Send(ReadOnlyMemory<byte> packet)
    {
        await _writing.WaitAsync();
        try
        {
            if (_socket is { } socket)
            {
                while (packet.Length > 0)
                {
                    packet = packet[await socket.SendAsync(packet)..];
                }
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The connection was cut; what is open goes out again with the next one.
        }
        finally
        {
            _writing.Release();
        }
    }
}
