using IotHub.Broker.Auth;
using IotHub.Broker.Protocol;
using IotHub.Broker.Protocol.Packets;
using IotHub.Broker.Sessions;
using IotHub.Core.Messages;

namespace IotHub.Broker;

/// <content>From the first byte to CONNACK: read CONNECT, authenticate, open the session, resume. In that order. (decision D6)</content>
public sealed partial class Connection
{
    private const int AuthenticationTries = 3;
    private long _keepAliveMs;

    /// <summary>Protocol name and level.</summary>
    private static ReadOnlySpan<byte> Mqtt5Start => "\0\u0004MQTT\u0005"u8;

    private async ValueTask<bool> ReceiveConnect(ReadOnlyMemory<byte> data)
    {
        _inbound.Append(data.Span);
        switch (TryReadConnect(out var problem))
        {
            case ConnectRead.NeedMore:
                return true;
            case ConnectRead.Refused:
                return problem is { } told && Refuse(told.Reason, told.Text);
            default:
                break;
        }
        if (_broker.ClosedBecause is { } closed)
        {
            return Refuse(closed);
        }
        Phase = ConnectionPhase.Authenticating;
        return Connect.AuthenticationMethod is null
            ? await OpenAndGoOn().ConfigureAwait(false)
            : await BeginAuthentication().ConfigureAwait(false);
    }

    private async ValueTask<bool> OpenAndGoOn()
    {
        if (!await Open().ConfigureAwait(false))
        {
            return Phase != ConnectionPhase.Closed;
        }
        // What the client sent behind its CONNECT without waiting. [MQTT-3.1.4-5]
        return _inbound.Length == 0 || ReceivePackets([]);
    }

    private enum ConnectRead { NeedMore, Complete, Refused }

    /// <summary>Reads the CONNECT off the inbound buffer.</summary>
    /// <param name="problem">What to tell a refused client in CONNACK, or null to close without a word.</param>
    private ConnectRead TryReadConnect(out (ReasonCode Reason, string? Text)? problem)
    {
        problem = null;
        var result = FrameReader.TryRead(_inbound.Span, _broker.Limits.MaximumConnectSize, out var frame, out var size);
        if (_inbound.Span[0] >> 4 != (int)PacketType.Connect || result is FrameResult.Malformed)
        {
            return ConnectRead.Refused;
        }
        if (result == FrameResult.TooLarge)
        {
            return TryReadVersion(out problem) ? ConnectRead.Refused : ConnectRead.NeedMore;
        }
        if (result == FrameResult.NeedMore)
        {
            return ConnectRead.NeedMore;
        }
        var maximumPacketSize = Connect.ShortestConnAck;
        try
        {
            Connect = Connect.Read(frame.FirstByte, frame.Body, out maximumPacketSize);
        }
        catch (UnsupportedLevelException e)
        {
            // [MQTT-3.1.2-2]: 3.1.1 demands this answer, in the form that the client's version is likely to know.
            IsV5 = e.Level >= ProtocolLevel.Mqtt5;
            problem = (ReasonCode.UnsupportedProtocolVersion, null);
            return ConnectRead.Refused;
        }
        catch (MqttException e)
        {
            // Only a body that says that it is 5.0 gets a CONNACK with a code.
            IsV5 = frame.Body.StartsWith(Mqtt5Start);
            problem = IsV5 ? (e.Reason, e.Message) : null;
            return ConnectRead.Refused;
        }
        finally
        {
            MaximumPacketSize = maximumPacketSize;
        }
        IsV5 = Connect.IsV5;
        _inbound.Consume(size);
        return ConnectRead.Complete;
    }

    /// <summary>A CONNECT that is too large: is it 5.0, so that it can be told? False while too little has come to see.</summary>
    private bool TryReadVersion(out (ReasonCode Reason, string? Text)? problem)
    {
        problem = null;
        var headerLength = 1 + VariableByteInteger.Read(_inbound.Span[1..], out _);
        if (_inbound.Length < headerLength + Mqtt5Start.Length)
        {
            return false;
        }
        IsV5 = _inbound.Span[headerLength..].StartsWith(Mqtt5Start);
        // What the client takes stands in the part that was not read.
        MaximumPacketSize = Connect.ShortestConnAck;
        problem = IsV5 ? (ReasonCode.PacketTooLarge, null) : null;
        return true;
    }

    private async ValueTask<bool> Open()
    {
        if (CheckClientId() is { } wrong)
        {
            return !Refuse(wrong) && false;
        }
        // Not a conversion from null, which makes an empty password out of none.
        var password = Connect.Password is { } bytes ? new ReadOnlyMemory<byte>(bytes) : default(ReadOnlyMemory<byte>?);
        var attempt = new ConnectAttempt(
            Connect.Level, Connect.ClientId, Connect.UserName, password, Connect.CleanStart, Channel.ClientCertificate,
            Channel.IsEncrypted, Channel.RemoteAddress, Connect.RemainingLength)
        {
            ProvenName = _provenName,
            ClientChain = Channel.ClientChain,
        };
        for (var tries = 0; tries < AuthenticationTries; tries++)
        {
            var verdict = await _broker.Authenticator.Authenticate(attempt, CancellationToken.None).ConfigureAwait(false);
            if (verdict is ConnectVerdict.Refused refused)
            {
                if (refused is { HubId: { } hubId, Event: { } happened })
                {
                    _broker.Raise(hubId, happened);
                }
                return !Refuse(refused.Reason) && false;
            }
            var accepted = (ConnectVerdict.Accepted)verdict;
            if (accepted.Provisioned is { } provisioned)
            {
                _broker.Raise(accepted.HubId, provisioned);
            }
            if (CheckWill(accepted.Rights.Plan) is { } unwanted)
            {
                return !Refuse(unwanted) && false;
            }
            if (OpenSession(accepted) is { } opened)
            {
                foreach (var happened in opened ? accepted.Events : [])
                {
                    _broker.Raise(accepted.HubId, happened);
                }
                return opened;
            }
        }
        // The registry changes faster than we can read it: try later.
        return !Refuse(ReasonCode.ServerUnavailable) && false;
    }

    private ReasonCode? CheckClientId()
    {
        if (System.Text.Encoding.UTF8.GetByteCount(Connect.ClientId) > _broker.Limits.ClientIdBytesMaximum)
        {
            return ReasonCode.ClientIdentifierNotValid;
        }
        // [MQTT-3.1.3-8] of 3.1.1: an empty id needs a clean session; 3.1 always needs an id.
        return Connect.ClientId.Length == 0 && (Connect.Level == ProtocolLevel.Mqtt31 || (Connect.Level == ProtocolLevel.Mqtt311 && !Connect.CleanStart))
            ? ReasonCode.ClientIdentifierNotValid
            : null;
    }

    /// <summary>A will that could not be published as it stands. 3.1.1 has no answer for that: there it is published as far as the plan allows.</summary>
    private ReasonCode? CheckWill(PlanRules plan)
    {
        if (!IsV5 || Connect.Will is not { } will)
        {
            return null;
        }
        return will.Qos == 2 && plan.NoQos2Publish ? ReasonCode.QosNotSupported // [MQTT-3.2.2-12]
            : will.Retain && plan.NoRetain ? ReasonCode.RetainNotSupported // [MQTT-3.2.2-13]
            : will.PayloadIsText && _broker.Limits.CheckPayloadFormat && !System.Text.Unicode.Utf8.IsValid(will.Payload)
                ? ReasonCode.PayloadFormatInvalid
            : null;
    }

    /// <summary>How long the session may outlive the connection, as CONNECT wants it and the plan allows it.</summary>
    internal uint GrantedExpirySeconds(Rights rights) => rights.Plan.CleanSessionOnly ? 0 : Connect.SessionExpirySeconds;

    /// <returns>True when connected, false when refused, null when the verdict no longer stands.</returns>
    private bool? OpenSession(ConnectVerdict.Accepted accepted)
    {
        var lane = _broker.LaneOf(accepted.HubId);
        lane.Enter();
        try
        {
            if (accepted.StillStands is { } stillStands && !stillStands())
            {
                return null;
            }
            if (Phase == ConnectionPhase.Closed)
            {
                return false;
            }
            if (_broker.ClosedBecause is { } closed)
            {
                // Here as well: whoever is let in behind the broker's farewell would be overlooked.
                return !Refuse(closed) && false;
            }
            var clientId = accepted.ClientId.Length > 0 ? accepted.ClientId : $"auto-{Guid.NewGuid():N}";
            var properties = IsV5 ? ConnAckProperties(accepted.Rights, clientId) : null;
            // A session that was there changes a bit of it, not its size.
            var connAck = ServerPackets.ConnAck(Connect.Level, false, ReasonCode.Success, properties);
            if ((uint)connAck.Length > MaximumPacketSize)
            {
                // Before a session is touched: a client that cannot take its CONNACK cannot be served. [MQTT-3.1.2-24]
                return !Refuse(ReasonCode.PacketTooLarge) && false;
            }
            if (lane.Damage is not null)
            {
                return !Refuse(ReasonCode.ServerUnavailable) && false;
            }
            var hub = _broker.HubOn(lane, accepted.HubId);
            var key = new SessionKey(accepted.DeviceId, clientId);
            if (lane.RefusesWork && (GrantedExpirySeconds(accepted.Rights) > 0 || hub.Sessions.GetValueOrDefault(key) is { IsStored: true }))
            {
                return !Refuse(ReasonCode.ServerBusy) && false;
            }
            var mark = lane.Mark;
            if (hub.Open(this, key, accepted.Rights) is not { } opened)
            {
                return !Refuse(ReasonCode.QuotaExceeded) && false;
            }
            Lane = lane;
            HoldIfRecorded(mark);
            if (opened.WasPresent)
            {
                connAck = ServerPackets.ConnAck(Connect.Level, true, ReasonCode.Success, properties);
            }
            else
            {
                HoldIfRemoved();
            }
            BecomeConnected(lane, opened.Session, connAck);
            return true;
        }
        finally
        {
            lane.Leave();
        }
    }

    private void BecomeConnected(Lane lane, Session session, byte[] connAck)
    {
        _broker.NoLongerWaiting(this);
        lane.Connections.Add(this);
        Session = session;
        Phase = ConnectionPhase.Connected;
        _lastPacketAt = lane.Now;
        SendWindow = Math.Min(Connect.ReceiveMaximum, _broker.Limits.InFlightMaximum);
        _keepAliveMs = KeepAlive() * 1000L;
        lane.LookAt(DueAt);
        var aliases = Math.Min(Connect.TopicAliasMaximum, _broker.Limits.OutgoingTopicAliasMaximum);
        _outgoingAliases = aliases > 0 ? new OutgoingAliases(aliases) : null;
        Send(connAck);
        var now = _broker.Time.GetUtcNow();
        _broker.Outbound.Activity(session.Hub.Id, new ActivityReport(session.Key.DeviceId, true, now));
        session.Hub.Resume(session);
    }

    private ushort KeepAlive()
    {
        var maximum = _broker.Limits.KeepAliveSecondsMaximum;
        // Only a 5.0 client can be told another value. [MQTT-3.2.2-21]
        return IsV5 && maximum > 0 && (Connect.KeepAliveSeconds == 0 || Connect.KeepAliveSeconds > maximum) ? maximum : Connect.KeepAliveSeconds;
    }

    private PropertyWriter ConnAckProperties(Rights rights, string clientId)
    {
        var limits = _broker.Limits;
        var properties = new PropertyWriter()
            .UInt16(PropertyId.ReceiveMaximum, limits.ReceiveMaximum)
            .UInt32(PropertyId.MaximumPacketSize, (uint)limits.MaximumPacketSize)
            .UInt16(PropertyId.TopicAliasMaximum, limits.TopicAliasMaximum);
        if (GrantedExpirySeconds(rights) != Connect.SessionExpirySeconds)
        {
            properties.UInt32(PropertyId.SessionExpiryInterval, GrantedExpirySeconds(rights));
        }
        if (rights.Plan.NoQos2Publish)
        {
            properties.Byte(PropertyId.MaximumQos, 1);
        }
        if (rights.Plan.NoRetain)
        {
            properties.Byte(PropertyId.RetainAvailable, 0);
        }
        if (Connect.ClientId.Length == 0)
        {
            properties.Text(PropertyId.AssignedClientIdentifier, clientId);
        }
        if (KeepAlive() is var keepAlive && keepAlive != Connect.KeepAliveSeconds)
        {
            properties.UInt16(PropertyId.ServerKeepAlive, keepAlive);
        }
        if (Connect.AuthenticationMethod is { } method)
        {
            // [MQTT-4.12.0-5]
            properties.Text(PropertyId.AuthenticationMethod, method).Binary(PropertyId.AuthenticationData, _serverProof);
        }
        if (Connect.RequestResponseInformation && limits.ResponseInformation is { Length: > 0 } information)
        {
            properties.Text(PropertyId.ResponseInformation, information);
        }
        return properties;
    }

    private string? OtherServer(ReasonCode reason) => reason == ReasonCode.UseAnotherServer ? _broker.HandOverTo : null;

    /// <summary>Says no before a session exists, and closes. Always true: what still comes in is dropped until the client is gone.</summary>
    private bool Refuse(ReasonCode reason, string? text = null)
    {
        Phase = ConnectionPhase.Closing;
        AcceptedAt = _broker.Time.GetTimestamp();
        _inbound.Clear();
        var level = IsV5 ? ProtocolLevel.Mqtt5 : ProtocolLevel.Mqtt311;
        if (level == ProtocolLevel.Mqtt311 && ServerPackets.ReturnCode(reason) == 0xFF)
        {
            Channel.FinishSending();
            return true;
        }
        var packet = IsV5 ? ServerPackets.RefusingConnAck(reason, text ?? ReasonText.Of(reason), MaximumPacketSize, OtherServer(reason))
            : ServerPackets.ConnAck(level, false, reason, null);
        if ((uint)packet.Length > MaximumPacketSize || Channel.Send(packet, packet.Length, Channel.FinishSending))
        {
            Channel.FinishSending();
        }
        return true;
    }
}
