using IotHub.Broker.Protocol;
using IotHub.Broker.Protocol.Packets;
using IotHub.Broker.Sessions;
using IotHub.Broker.Topics;

namespace IotHub.Broker;

/// <content>One method per packet kind that a connected client may send. All under the lane.</content>
public sealed partial class Connection
{
    private AckQueue? _acks;

    /// <summary>
    /// QoS 2 publishes that came on this connection and are not released. Those of an earlier one do not count: the client's quota began
    /// anew. (MQTT 5.0 section 4.9)
    /// </summary>
    private int _openQos2;
    private TopicEntry?[]? _aliases;
    private TopicEntry? _lastTopic;
    private TopicEntry? _allowedTopic;
    private Auth.Rights? _allowedBy;

    /// <summary>3.1 lets a client repeat its requests with DUP; from 3.1.1 on that bit is reserved. (MQTT 3.1 section 2.1)</summary>
    private byte FlagsOf(in Frame frame) => Connect.Level == ProtocolLevel.Mqtt31 ? (byte)(frame.FirstByte & ~0x08) : frame.FirstByte;

    private void Handle(in Frame frame)
    {
        switch (frame.Type)
        {
            case PacketType.Publish:
                HandlePublish(frame);
                break;
            case PacketType.PubAck or PacketType.PubRec or PacketType.PubComp:
                var acknowledgement = Acknowledgement.Read(frame.Type, frame.FirstByte, frame.Body, IsV5);
                Session!.Hub.Acknowledged(Session, this, frame.Type, acknowledgement);
                break;
            case PacketType.PubRel:
                HandlePubRel(Acknowledgement.Read(frame.Type, FlagsOf(frame), frame.Body, IsV5));
                break;
            case PacketType.Subscribe:
                HandleSubscribe(Subscribe.Read(FlagsOf(frame), frame.Body, IsV5, _broker.Limits.FiltersPerPacketMaximum), frame);
                break;
            case PacketType.Unsubscribe:
                HandleUnsubscribe(Unsubscribe.Read(FlagsOf(frame), frame.Body, IsV5, _broker.Limits.FiltersPerPacketMaximum));
                break;
            case PacketType.PingReq:
                HandlePing(frame);
                break;
            case PacketType.Disconnect:
                HandleDisconnect(Disconnect.Read(frame.FirstByte, frame.Body, IsV5));
                break;
            case PacketType.Connect:
                MqttException.Protocol("a second CONNECT [MQTT-3.1.0-2]");
                break;
            case PacketType.Auth when IsV5:
                HandleAuth(Protocol.Packets.Auth.Read(frame.FirstByte, frame.Body));
                break;
            case PacketType.ConnAck or PacketType.SubAck or PacketType.UnsubAck or PacketType.PingResp:
                MqttException.Protocol($"{frame.Type} from a client");
                break;
            default:
                throw new MqttException(ReasonCode.MalformedPacket, $"packet type {(int)frame.Type}")
                {
                    EventText = $"unknown MQTT message type: {(int)frame.Type}",
                };
        }
    }

    /// <summary>Alias to topic, plan, rights, then the hub; the acknowledgement leaves when the hub says so.</summary>
    private void HandlePublish(in Frame frame)
    {
        var publish = Publish.Read(frame.FirstByte, frame.Body, IsV5);
        Lane!.Counters.Published++;
        var topic = TopicOf(publish);
        var session = Session!;
        if (publish.Qos > 0 && IsV5 && (_acks?.PubAcks ?? 0) + _openQos2 >= _broker.Limits.ReceiveMaximum
            && session.IncomingQos2?.Contains(publish.PacketId) != true)
        {
            throw new MqttException(ReasonCode.ReceiveMaximumExceeded, "more open publishes than Receive Maximum [MQTT-3.3.4-7]");
        }
        if (publish.Qos == 2 && session.IncomingQos2?.Contains(publish.PacketId) == true)
        {
            HoldIfUncommitted();
            AcknowledgePublish(publish, ReasonCode.Success);
            return;
        }
        var isTwin = topic.IsTwin && _broker.Twins is not null;
        if (BreaksPlan(publish, frame) || (!isTwin && IsDenied(publish, topic, frame)) || HasWrongPayloadFormat(publish))
        {
            return;
        }
        if (isTwin)
        {
            HandleTwin(publish, topic, frame);
            return;
        }
        PublishTo(session, publish, topic, frame);
    }

    private void PublishTo(Session session, in Publish publish, TopicEntry topic, in Frame frame)
    {
        Span<byte> filtered = publish.AllPropertiesForwarded ? default
            : publish.Properties.Length <= 1024 ? stackalloc byte[1024] : new byte[publish.Properties.Length];
        var message = new PublishedMessage
        {
            Topic = topic,
            Properties = publish.AllPropertiesForwarded ? publish.Properties : filtered[..publish.CopyForwarded(filtered)],
            Payload = publish.Payload,
            Qos = publish.Qos,
            Retain = publish.Retain,
            PayloadIsText = publish.PayloadIsText,
            ExpirySeconds = publish.ExpirySeconds,
            ExpiresAt = publish.ExpirySeconds is { } seconds ? Lane!.Now + (seconds * 1000L) : long.MaxValue,
            Publisher = session,
            IncomingPacketId = publish.Qos == 2 ? publish.PacketId : (ushort)0,
            ReadyFrame = publish.Qos == 0 && publish.AllPropertiesForwarded ? frame.Whole : default,
            ReadyFrameIsV5 = IsV5,
        };
        if (publish.Qos == 0)
        {
            session.Hub.Publish(message, stored: null);
            return;
        }
        var held = topic.Routes.Length > 0 ? new HeldAck(this) : null;
        var mark = Lane!.Mark;
        var result = session.Hub.Publish(message, held is null ? null : held.Stored);
        if (Phase != ConnectionPhase.Connected)
        {
            return;
        }
        if (result == PublishResult.QuotaExceeded && !IsV5)
        {
            // 3.1.1 cannot say no: without an acknowledgement the client sends it again on its next connection. [MQTT-4.8.0-2]
            End(null, publishWill: true);
            return;
        }
        if (result != PublishResult.QuotaExceeded)
        {
            OpenIfQos2(publish);
        }
        HoldIfRecorded(mark);
        if (publish.Retain && result != PublishResult.QuotaExceeded)
        {
            // It may have been cleared before.
            HoldIfRemoved();
        }
        if (result == PublishResult.AwaitsStorage)
        {
            held!.Begin((_acks ??= new AckQueue()).Add(AckOf(publish), publish.PacketId, ReasonCode.Success, isReady: false));
            return;
        }
        AcknowledgePublish(publish, result switch
        {
            PublishResult.QuotaExceeded => ReasonCode.QuotaExceeded,
            PublishResult.NoMatchingSubscribers => ReasonCode.NoMatchingSubscribers,
            _ => ReasonCode.Success,
        });
    }

    /// <summary>From here on a repeat of a QoS 2 publish is known, until it is released. [MQTT-4.3.3-10]</summary>
    private void OpenIfQos2(in Publish publish)
    {
        if (publish.Qos == 2)
        {
            (Session!.IncomingQos2 ??= []).Add(publish.PacketId);
            _openQos2++;
        }
    }

    private static PacketType AckOf(in Publish publish) => publish.Qos == 1 ? PacketType.PubAck : PacketType.PubRec;

    /// <summary>PUBACK or PUBREC, behind those that still wait. [MQTT-4.6.0-2] [MQTT-4.6.0-3]</summary>
    private void AcknowledgePublish(in Publish publish, ReasonCode reason)
    {
        if (_acks is { IsEmpty: false } waiting)
        {
            waiting.Add(AckOf(publish), publish.PacketId, reason, isReady: true);
        }
        else
        {
            Acknowledge(AckOf(publish), publish.PacketId, reason);
        }
    }

    private TopicEntry TopicOf(in Publish publish)
    {
        if (publish.TopicAlias > _broker.Limits.TopicAliasMaximum)
        {
            throw new MqttException(ReasonCode.TopicAliasInvalid, "topic alias above the maximum [MQTT-3.3.2-9]");
        }
        if (publish.Topic.IsEmpty)
        {
            if (publish.TopicAlias == 0 || _aliases?[publish.TopicAlias] is not { } known)
            {
                throw new MqttException(
                    IsV5 ? ReasonCode.ProtocolError : ReasonCode.TopicNameInvalid, "an empty topic without a known alias [MQTT-3.3.2-1]")
                {
                    EventText = "empty topics are not authorized",
                };
            }
            Session!.Hub.Refresh(known);
            return known;
        }
        var topic = Session!.Hub.Resolve(publish.Topic, _lastTopic);
        if (topic is null)
        {
            throw new MqttException(
                Utf8Text.IsValid(publish.Topic) ? ReasonCode.TopicNameInvalid : ReasonCode.MalformedPacket,
                "the topic name is not valid [MQTT-3.3.2-1] [MQTT-3.3.2-2]");
        }
        _lastTopic = topic;
        if (publish.TopicAlias != 0)
        {
            (_aliases ??= new TopicEntry?[_broker.Limits.TopicAliasMaximum + 1])[publish.TopicAlias] = topic;
        }
        return topic;
    }

    /// <summary>What the hub's plan forbids ends the connection, with an event that says so.</summary>
    private bool BreaksPlan(in Publish publish, in Frame frame)
    {
        var plan = Session!.Rights.Plan;
        var isRetain = publish.Retain && plan.NoRetain;
        if (!isRetain && !(publish.Qos == 2 && plan.NoQos2Publish))
        {
            return false;
        }
        var session = Session;
        End(isRetain ? ReasonCode.RetainNotSupported : ReasonCode.QosNotSupported, publishWill: true);
        var text = isRetain ? "service level: publishing retained messages is forbidden on a shared hub"
            : "service level: publishing QoS 2 messages is forbidden on a shared hub";
        RaiseAbout(session, text, frame.FirstByte, frame.Body.Length);
        return true;
    }

    /// <summary>A topic that the device may not publish on: dropped with an event; acknowledged, so that it is not sent again.</summary>
    private bool IsDenied(in Publish publish, TopicEntry topic, in Frame frame)
    {
        var rights = Session!.Rights;
        var isOurs = topic.IsSys && _broker.OwnsSys;
        if ((rights.Unfiltered && !isOurs) || (ReferenceEquals(topic, _allowedTopic) && ReferenceEquals(rights, _allowedBy)))
        {
            return false;
        }
        if (!isOurs && rights.MayPublish(topic.Text))
        {
            (_allowedTopic, _allowedBy) = (topic, rights);
            return false;
        }
        RaiseAbout(Session, $"unauthorized topic {topic.Text}", frame.FirstByte, frame.Body.Length);
        if (publish.Qos > 0)
        {
            AcknowledgePublish(publish, IsV5 ? ReasonCode.NotAuthorized : ReasonCode.Success);
        }
        return true;
    }

    /// <summary>A payload that says it is text and is not. (MQTT 5.0 section 3.3.2.3.2)</summary>
    private bool HasWrongPayloadFormat(in Publish publish)
    {
        if (!publish.PayloadIsText || !_broker.Limits.CheckPayloadFormat || System.Text.Unicode.Utf8.IsValid(publish.Payload))
        {
            return false;
        }
        if (publish.Qos == 0)
        {
            throw new MqttException(ReasonCode.PayloadFormatInvalid, "the payload is not UTF-8 although it says so");
        }
        AcknowledgePublish(publish, ReasonCode.PayloadFormatInvalid);
        return true;
    }

    private void HandlePubRel(Acknowledgement release)
    {
        var session = Session!;
        var known = session.IncomingQos2?.Remove(release.PacketId) == true;
        if (known && session.IsStored)
        {
            session.Hub.RecordReleased(session, release.PacketId);
        }
        HoldIfUncommitted();
        _openQos2 -= known && _openQos2 > 0 ? 1 : 0;
        Acknowledge(PacketType.PubComp, release.PacketId, known ? ReasonCode.Success : ReasonCode.PacketIdentifierNotFound);
    }

    private void HandleSubscribe(Subscribe subscribe, in Frame frame)
    {
        var session = Session!;
        var codes = new byte[subscribe.Entries.Count];
        var mark = Lane!.Mark;
        List<Subscription>? retainedDue = null;
        for (var i = 0; i < codes.Length; i++)
        {
            var (code, due) = session.Hub.Subscribe(session, subscribe.Entries[i], subscribe.SubscriptionId, frame.Body.Length);
            codes[i] = IsV5 || code < ReasonCode.UnspecifiedError ? (byte)code : (byte)ReasonCode.UnspecifiedError;
            if (due is not null && session.Hub.Retained.Count > 0)
            {
                (retainedDue ??= []).Add(due);
            }
        }
        HoldIfRecorded(mark);
        var text = IsV5 && Connect.RequestProblemInformation ? WhyRefused(codes) : null;
        Send(ServerPackets.SubAck(subscribe.PacketId, codes, IsV5, text, MaximumPacketSize));
        if (Phase != ConnectionPhase.Connected)
        {
            return;
        }
        foreach (var subscription in retainedDue ?? [])
        {
            session.Hub.SendRetained(subscription);
        }
    }

    /// <summary>The first refusal among the codes of a SUBACK, in words.</summary>
    private static string? WhyRefused(byte[] codes)
    {
        var first = Array.FindIndex(codes, c => c >= (byte)ReasonCode.UnspecifiedError);
        return first >= 0 ? $"filter {first + 1}: {ReasonText.Of((ReasonCode)codes[first])}" : null;
    }

    private void HandleUnsubscribe(Unsubscribe unsubscribe)
    {
        var session = Session!;
        var codes = new byte[unsubscribe.Filters.Count];
        var mark = Lane!.Mark;
        for (var i = 0; i < codes.Length; i++)
        {
            codes[i] = (byte)session.Hub.Unsubscribe(session, unsubscribe.Filters[i]);
        }
        HoldIfRecorded(mark);
        Send(ServerPackets.UnsubAck(unsubscribe.PacketId, codes, IsV5));
    }

    private void HandlePing(in Frame frame)
    {
        if (frame.FirstByte != 0xC0 || frame.Body.Length > 0)
        {
            MqttException.Malformed("PINGREQ with flags or a body [MQTT-2.1.3-1]");
        }
        Send(ServerPackets.PingResponse);
    }

    /// <summary>The client says good-bye; only a code other than 0 lets its will go out. [MQTT-3.14.4-3]</summary>
    private void HandleDisconnect(Disconnect disconnect)
    {
        var session = Session!;
        if (disconnect.SessionExpirySeconds is { } expiry)
        {
            if (Connect.SessionExpirySeconds == 0 && expiry != 0)
            {
                MqttException.Protocol("DISCONNECT sets a session expiry where CONNECT had none");
            }
            session.ExpirySeconds = session.Rights.Plan.CleanSessionOnly ? 0 : expiry;
        }
        End(null, publishWill: disconnect.Reason != ReasonCode.Success);
    }

    /// <summary>An acknowledgement that waits until routes have their message.</summary>
    private sealed class HeldAck(Connection connection)
    {
        private long _ticket = -1;
        private bool _isStored;

        public void Begin(long ticket)
        {
            _ticket = ticket;
            if (_isStored)
            {
                connection._acks!.Release(ticket, connection.Acknowledge);
            }
        }

        /// <summary>From any thread.</summary>
        public void Stored()
        {
            var lane = connection.Lane!;
            lane.Enter();
            try
            {
                Release();
            }
            finally
            {
                lane.Leave();
            }
        }

        /// <summary>The same, under the lane.</summary>
        public void Release()
        {
            _isStored = true;
            connection.HoldIfUncommitted();
            if (_ticket >= 0 && connection.Phase == ConnectionPhase.Connected)
            {
                connection._acks!.Release(_ticket, connection.Acknowledge);
            }
        }
    }
}
