using IotHub.Broker.Auth;
using IotHub.Broker.Protocol;
using IotHub.Broker.Protocol.Packets;

namespace IotHub.Broker;

/// <content>Enhanced authentication between CONNECT and CONNACK, and again on an open connection. (MQTT 5.0 section 4.12)</content>
public sealed partial class Connection
{
    private const string NotProven = "the client has not proven who it is";

    private IAuthenticationExchange? _exchange;
    private string? _provenName;
    private byte[]? _serverProof;

    private async ValueTask<bool> BeginAuthentication()
    {
        if (_broker.EnhancedAuthentication is not { } enhanced || enhanced.Method != Connect.AuthenticationMethod)
        {
            // [MQTT-4.12.0-1]
            return Refuse(ReasonCode.BadAuthenticationMethod);
        }
        _exchange = enhanced.Begin();
        // What the client sent behind its CONNECT without waiting is looked at in the second call.
        return await ContinueAuthentication(Connect.AuthenticationData).ConfigureAwait(false)
            && await ReceiveAuthentication(default).ConfigureAwait(false);
    }

    /// <summary>Bytes from a client that was asked to go on. Nothing but AUTH and DISCONNECT may come. [MQTT-3.1.2-30]</summary>
    private async ValueTask<bool> ReceiveAuthentication(ReadOnlyMemory<byte> data)
    {
        _inbound.Append(data.Span);
        while (Phase == ConnectionPhase.ExchangingAuthentication && _inbound.Length > 0)
        {
            if (TryReadAuthentication(out var packet) is { } problem)
            {
                return Refuse(problem);
            }
            if (packet is null)
            {
                return Phase != ConnectionPhase.Closed;
            }
            if (!await ContinueAuthentication(packet.Data).ConfigureAwait(false))
            {
                return false;
            }
        }
        return Phase != ConnectionPhase.Closed;
    }

    /// <returns>What is wrong with what came, or null; then the packet is null while more of it is needed.</returns>
    private ReasonCode? TryReadAuthentication(out Protocol.Packets.Auth? packet)
    {
        packet = null;
        switch (FrameReader.TryRead(_inbound.Span, _broker.Limits.MaximumConnectSize, out var frame, out var size))
        {
            case FrameResult.NeedMore:
                return null;
            case FrameResult.Malformed:
                return ReasonCode.MalformedPacket;
            case FrameResult.TooLarge:
                return ReasonCode.PacketTooLarge;
            default:
                break;
        }
        if (frame.Type == PacketType.Disconnect)
        {
            Phase = ConnectionPhase.Closing;
            _inbound.Clear();
            Channel.FinishSending();
            return null;
        }
        if (frame.Type != PacketType.Auth)
        {
            return ReasonCode.ProtocolError;
        }
        try
        {
            packet = Protocol.Packets.Auth.Read(frame.FirstByte, frame.Body);
        }
        catch (MqttException e)
        {
            return e.Reason;
        }
        _inbound.Consume(size);
        // [MQTT-4.12.0-3] [MQTT-4.12.0-5]
        return packet.Reason == ReasonCode.ContinueAuthentication && packet.Method == Connect.AuthenticationMethod
            ? null
            : ReasonCode.ProtocolError;
    }

    private async ValueTask<bool> ContinueAuthentication(byte[]? data)
    {
        Phase = ConnectionPhase.Authenticating;
        switch (_exchange!.Next(data))
        {
            case AuthenticationStep.Challenge challenge:
                var packet = AuthenticationPacket(ReasonCode.ContinueAuthentication, challenge.Data);
                if ((uint)packet.Length > MaximumPacketSize)
                {
                    return Refuse(ReasonCode.PacketTooLarge);
                }
                // Before it is sent: from here on the client is waited for, and a client that does not even read is late as well.
                Phase = ConnectionPhase.ExchangingAuthentication;
                await SendBeforeSession(packet).ConfigureAwait(false);
                return Phase != ConnectionPhase.Closed;
            case AuthenticationStep.Proven proven:
                (_exchange, _provenName, _serverProof) = (null, proven.Name, proven.Data);
                return await OpenAndGoOn().ConfigureAwait(false);
            default:
                // [MQTT-4.12.0-4]
                return Refuse(ReasonCode.NotAuthorized, NotProven);
        }
    }

    /// <summary>Sends outside of a lane, to a client that has no session yet; done when the socket has taken it.</summary>
    private Task SendBeforeSession(byte[] packet)
    {
        var sent = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        return Channel.Send(packet, packet.Length, sent.SetResult) ? Task.CompletedTask : sent.Task;
    }

    private byte[] AuthenticationPacket(ReasonCode reason, byte[] data)
    {
        var properties = new PropertyWriter().Text(PropertyId.AuthenticationMethod, Connect.AuthenticationMethod!);
        return ServerPackets.Auth(reason, data.Length == 0 ? properties : properties.Binary(PropertyId.AuthenticationData, data));
    }

    /// <summary>AUTH on an open connection: the client proves itself anew, while everything else goes on. (MQTT 5.0 section 4.12.1)</summary>
    private void HandleAuth(Protocol.Packets.Auth auth)
    {
        if (Connect.AuthenticationMethod is not { } method)
        {
            MqttException.Protocol("AUTH without an authentication method in CONNECT [MQTT-4.12.0-7]");
            return;
        }
        if (auth.Method != method)
        {
            MqttException.Protocol("AUTH with another authentication method than CONNECT [MQTT-4.12.0-5] [MQTT-4.12.1-1]");
        }
        if (auth.Reason != (_exchange is null ? ReasonCode.ReAuthenticate : ReasonCode.ContinueAuthentication))
        {
            MqttException.Protocol("this AUTH does not belong here [MQTT-3.15.2-1]");
        }
        _exchange ??= _broker.EnhancedAuthentication!.Begin();
        switch (_exchange.Next(auth.Data))
        {
            case AuthenticationStep.Challenge challenge:
                Send(AuthenticationPacket(ReasonCode.ContinueAuthentication, challenge.Data));
                break;
            case AuthenticationStep.Proven proven when proven.Name == _provenName:
                _exchange = null;
                Send(AuthenticationPacket(ReasonCode.Success, proven.Data));
                break;
            default:
                // Also for another name: the session belongs to the first one. [MQTT-4.12.1-2]
                End(ReasonCode.NotAuthorized, publishWill: true, NotProven);
                break;
        }
    }
}
