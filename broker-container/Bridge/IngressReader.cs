using System.Text;
using IotHub.Core.Messages;
using IotHub.Core.Queues;

namespace IotHub.Broker.Bridge;

/// <summary>
/// Publishes what networks accepted while the broker did not answer. A message leaves the ingress queue only when it is published or
/// its hub is gone; one that nobody can read goes to a queue of its own, where an operator finds it.
/// </summary>
public sealed partial class IngressReader(
    IMessageQueue ingress, IMessageQueue poison, IPayloads payloads, InboundBridge inbound, TimeProvider clock, BridgeLimits limits,
    ILogger<IngressReader> logger)
{
    public const string PoisonQueue = StorageNames.IngressQueue + "-poison";

    private const int MessagesPerRead = 32;
    private static readonly string BlobsOfIngress = EnvelopeQueue.IngressPayloadName(Guid.Empty, Guid.Empty).Split('/')[0] + "/";

    private bool _failing;

    private enum Fate { Done, HubIsOff, NotNow }

    public async Task Run(CancellationToken cancel)
    {
        try
        {
            var pause = limits.ShortestIngressPause;
            while (true)
            {
                if (await Step(cancel))
                {
                    pause = limits.ShortestIngressPause;
                    continue;
                }
                await Task.Delay(pause, clock, cancel);
                pause = pause * 2 < limits.LongestIngressPause ? pause * 2 : limits.LongestIngressPause;
            }
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
        }
    }

    /// <summary>Reads the queue once.</summary>
    /// <returns>True when there may be more to do at once.</returns>
    internal async Task<bool> Step(CancellationToken cancel)
    {
        if (!inbound.IsOpen)
        {
            return false;
        }
        try
        {
            var messages = await ingress.Receive(MessagesPerRead, limits.IngressHideTime, cancel);
            for (var i = 0; i < messages.Count; i++)
            {
                if (await Handle(messages[i], cancel) == Fate.NotNow)
                {
                    // In order: what came later waits as well.
                    await ReturnAll(messages.Skip(i), cancel);
                    return false;
                }
            }
            if (_failing)
            {
                Log.Works(logger);
            }
            _failing = false;
            return messages.Count > 0;
        }
        catch (Exception e) when (!cancel.IsCancellationRequested)
        {
            if (!_failing)
            {
                Log.Fails(logger, e.Message);
            }
            _failing = true;
            return false;
        }
    }

    private async Task<Fate> Handle(QueuedMessage queued, CancellationToken cancel)
    {
        IngressEnvelope envelope;
        byte[]? payload;
        try
        {
            envelope = queued.Body is { } body
                ? EnvelopeJson.Read<IngressEnvelope>(body.Span)
                : throw new FormatException("it is not base64");
            payload = await PayloadOf(envelope.Message, cancel);
        }
        catch (Exception e) when (e is FormatException or InvalidDataException)
        {
            return await Poison(queued, e.Message, cancel);
        }
        if (payload is null)
        {
            return await Poison(queued, $"its payload {envelope.Message.PayloadBlob} is gone", cancel);
        }
        var message = new DeviceMessage(
            envelope.Message.Id, envelope.Message.Topic, payload, envelope.Message.Retain, envelope.Message.ReceivedAt);
        // What a route sent must not come back to it; a network's id is no route's.
        switch (await inbound.Accept(envelope.HubId, message, exceptRoute: envelope.SourceId, cancel))
        {
            case InboundOutcome.Accepted:
                return await Done(queued, envelope, cancel);
            case InboundOutcome.UnknownHub:
                Log.HubGone(logger, message.Id, envelope.HubId);
                return await Done(queued, envelope, cancel);
            case InboundOutcome.TopicInvalid:
                return await Poison(queued, "its topic is not valid", cancel);
            case InboundOutcome.HubNotReady:
                await ingress.Return(queued, limits.IngressRetryWhenHubIsOff, cancel);
                return Fate.HubIsOff;
            default:
                return Fate.NotNow;
        }
    }

    private async Task<byte[]?> PayloadOf(EnvelopeMessage message, CancellationToken cancel) => message switch
    {
        { Payload: { } inline } => inline,
        { PayloadBlob: { } name } => await payloads.Get(name, limits.PayloadBytes, cancel),
        _ => throw new FormatException("it has neither a payload nor a payload blob"),
    };

    // The message first: a payload without a message is litter, a message without its payload is lost.
    private async Task<Fate> Done(QueuedMessage queued, IngressEnvelope envelope, CancellationToken cancel)
    {
        await ingress.Delete(queued, cancel);
        if (envelope.Message.PayloadBlob is { } name && name.StartsWith(BlobsOfIngress, StringComparison.Ordinal))
        {
            await payloads.Delete(name, cancel);
        }
        return Fate.Done;
    }

    private async Task<Fate> Poison(QueuedMessage queued, string reason, CancellationToken cancel)
    {
        Log.Unreadable(logger, queued.Id, reason, PoisonQueue);
        var bytes = queued.Body ?? Encoding.UTF8.GetBytes(queued.Text);
        await poison.Send(bytes[..Math.Min(bytes.Length, IMessageQueue.MaximumBodyBytes)], TimeSpan.Zero, cancel);
        await ingress.Delete(queued, cancel);
        return Fate.Done;
    }

    private async Task ReturnAll(IEnumerable<QueuedMessage> messages, CancellationToken cancel)
    {
        foreach (var message in messages)
        {
            await ingress.Return(message, limits.LongestIngressPause, cancel);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning, "The ingress queue cannot be worked on, trying until it works: {Reason}")]
        public static partial void Fails(ILogger logger, string reason);

        [LoggerMessage(2, LogLevel.Information, "The ingress queue can be worked on again")]
        public static partial void Works(ILogger logger);

        [LoggerMessage(3, LogLevel.Warning, "Message {MessageId} from the ingress queue is dropped: its hub {HubId} is gone")]
        public static partial void HubGone(ILogger logger, Guid messageId, Guid hubId);

        [LoggerMessage(4, LogLevel.Error,
            "Queue message {Id} of the ingress queue cannot be published, {Reason}. It stands on the queue {Poison} now")]
        public static partial void Unreadable(ILogger logger, string id, string reason, string poison);
    }
}
