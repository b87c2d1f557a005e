using IotHub.Core.Messages;

namespace IotHub.Core.Queues;

public enum IntakeOutcome
{
    /// <summary>The broker has it.</summary>
    Published,

    /// <summary>The broker did not answer; the message stands on the <c>ingress</c> queue until the broker is back.</summary>
    Queued,
    TopicInvalid,
    UnknownHub,
    HubNotReady,
    TooLarge,

    /// <summary>Neither the broker nor the queue took it: the sender has to come again.</summary>
    Unavailable,
}

/// <summary>
/// The one way of a message into a hub from outside the broker: networks, replies of REST routes, events of routes. It takes the short
/// way over the broker's internal endpoint, and the way over the queue when the broker does not answer.
/// </summary>
public sealed class MessageIntake(BrokerClient broker, EnvelopeQueue ingress)
{
    public async Task<IntakeOutcome> Accept(IncomingMessage incoming, CancellationToken cancel = default)
    {
        switch (await broker.Publish(incoming, cancel).ConfigureAwait(false))
        {
            case BrokerAnswer.Accepted:
                return IntakeOutcome.Published;
            case BrokerAnswer.TopicInvalid:
                return IntakeOutcome.TopicInvalid;
            case BrokerAnswer.UnknownHub:
                return IntakeOutcome.UnknownHub;
            case BrokerAnswer.HubNotReady:
                return IntakeOutcome.HubNotReady;
            case BrokerAnswer.TooLarge:
                return IntakeOutcome.TooLarge;
            case BrokerAnswer.None:
            default:
                return await Queue(incoming, cancel).ConfigureAwait(false);
        }
    }

    private async Task<IntakeOutcome> Queue(IncomingMessage incoming, CancellationToken cancel)
    {
        var message = incoming.Message;
        var envelope = new IngressEnvelope
        {
            HubId = incoming.HubId,
            SourceId = incoming.SourceId,
            Message = new EnvelopeMessage
            {
                Id = message.Id,
                Topic = message.Topic,
                Payload = message.Payload.ToArray(),
                Retain = message.Retain,
                ReceivedAt = message.ReceivedAt,
            },
        };
        try
        {
            await ingress.Send(envelope, cancel).ConfigureAwait(false);
            return IntakeOutcome.Queued;
        }
        catch (Exception e) when (e is QueueUnavailableException or EnvelopeTooLargeException)
        {
            return IntakeOutcome.Unavailable;
        }
    }
}
