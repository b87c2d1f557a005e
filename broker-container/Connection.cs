using IotHub.Broker.Auth;
using IotHub.Broker.Protocol;
using IotHub.Broker.Protocol.Packets;
using IotHub.Broker.Sessions;
using IotHub.Broker.Transport;

namespace IotHub.Broker;

/// <summary>Where a connection stands.</summary>
public enum ConnectionPhase
{
    /// <summary>Nothing but a CONNECT is listened to. [MQTT-3.1.0-1]</summary>
    AwaitingConnect,

    /// <summary>The CONNECT is being checked; reading pauses.</summary>
    Authenticating,

    /// <summary>The client was asked for more; nothing but AUTH is listened to.</summary>
    ExchangingAuthentication,
    Connected,

    /// <summary>The last bytes are going out; what still comes in is dropped.</summary>
    Closing,
    Closed,
}

/// <summary>
/// One client's connection: bytes in, packets handled, bytes out. Before a session is open it belongs to its read loop, afterwards it is
/// touched only under the lane of its hub. Connection.cs holds its life, ConnectionPackets.cs one method per packet kind.
/// </summary>
public sealed partial class Connection
{
    private readonly MqttBroker _broker;
    private readonly InboundBuffer _inbound;
    private long _lastPacketAt;
    private long _closingSince;
    private bool _isFinished;

    /// <summary>Since the last <see cref="TakePacketCount"/>; the CONNECT is the first.</summary>
    private int _packetsReceived = 1;

    public Connection(MqttBroker broker, Channel channel)
    {
        _broker = broker;
        Channel = channel;
        Outbox = new Outbox(broker.Buffers);
        _inbound = new InboundBuffer(broker.Buffers);
        AcceptedAt = broker.Time.GetTimestamp();
        SentLater = OnSentLater;
    }

    public Channel Channel { get; }
    public Outbox Outbox { get; }
    public ConnectionPhase Phase { get; private set; }
    public long AcceptedAt { get; private set; }

    /// <summary>Set once a CONNECT has been read.</summary>
    public Connect Connect { get; private set; } = null!;

    /// <summary>Set while connected.</summary>
    public Session? Session { get; private set; }
    public Lane? Lane { get; private set; }
    public bool IsV5 { get; private set; }
    public uint MaximumPacketSize { get; private set; } = uint.MaxValue;

    /// <summary>QoS 1 and 2 messages that may be open towards the client at once. [MQTT-3.3.4-7]</summary>
    public int SendWindow { get; private set; }

    /// <summary>Those that are open and were sent on this connection.</summary>
    public int Outstanding { get; set; }

    public bool IsOutboxFull => Outbox.PendingBytes > _broker.Limits.OutboxBytesMaximum;
    public bool IsDirty { get; set; }

    /// <summary>Among those that its lane looks at when a commit ends.</summary>
    internal bool IsAwaitingCommit { get; set; }
    public bool SentAtOnce { get; set; }
    public Action SentLater { get; }

    /// <summary>
    /// What is written to the client from here on tells of records that are not on disk yet: it leaves when they are. (decision D5)
    /// </summary>
    public void Hold()
    {
        Outbox.Hold();
        Lane!.AwaitCommit(this);
    }

    /// <summary><see cref="Hold"/>, if the lane has recorded anything since <paramref name="mark"/>.</summary>
    private void HoldIfRecorded(long mark)
    {
        if (Lane!.Mark != mark)
        {
            Hold();
        }
    }

    /// <summary><see cref="Hold"/>, if what the session is now may not be on disk yet: for answers to what was said before.</summary>
    public void HoldIfUncommitted()
    {
        if (Session is { IsStored: true } && Lane!.IsUncommitted)
        {
            Hold();
        }
    }

    /// <summary>
    /// <see cref="Hold"/>, if something was taken away and that is not on disk yet: what the client is told is gone could come back.
    /// </summary>
    private void HoldIfRemoved()
    {
        if (Lane!.Journal is { HasUncommittedRemoval: true })
        {
            Hold();
        }
    }

    /// <summary>Packets sent and received since the last call. Under the lane.</summary>
    public long TakePacketCount()
    {
        var packets = (long)_packetsReceived + Outbox.Packets;
        (_packetsReceived, Outbox.Packets) = (0, 0);
        return packets;
    }

    /// <summary>Bytes from the client. Completes at once except while the CONNECT is being checked.</summary>
    /// <returns>False when the transport should close.</returns>
    public ValueTask<bool> Receive(ReadOnlyMemory<byte> data) => Phase switch
    {
        ConnectionPhase.Connected => new ValueTask<bool>(ReceivePackets(data.Span)),
        ConnectionPhase.AwaitingConnect => ReceiveConnect(data),
        ConnectionPhase.ExchangingAuthentication => ReceiveAuthentication(data),
        ConnectionPhase.Closed => new ValueTask<bool>(false),
        _ => new ValueTask<bool>(true),
    };

    private bool ReceivePackets(ReadOnlySpan<byte> data)
    {
        Lane!.Enter();
        try
        {
            if (_inbound.Length == 0)
            {
                var consumed = HandleAll(data);
                if (Phase == ConnectionPhase.Connected)
                {
                    _inbound.Append(data[consumed..]);
                }
            }
            else
            {
                _inbound.Append(data);
                var consumed = HandleAll(_inbound.Span);
                if (Phase == ConnectionPhase.Connected)
                {
                    // Ended on the way, the buffer has been given back already.
                    _inbound.Consume(consumed);
                }
            }
        }
        finally
        {
            Lane.Leave();
        }
        return Phase != ConnectionPhase.Closed;
    }

    /// <summary>Handles every whole packet and returns how many bytes they took.</summary>
    private int HandleAll(ReadOnlySpan<byte> data)
    {
        var consumed = 0;
        while (Phase == ConnectionPhase.Connected)
        {
            var rest = data[consumed..];
            switch (FrameReader.TryRead(rest, _broker.Limits.MaximumPacketSize, out var frame, out var size))
            {
                case FrameResult.NeedMore:
                    return consumed;
                case FrameResult.Malformed:
                    Fail(new MqttException(ReasonCode.MalformedPacket, "remaining length"), rest[0], 0, "cannot decode MQTT header");
                    return data.Length;
                case FrameResult.TooLarge:
                    var tooLarge = new MqttException(ReasonCode.PacketTooLarge, "the packet is larger than the server takes");
                    Fail(tooLarge, rest[0], FrameReader.PeekSize(rest), "service level: message payload is too large");
                    return data.Length;
                default:
                    consumed += size;
                    HandleOne(frame);
                    break;
            }
        }
        return data.Length;
    }

    private void HandleOne(in Frame frame)
    {
        _lastPacketAt = Lane!.Now;
        Lane.Counters.PacketsReceived++;
        _packetsReceived++;
        try
        {
            Handle(frame);
        }
        catch (MqttException e)
        {
            Fail(e, frame.FirstByte, frame.Body.Length, null);
        }
    }

    /// <summary>The client broke the protocol: an event for its owner, a reason for itself (5.0), and the end. [MQTT-4.13.1-1]</summary>
    private void Fail(MqttException problem, byte firstByte, int remainingLength, string? eventText)
    {
        var text = eventText ?? problem.EventText ?? "failed to unpack message body";
        var session = Session!;
        End(problem.Reason, publishWill: true, problem.Message);
        RaiseAbout(session, text, firstByte, remainingLength);
    }

    /// <summary>An event about a packet of the client, with the packet's header.</summary>
    private void RaiseAbout(Session session, string text, byte firstByte, int remainingLength) => session.Hub.Raise(
        HubEvents.OfDevice(session.Key.DeviceId, text, _broker.Time, PacketText.Of(firstByte, remainingLength)));

    /// <summary>Ends the connection from our side: DISCONNECT with a reason (5.0 only), then a close once it is out. Under the lane.</summary>
    /// <param name="reason">Null to close without a word.</param>
    /// <param name="text">What the client is told with it; null for the usual text of the reason.</param>
    public void End(ReasonCode? reason, bool publishWill, string? text = null)
    {
        if (Phase != ConnectionPhase.Connected)
        {
            return;
        }
        if (reason is { } code && IsV5)
        {
            Send(ServerPackets.Disconnect(code, text ?? ReasonText.Of(code), MaximumPacketSize, OtherServer(code)));
        }
        BeginClosing();
        var session = Session!;
        Session = null;
        session.Hub.Detach(session, publishWill);
        CloseIfDrained();
    }

    private void BeginClosing()
    {
        Phase = ConnectionPhase.Closing;
        _closingSince = Lane?.Now ?? 0;
        Lane?.LookAt(DueAt);
        AcceptedAt = _broker.Time.GetTimestamp();
        _inbound.Clear();
    }

    /// <summary>Closes our side when it is closing and everything is out.</summary>
    public void CloseIfDrained()
    {
        if (Phase == ConnectionPhase.Closing && Outbox.IsEmpty && !_isFinished)
        {
            _isFinished = true;
            // Not here: closing a TLS or WebSocket stream may take its time, and we hold the lane.
            ThreadPool.UnsafeQueueUserWorkItem(static c => c.Channel.FinishSending(), this, preferLocal: false);
        }
    }

    /// <summary>The transport is done with the client. Under the lane if there is one.</summary>
    internal void OnDisconnected()
    {
        if (Phase == ConnectionPhase.Connected)
        {
            var cutOff = WhatWasCutOff() ?? (Channel.HasUnsent ? EventTexts.CannotWrite : null);
            BeginClosing();
            var session = Session!;
            Session = null;
            session.Hub.Detach(session, publishWill: true);
            if (cutOff is not null)
            {
                session.Hub.Raise(HubEvents.OfDevice(session.Key.DeviceId, cutOff, _broker.Time));
            }
        }
        Phase = ConnectionPhase.Closed;
        _inbound.Clear();
        Outbox.Discard();
        Lane?.Connections.Remove(this);
    }

    /// <summary>A client that is gone in the middle of a packet; null when it had finished its last one.</summary>
    private string? WhatWasCutOff() => _inbound.Length == 0 ? null
        : FrameReader.PeekSize(_inbound.Span) == 0 ? "cannot read MQTT header" : "failed to unpack message body";

    /// <summary>Later than this it is silent for longer than its keep-alive allows, or closing without an end. Under the lane.</summary>
    public long DueAt => Phase switch
    {
        // [MQTT-3.1.2-22]: one and a half times the keep-alive.
        ConnectionPhase.Connected when _keepAliveMs > 0 => _lastPacketAt + (_keepAliveMs * 3 / 2),
        ConnectionPhase.Closing => _closingSince + _broker.Limits.CloseTimeoutMs,
        _ => long.MaxValue,
    };

    public void EndOverdue()
    {
        if (Phase == ConnectionPhase.Connected)
        {
            End(ReasonCode.KeepAliveTimeout, publishWill: true);
        }
        else
        {
            ThreadPool.UnsafeQueueUserWorkItem(static c => c.Channel.Close(), this, preferLocal: false);
        }
    }

    private void OnSentLater()
    {
        Lane!.Enter();
        try
        {
            Lane.Sent(this);
        }
        finally
        {
            Lane.Leave();
        }
    }
}
