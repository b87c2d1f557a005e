using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;

namespace IotHub.Harness.Mqtt;

/// <summary>A message as a client took it.</summary>
/// <param name="Session">Counts the client's connections, from 1.</param>
/// <param name="AckNumber">Acknowledgements that the client had sent on this connection before; that of this message follows.</param>
public readonly record struct TakenMessage(
    ReadOnlyMemory<byte> Payload, string Topic, int Qos, bool Dup, bool Retain, ushort PacketId, int Session, int AckNumber)
{
    /// <summary>Bytes of the properties without their length; none in 3.1.1.</summary>
    public ReadOnlyMemory<byte> Properties { get; init; }
}

/// <summary>
/// A client that keeps its side of the session through any number of cut connections: unacknowledged publishes are sent again with DUP,
/// QoS 2 ids that were taken are remembered until released. Written for correctness, not for speed.
/// </summary>
public sealed partial class LastingClient(int port, string id, bool isV5, bool keepsSession) : IAsyncDisposable
{
    private static readonly TimeSpan AnswerDeadline = TimeSpan.FromSeconds(20);
    private readonly SemaphoreSlim _writing = new(1, 1);
    private readonly SortedDictionary<long, Open> _open = [];
    private readonly Dictionary<ushort, long> _orders = [];
    private readonly HashSet<ushort> _takenQos2 = [];
    private readonly Queue<int> _pings = [];
    private TaskCompletionSource<byte[]> _answer = new();
    private Line? _line;
    private ushort _lastId;
    private long _lastOrder;
    private int _acksSent;
    private volatile bool _isLeaving;

    /// <summary>A connection: its socket, and what is spoken over it.</summary>
    private sealed record Line(Socket Socket, Stream Stream);

    private sealed record Open(byte[] Packet, ushort PacketId, byte Qos, long Tag)
    {
        public bool IsReceived { get; set; }
    }

    public string Id => id;
    public int Connections { get; private set; }
    public bool IsConnected => _line is not null;
    public ushort ReceiveMaximum { get; init; }

    /// <summary>How long the session is kept (5.0); only of a client that keeps it.</summary>
    public uint ExpirySeconds { get; init; } = 3_600;

    /// <summary>Where the next connection goes, and how; at first plain TCP to the port of the constructor.</summary>
    public (int Port, Via Via) Door { get; set; } = (port, Via.Tcp);

    /// <summary>The will of the next connection.</summary>
    public WillOptions? Will { get; set; }

    /// <summary>Takes messages but neither sends nor hears acknowledgements until the next connection: a cut in the worst moment.</summary>
    public bool IsDeaf { get; set; }

    /// <summary>Called for each message that is new to the session, from the read loop; what it waits for holds up reading.</summary>
    public Func<TakenMessage, Task> OnMessage { get; init; } = _ => Task.CompletedTask;

    /// <summary>Called with the tag of a publish before its PUBLISH goes out, the first time and each time again.</summary>
    public Action<long> OnSending { get; init; } = _ => { };

    /// <summary>Called with the tag of a publish when the broker has taken it over: PUBACK or PUBREC.</summary>
    public Action<long> OnAcknowledged { get; init; } = _ => { };

    /// <summary>Called for a PINGRESP: the connection, and how many acknowledgements had been sent on it before its PINGREQ.</summary>
    public Action<int, int> OnPong { get; init; } = (_, _) => { };

    /// <summary>Called when a connection has ended that we neither cut nor left.</summary>
    public Action OnLost { get; set; } = () => { };

    /// <summary>Why the broker ended a connection that we did not cut; null as long as it has not.</summary>
    public string? Refusal { get; private set; }

    /// <summary>A DISCONNECT of the broker's; null as long as none has come.</summary>
    public string? Farewell { get; private set; }

    /// <summary>An acknowledgement that says no; null as long as none has come.</summary>
    public string? Refused { get; private set; }

    /// <summary>Ends with the present connection, whoever ends that.</summary>
    public Task Reading { get; private set; } = Task.CompletedTask;

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
    public async Task<bool> Connect(bool? cleanStart = null)
    {
        var line = await OpenLine();
        var session = ++Connections;
        IsDeaf = false;
        _acksSent = 0;
        _isLeaving = false;
        lock (_pings)
        {
            _pings.Clear();
        }
        _answer = new TaskCompletionSource<byte[]>(TaskCreationOptions.RunContinuationsAsynchronously);
        _line = line;
        Reading = Task.Run(() => Read(line, session));
        await Send(ConnectPacket(cleanStart ?? !keepsSession));
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

    public Task Subscribe(string filter, byte qos) => Request(Packet.Subscribe(65_000, isV5, 0, (filter, qos)));

    public Task Unsubscribe(string filter) => Request(Packet.Unsubscribe(65_001, isV5, filter));

    /// <summary>Publishes, or keeps for the next connection when there is none.</summary>
    /// <param name="tag">What the callbacks are told.</param>
    /// <param name="properties">Without their length (5.0).</param>
    public async Task Publish(
        string topic, ReadOnlyMemory<byte> payload, byte qos, bool retain = false, long tag = 0, byte[]? properties = null)
    {
        byte[] packet;
        lock (_open)
        {
            var packetId = qos == 0 ? (ushort)0 : NextId();
            var head = Packet.Publish(topic, "", qos, packetId, retain, isV5: isV5, properties: properties);
            // The harness writes texts; ours is a number: the length is put in anew.
            packet = Packet.Whole(head[0], [.. head[2..], .. payload.Span]);
            if (qos > 0)
            {
                _open.Add(++_lastOrder, new Open(packet, packetId, qos, tag));
                _orders.Add(packetId, _lastOrder);
            }
        }
        OnSending(tag);
        await Send(packet);
    }

    /// <summary>Who only receives at QoS 0 sends nothing else, and the broker would take it for dead.</summary>
    public async Task Ping()
    {
        lock (_pings)
        {
            _pings.Enqueue(Volatile.Read(ref _acksSent));
        }
        await Send(new byte[] { 0xC0, 0 });
    }

    /// <summary>Ends the connection without a word, in the middle of whatever is on its way.</summary>
    public async Task Cut()
    {
        if (Interlocked.Exchange(ref _line, null) is { } line)
        {
            line.Socket.Dispose();
        }
        await Reading;
    }

    /// <summary>Ends it with DISCONNECT.</summary>
    public async Task Leave()
    {
        _isLeaving = true;
        await Send(new byte[] { 0xE0, 0 });
        await Cut();
    }

    public async ValueTask DisposeAsync()
    {
        await Cut();
        _writing.Dispose();
    }

    private async Task<Line> OpenLine()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(IPAddress.Loopback, Door.Port);
            var bytes = new NetworkStream(socket, ownsSocket: true);
            return new Line(socket, await Transports.Speak(bytes, Door.Via).WaitAsync(AnswerDeadline));
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>What reading and writing throw when the connection has ended; a WebSocket's stream says that it cannot be written to.</summary>
    public static bool IsCut(Exception e) => e is SocketException or IOException or ObjectDisposedException or WebSocketException
        or OperationCanceledException or NotSupportedException;

    private byte[] ConnectPacket(bool cleanStart)
    {
        List<byte> properties = [];
        if (isV5 && keepsSession)
        {
            properties.AddRange(Packet.Property(0x11, ExpirySeconds));
        }
        if (isV5 && ReceiveMaximum > 0)
        {
            properties.AddRange(Packet.Property(0x21, ReceiveMaximum));
        }
        return Packet.Connect(new ConnectOptions
        {
            Level = (byte)(isV5 ? 5 : 4),
            ClientId = id,
            CleanStart = cleanStart,
            KeepAlive = 30,
            Properties = [.. properties],
            Will = Will,
        });
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
            if (publish.IsReceived)
            {
                await Send(Packet.Ack(6, publish.PacketId));
                continue;
            }
            OnSending(publish.Tag);
            byte[] repeated = [(byte)(publish.Packet[0] | 8), .. publish.Packet.AsSpan(1)];
            await Send(repeated);
        }
    }

    private async Task Request(byte[] packet)
    {
        _answer = new TaskCompletionSource<byte[]>(TaskCreationOptions.RunContinuationsAsynchronously);
        if (Reading.IsCompleted)
        {
            throw new IOException($"{id}: not connected");
        }
        await Send(packet);
        var answer = await Answer();
        if (packet[0] == 0x82 ? answer[^1] > 2 : isV5 && answer[^1] >= 0x80)
        {
            throw new IOException($"{id}: {(packet[0] == 0x82 ? "SUBACK" : "UNSUBACK")} with code 0x{answer[^1]:X2}");
        }
    }

    private async Task<byte[]> Answer()
    {
        // The connection may have ended before the answer was asked for.
        if (await Task.WhenAny(_answer.Task, Reading, Task.Delay(AnswerDeadline)) == Reading && !_answer.Task.IsCompleted)
        {
            throw new IOException($"{id}: the connection ended");
        }
        return _answer.Task.IsCompleted ? await _answer.Task
            : throw new TimeoutException($"{id}: no answer within {AnswerDeadline.TotalSeconds} s");
    }

    private async Task Send(ReadOnlyMemory<byte> packet)
    {
        await _writing.WaitAsync();
        try
        {
            if (_line is { } line)
            {
                await line.Stream.WriteAsync(packet);
            }
        }
        catch (Exception e) when (IsCut(e))
        {
            // The connection was cut; what is open goes out again with the next one.
        }
        finally
        {
            _writing.Release();
        }
    }
}
