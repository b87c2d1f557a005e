using IotHub.Broker.Bridge;
using IotHub.Broker.Protocol;
using IotHub.Broker.Protocol.Packets;
using IotHub.Broker.Sessions;
using IotHub.Broker.Topics;
using IotHub.Core.Messages;

namespace IotHub.Broker;

/// <content>
/// Requests to the device's twin, which are publishes under <c>$SCW/twins/</c>: taken out of the way of messages, answered to this
/// connection alone. The acknowledgement of a request at QoS 1 or 2 leaves when it was carried out. Message filters do not count here:
/// a device reaches its own twin and no other. (Scaleway IoT reference, in-band MQTT API)
/// </content>
public sealed partial class Connection
{
    private void HandleTwin(in Publish publish, TopicEntry topic, in Frame frame)
    {
        var session = Session!;
        var request = TwinTopic.Parse(topic.Text);
        if (request is not { } asked || !asked.IsOf(session.Key.DeviceId))
        {
            RaiseAbout(session, $"unauthorized topic {topic.Text}", frame.FirstByte, frame.Body.Length);
            if (request is not null)
            {
                RespondError(session, publish, topic.Text, "a device reaches only its own twin");
            }
            AcknowledgeTwin(publish, IsV5 ? ReasonCode.NotAuthorized : ReasonCode.Success);
            return;
        }
        if (publish.Payload.Length > _broker.Twins!.MaximumPayloadBytes)
        {
            RespondError(session, publish, topic.Text, $"the request has more than {_broker.Twins.MaximumPayloadBytes} bytes");
            AcknowledgeTwin(publish, ReasonCode.Success);
            return;
        }
        var work = new TwinRequest(session.Hub.Id, session.Key.DeviceId, asked.Document, asked.Method, publish.Payload.ToArray());
        var held = publish.Qos > 0 ? new HeldAck(this) : null;
        var correlation = publish.Find(PropertyId.CorrelationData).ToArray();
        if (!_broker.Twins.Offer(work, answer => TwinAnswered(session, topic.Text, answer, correlation, held)))
        {
            RespondError(session, publish, topic.Text, "too many requests: try again later");
            AcknowledgeTwin(publish, ReasonCode.Success);
            return;
        }
        if (held is not null)
        {
            OpenIfQos2(publish);
            session.Hub.RecordOpened(session, publish);
            held.Begin((_acks ??= new AckQueue()).Add(AckOf(publish), publish.PacketId, ReasonCode.Success, isReady: false));
        }
    }

    /// <summary>From any thread.</summary>
    private void TwinAnswered(Session session, string topic, TwinAnswer answer, byte[] correlation, HeldAck? held)
    {
        var lane = Lane!;
        lane.Enter();
        try
        {
            if (Phase == ConnectionPhase.Connected && ReferenceEquals(Session, session))
            {
                session.Hub.Respond(session, $"{topic}/response/{(answer.IsSuccess ? "success" : "error")}", answer.Payload, correlation);
            }
            held?.Release();
        }
        finally
        {
            lane.Leave();
        }
    }

    private static void RespondError(Session session, in Publish request, string topic, string error) => session.Hub.Respond(
        session, $"{topic}/response/error", TwinAnswer.Error(error).Payload, request.Find(PropertyId.CorrelationData));

    private void AcknowledgeTwin(in Publish publish, ReasonCode reason)
    {
        if (publish.Qos == 0)
        {
            return;
        }
        if (reason == ReasonCode.Success)
        {
            OpenIfQos2(publish);
        }
        AcknowledgePublish(publish, reason);
    }
}
