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

    private async ValueTask<bool> ReceiveConnect(ReadOnlyMemory<byte> data)
    {
        _inbound.Append(data.Span);
        switch (TryReadConnect(out var problem))
        {
            case ConnectRead.NeedMore:
                return true;
            case ConnectRead.Refused:
                return problem is { } reason && Refuse(reason);
            default:
                break;
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
    private ConnectRead TryReadConnect(out ReasonCode? problem)
    {
        problem = null;
        var result = FrameReader.TryRead(_inbound.Span, _broker.Limits.MaximumConnectSize, out var frame, out var size);
        if (_inbound.Span[0] >> 4 != (int)PacketType.Connect || result is FrameResult.Malformed or FrameResult.TooLarge)
        {
            return ConnectRead.Refused;
        }
        if (result == FrameResult.NeedMore)
        {
            return ConnectRead.NeedMore;
        }
        try
        {
            Connect = Connect.Read(frame.FirstByte, frame.Body);
        }
        catch (UnsupportedLevelException e)
        {
            // [MQTT-3.1.2-2]: 3.1.1 demands this answer, in the form that the client's version is likely to know.
            IsV5 = e.Level >= ProtocolLevel.Mqtt5;
            problem = ReasonCode.UnsupportedProtocolVersion;
            return ConnectRead.Refused;
        }
        catch (MqttException e)
        {
            // Only a body that says that it is 5.0 gets a CONNACK with a code.
            IsV5 = frame.Body.Length > 6 && frame.Body[..7].SequenceEqual("\0\u0004MQTT\u0005"u8);
            problem = IsV5 ? e.Reason : null;
            return ConnectRead.Refused;
        }
        IsV5 = Connect.IsV5;
        MaximumPacketSize = Connect.MaximumPacketSize;
        _inbound.Consume(size);
        return ConnectRead.Complete;
    }

    private async ValueTask<bool> Open()
    {
        if (CheckClientId() is { } wrong)
        {
            return !Refuse(wrong) && false;
        }
        var attempt = new ConnectAttempt(
            Connect.Level, Connect.ClientId, Connect.UserName, Connect.Password, Connect.CleanStart, Channel.ClientCertificate,
            Channel.IsEncrypted, Channel.RemoteAddress, PacketText.Of(0x10, Connect.RemainingLength))
        {
            ProvenName = _provenName,
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
            if (OpenSession((ConnectVerdict.Accepted)verdict) is { } opened)
            {
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
            var clientId = accepted.ClientId.Length > 0 ? accepted.ClientId : $"auto-{Guid.NewGuid():N}";
            var hub = _broker.HubOn(lane, accepted.HubId);
            if (hub.Open(this, new SessionKey(accepted.DeviceId, clientId), accepted.Rights) is not { } opened)
            {
                return !Refuse(ReasonCode.QuotaExceeded) && false;
            }
            BecomeConnected(lane, opened.Session, opened.WasPresent, clientId);
            return true;
        }
        finally
        {
            lane.Leave();
        }
    }

    private void BecomeConnected(Lane lane, Session session, bool wasPresent, string clientId)
    {
        _broker.NoLongerWaiting(this);
        Lane = lane;
        lane.Connections.Add(this);
        Session = session;
        Phase = ConnectionPhase.Connected;
        _lastPacketAt = lane.Now;
        SendWindow = Math.Min(Connect.ReceiveMaximum, _broker.Limits.InFlightMaximum);
        var keepAlive = KeepAlive();
        _keepAliveMs = keepAlive * 1000L;
        Send(ServerPackets.ConnAck(
            Connect.Level, wasPresent, ReasonCode.Success, IsV5 ? ConnAckProperties(session, clientId, keepAlive) : null));
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

    private PropertyWriter ConnAckProperties(Session session, string clientId, ushort keepAlive)
    {
        var limits = _broker.Limits;
        var properties = new PropertyWriter()
            .UInt16(PropertyId.ReceiveMaximum, limits.ReceiveMaximum)
            .UInt32(PropertyId.MaximumPacketSize, (uint)limits.MaximumPacketSize)
            .UInt16(PropertyId.TopicAliasMaximum, limits.TopicAliasMaximum);
        if (session.ExpirySeconds != Connect.SessionExpirySeconds)
        {
            properties.UInt32(PropertyId.SessionExpiryInterval, session.ExpirySeconds);
        }
        if (session.Rights.Plan.NoQos2Publish)
        {
            properties.Byte(PropertyId.MaximumQos, 1);
        }
        if (session.Rights.Plan.NoRetain)
        {
            properties.Byte(PropertyId.RetainAvailable, 0);
        }
        if (Connect.ClientId.Length == 0)
        {
            properties.Text(PropertyId.AssignedClientIdentifier, clientId);
        }
        if (keepAlive != Connect.KeepAliveSeconds)
        {
            properties.UInt16(PropertyId.ServerKeepAlive, keepAlive);
        }
        if (Connect.AuthenticationMethod is { } method)
        {
            // [MQTT-4.12.0-5]
            properties.Text(PropertyId.AuthenticationMethod, method).Binary(PropertyId.AuthenticationData, _serverProof);
        }
        return properties;
    }

    /// <summary>Says no before a session exists, and closes. Always true: what still comes in is dropped until the client is gone.</summary>
    private bool Refuse(ReasonCode reason)
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
        var packet = ServerPackets.ConnAck(level, false, reason, null);
        if (Channel.Send(packet, packet.Length, Channel.FinishSending))
        {
            Channel.FinishSending();
        }
        return true;
    }
}
