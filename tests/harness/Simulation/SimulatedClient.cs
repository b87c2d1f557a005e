using IotHub.Broker;
using IotHub.Broker.Auth;
using IotHub.Broker.Sessions;
using IotHub.Harness.Mqtt;

namespace IotHub.Harness.Simulation;

/// <summary>
/// An honest client: keeps its side of the session, sends again what is not acknowledged, drops what it gets twice at QoS 2; and takes
/// its time with everything. What it sends and gets it tells the model.
/// </summary>
public sealed partial class SimulatedClient(string id, bool isV5, SimulatedBroker broker, SimulationModel model, Action<string> tell)
{
    private readonly SortedDictionary<int, Outgoing> _outgoing = [];
    private readonly Dictionary<ushort, int> _incoming = [];
    private readonly Dictionary<ushort, (string Filter, byte? Qos)> _asked = [];
    private readonly Queue<(byte[] Packet, long At)> _wire = [];
    private readonly List<(byte Type, ushort Id)> _due = [];
    private readonly HashSet<ushort> _open = [];
    private MemoryClient? _connection;
    private ModelSession? _session;

    /// <summary>Of which session it keeps what is open. One may have come and gone without its knowledge: then it has to be told.</summary>
    private ModelSession? _openOf;
    private bool _expectsPresent;
    private int _receiveMaximum;
    private int _sent;
    private ushort _nextId;

    private sealed class Outgoing(ushort id, SimulatedMessage message, string payload)
    {
        public ushort Id { get; } = id;
        public SimulatedMessage Message { get; } = message;
        public string Payload { get; } = payload;
        public bool IsReleased { get; set; }
        public bool IsRefused { get; set; }
    }

    public string Id { get; } = id;
    public bool IsV5 { get; } = isV5;
    public bool IsConnected { get; private set; }
    public bool IsConnecting => _connection is not null && !IsConnected;
    public bool HasToRead => _wire.Count > 0;
    public bool HasDue => _due.Count > 0;
    public int Unacknowledged => _outgoing.Count;

    /// <summary>The broker has not ended the connection.</summary>
    public bool IsLetIn => _connection is { Connection.Phase: ConnectionPhase.Connected };

    public void Connect(bool cleanStart, uint expirySeconds, int receiveMaximum, SimulatedMessage? will, uint willDelay)
    {
        var (older, olderSession) = (_connection, _session);
        Forget();
        if (!IsV5)
        {
            // A clean session of 3.1.1 ends with its connection, the other never.
            (expirySeconds, receiveMaximum, willDelay) = (cleanStart ? 0 : uint.MaxValue, ushort.MaxValue, 0);
        }
        _receiveMaximum = receiveMaximum;
        _connection = Open();
        _nothingHeldSince = broker.Lane.Now;
        tell($"{Id} -> CONNECT{(cleanStart ? " clean" : "")} expiry {expirySeconds} receive maximum {receiveMaximum} will {will} delay {willDelay}");
        _connection.Send(Packet.Connect(new ConnectOptions
        {
            ClientId = Id,
            Level = (byte)(IsV5 ? 5 : 4),
            CleanStart = cleanStart,
            KeepAlive = 0,
            Properties = [.. Packet.Property(0x11, expirySeconds), .. Packet.Property(0x21, (ushort)receiveMaximum), .. AllowAliases()],
            Will = will is null ? null : new WillOptions(will.Topic, $"m{will.Number} will", will.Qos, will.Retain)
            {
                Properties = willDelay > 0 ? Packet.Property(0x18, willDelay) : [],
            },
        }));
        if (IsLetIn)
        {
            var number = broker.Hub.Sessions[new SessionKey(AnonymousAuthenticator.DeviceId, Id)].Number;
            _expectsPresent = model.Connected(Id, cleanStart, expirySeconds, will, willDelay, number);
            _session = model.Sessions[Id];
        }
        else if (older is { Connection.Phase: ConnectionPhase.Connected })
        {
            model.Disconnected(olderSession!, publishWill: true);
        }
        // Taken over, or left by its client as well.
        LetGo(older);
        Collect();
    }

    /// <summary>The network goes away; what is on the wire may be lost.</summary>
    public void Cut()
    {
        if (_connection is null)
        {
            return;
        }
        tell($"{Id} is cut off");
        var wasLetIn = IsLetIn;
        LetGo(_connection);
        if (wasLetIn)
        {
            model.Disconnected(_session!, publishWill: true);
        }
        Forget();
    }

    public void Disconnect(uint? expirySeconds, bool withWill)
    {
        if (!IsConnected || !IsLetIn)
        {
            return;
        }
        var changes = IsV5 && expirySeconds is not null && _session!.ExpirySeconds > 0;
        withWill &= IsV5;
        tell($"{Id} -> DISCONNECT{(changes ? $" expiry {expirySeconds}" : "")}{(withWill ? " with will" : "")}");
        byte[] properties = changes ? Packet.Property(0x11, expirySeconds!.Value) : [];
        _connection!.Send(changes || withWill ? Packet.Whole(0xE0, [(byte)(withWill ? 4 : 0), .. Packet.WithLength(properties)]) : [0xE0, 0]);
        _session!.ExpirySeconds = changes ? expirySeconds!.Value : _session.ExpirySeconds;
        model.Disconnected(_session, withWill);
        LetGo(_connection);
        Forget();
    }

    /// <summary>The broker is gone, and all that was on the wire.</summary>
    public void Forget()
    {
        (_connection, _session, IsConnected) = (null, null, false);
        _wire.Clear();
        _due.Clear();
        _open.Clear();
        _asked.Clear();
        _partial = [];
        _aliasesSet.Clear();
        _aliasesTold.Clear();
    }

    public void Publish(SimulatedMessage message, string payload)
    {
        var outgoing = new Outgoing(message.Qos > 0 ? NextId() : (ushort)0, message, payload);
        if (message.Qos > 0)
        {
            _outgoing.Add(++_sent, outgoing);
        }
        Send(outgoing, isAgain: false);
    }

    /// <param name="options">As they stand in the packet; those that 3.1.1 does not know are left out there.</param>
    public void Subscribe(string filter, byte options, int subscriptionId)
    {
        var packetId = NextId();
        options &= (byte)(IsV5 ? 0xFF : 3);
        var wanted = new ModelSubscription((byte)(options & 3), NoLocal: (options & 4) != 0, AsPublished: (options & 8) != 0, packetId);
        tell($"{Id} -> SUBSCRIBE #{packetId} {filter} {wanted} handling {options >> 4}");
        var isRefused = _session!.Number != 0 && broker.Lane.RefusesWork;
        if (!isRefused)
        {
            model.Subscribed(_session, filter, wanted, options >> 4);
        }
        _connection!.Send(Packet.Subscribe(packetId, IsV5, IsV5 ? subscriptionId : 0, (filter, options)));
        _asked[packetId] = (filter, isRefused ? null : wanted.Qos);
        Collect();
    }

    public void Unsubscribe(string filter)
    {
        var packetId = NextId();
        tell($"{Id} -> UNSUBSCRIBE #{packetId} {filter}");
        if (_session!.Number == 0 || !broker.Lane.RefusesWork)
        {
            model.Unsubscribed(_session, filter, packetId);
        }
        _connection!.Send(Packet.Unsubscribe(packetId, IsV5, filter));
        _asked[packetId] = (filter, null);
        Collect();
    }

    /// <summary>Sends one acknowledgement that is due.</summary>
    public void Acknowledge(int which)
    {
        var (type, packetId) = _due[which % _due.Count];
        _due.RemoveAt(which % _due.Count);
        tell($"{Id} -> {(type == 4 ? "PUBACK" : type == 5 ? "PUBREC" : type == 6 ? "PUBREL" : "PUBCOMP")} #{packetId}");
        if (type == 4)
        {
            _session!.Seen[packetId] = (_session.Seen[packetId].Number, broker.Moment);
        }
        if (type is 4 or 7)
        {
            _open.Remove(packetId);
        }
        _connection!.Send(Packet.Ack(type, packetId));
        Collect();
    }

    private ushort NextId()
    {
        do
        {
            _nextId = (ushort)((_nextId % 30) + 1);
        }
        while (_asked.ContainsKey(_nextId) || _outgoing.Values.Any(o => o.Id == _nextId));
        return _nextId;
    }

    private void Send(Outgoing outgoing, bool isAgain)
    {
        var message = outgoing.Message;
        tell($"{Id} -> PUBLISH #{outgoing.Id}{(isAgain ? " dup" : "")} {message}{(message.IsEmpty ? " empty" : "")}");
        var isKnown = message.Qos == 2
            && broker.Hub.Sessions[new SessionKey(AnonymousAuthenticator.DeviceId, Id)].IncomingQos2?.Contains(outgoing.Id) == true;
        outgoing.IsRefused = !isKnown && broker.Lane.RefusesWork && model.MustBeKept(message, _session!);
        var (topic, alias) = Name(message.Topic);
        _connection!.Send(Packet.Publish(
            topic, outgoing.Payload, message.Qos, outgoing.Id, message.Retain, isAgain, IsV5,
            [.. message.ExpirySeconds is { } seconds ? Packet.Property(0x02, seconds) : [], .. alias]));
        if (!isKnown && !outgoing.IsRefused)
        {
            model.Published(message);
        }
        if (outgoing.IsRefused && !IsV5 && message.Qos > 0)
        {
            SimulationModel.Check(!IsLetIn, $"{Id} goes on although {message} was not taken");
            model.Disconnected(_session!, publishWill: true);
        }
        Collect();
    }
}
