using System.Buffers.Binary;
using System.Net;
using System.Runtime.InteropServices;
using IotHub.Harness.Mqtt;

namespace IotHub.Benchmarks.Load;

internal enum LoadRole
{
    Publisher,
    Subscriber,

    /// <summary>Connected and subscribed, and nothing comes.</summary>
    Idle,

    /// <summary>Subscribes to many filters that never match.</summary>
    Filler,
}

/// <summary>
/// One client of the generator, run by one <see cref="LoadLoop"/>: connects, subscribes, then publishes or checks what arrives. Nothing is
/// allocated per message.
/// </summary>
internal sealed partial class LoadConnection(LoadLoop loop, LoadRole role, int number) : IDisposable
{
    /// <summary>Bytes in front of each payload: run, publisher, sequence number, time.</summary>
    public const int StampSize = 24;

    public const int FiltersPerFiller = 5_000;
    private const int FiltersPerPacket = 100;

    private readonly LoadRun _run = loop.Run;
    private readonly ByteQueue _outgoing = new();
    private readonly ByteQueue _rest = new();
    private ByteQueue? _plain;
    private TlsLayer? _tls;
    private bool _isConnecting;
    private bool _waitsForRoom;
    private int _socket = -1;
    private int _tag;
    private int _filtersSent;
    private OpenPublishes? _open;
    private byte[] _frame = [];
    private int _idAt;
    private int _stampAt;
    private long[] _next = [];
    private int[] _missing = [];

    public LoadRole Role => role;
    public int Number => number;
    public bool IsReady { get; private set; }
    public bool IsDead { get; private set; }

    /// <summary>Messages published so far; the next one carries this number.</summary>
    public long Sequence { get; private set; }

    /// <summary>Filters to subscribe to: one, or those of a filler.</summary>
    public Func<int, string?> Filter { get; init; } = _ => null;

    /// <summary>False: the session is kept when the connection ends, and taken up by the next one.</summary>
    public bool CleanStart { get; init; } = true;
    public string Topic { get; init; } = "";

    /// <summary>May a publisher write now: the socket has room, and so has the window.</summary>
    public bool MayPublish => IsReady && !IsDead && !_waitsForRoom && Sequence < _run.MessagesEach && (_open is null || _open.HasRoom);

    public void Open(int tag)
    {
        _tag = tag;
        var options = _run.Options;
        if (role == LoadRole.Subscriber)
        {
            (_next, _missing) = (new long[options.Publishers], new int[options.Publishers]);
        }
        if (role == LoadRole.Publisher)
        {
            PrepareFrame();
        }
        var source = options.Sources > 1 && IPAddress.IsLoopback(options.Broker.Address)
            ? new IPAddress([127, 0, 0, (byte)(1 + (number % options.Sources))])
            : IPAddress.Any;
        _socket = Linux.Connect(options.Broker, source);
        _isConnecting = true;
        loop.Poller.Watch(_socket, tag, Linux.Poller.Writable);
    }

    public void Happened(uint events)
    {
        if (_isConnecting)
        {
            _isConnecting = false;
            loop.Poller.Change(_socket, _tag, Linux.Poller.Readable);
            BeginTalk();
            return;
        }
        if ((events & Linux.Poller.Writable) != 0)
        {
            Flush();
        }
        if (!IsDead && (events & (Linux.Poller.Readable | Linux.Poller.Failed)) != 0)
        {
            ReadSocket();
        }
    }

    /// <summary>Writes one message into the buffer; <see cref="Flush"/> sends it.</summary>
    public void Publish(long stampedAt)
    {
        var frame = (_plain ?? _outgoing).Take(_frame.Length);
        _frame.CopyTo(frame);
        if (_open is not null)
        {
            BinaryPrimitives.WriteUInt16BigEndian(frame[_idAt..], _open.Begin(stampedAt));
        }
        var stamp = frame[_stampAt..];
        MemoryMarshal.Write(stamp[8..], Sequence++);
        MemoryMarshal.Write(stamp[16..], stampedAt);
    }

    public void Flush()
    {
        if (_plain is { Length: > 0 })
        {
            _tls!.Encrypt(_plain.Span);
            _plain.Consume(_plain.Length);
        }
        while (_outgoing.Length > 0 && !IsDead)
        {
            var sent = Linux.Send(_socket, _outgoing.Span);
            if (sent < 0)
            {
                if (Linux.LastError != Linux.WouldBlock)
                {
                    Die("the broker closed the connection");
                }
                else if (!_waitsForRoom)
                {
                    _waitsForRoom = true;
                    loop.Poller.Change(_socket, _tag, Linux.Poller.Readable | Linux.Poller.Writable);
                }
                return;
            }
            _outgoing.Consume(sent);
        }
        if (_waitsForRoom && !IsDead)
        {
            _waitsForRoom = false;
            loop.Poller.Change(_socket, _tag, Linux.Poller.Readable);
        }
    }

    /// <summary>Says goodbye and closes, at the end of a run.</summary>
    public void Dispose()
    {
        if (_socket >= 0 && !IsDead)
        {
            if (IsReady)
            {
                Write([0xE0, 0]);
                Flush();
            }
            IsDead = true;
            Linux.Close(_socket);
            _tls?.Dispose();
        }
    }

    private void BeginTalk()
    {
        if (!_run.Options.Tls)
        {
            SendConnect();
            return;
        }
        _plain = new ByteQueue();
        _tls = new TlsLayer(_outgoing);
        var talk = _tls.Run(_run.ClientCertificate, SendConnect, data => Take(data, LoadRun.Now));
        Flush();
        talk.ContinueWith(
            done => Die(done.Result?.Message ?? "the broker ended the stream"), CancellationToken.None,
            TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    private void SendConnect()
    {
        Write(Packet.Connect(new ConnectOptions
        {
            Level = (byte)(_run.Options.IsV5 ? 5 : 4),
            ClientId = $"load-{_run.Nonce:x8}-{role.ToString()[..1].ToLowerInvariant()}{number}",
            KeepAlive = 3600,
            CleanStart = CleanStart,
            Properties = CleanStart || !_run.Options.IsV5 ? [] : [0x11, .. Packet.UInt32(3600)],
        }));
        Flush();
    }

    private void ReadSocket()
    {
        var buffer = loop.ReadBuffer;
        var read = Linux.Receive(_socket, buffer);
        if (read <= 0)
        {
            if (read == 0 || Linux.LastError != Linux.WouldBlock)
            {
                Die("the broker closed the connection");
            }
            return;
        }
        var data = buffer.AsSpan(0, read);
        if (_tls is null)
        {
            Take(data, LoadRun.Now);
        }
        else
        {
            _tls.Feed(data);
        }
        Flush();
    }

    private void Write(ReadOnlySpan<byte> packet) => (_plain ?? _outgoing).Append(packet);

    private void Die(string why)
    {
        if (!IsDead)
        {
            IsDead = true;
            Linux.Close(_socket);
            loop.OneDied($"{role} {number}: {why}", wasReady: IsReady);
        }
    }
}
