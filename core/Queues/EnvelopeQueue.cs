using IotHub.Core.Messages;

namespace IotHub.Core.Queues;

/// <summary>An envelope does not fit a queue message even without its payloads: its topics are too long.</summary>
public sealed class EnvelopeTooLargeException(int bytes)
    : Exception($"the envelope has {bytes} bytes without its payloads, a queue message holds {IMessageQueue.MaximumBodyBytes}");

/// <summary>
/// Puts envelopes on a queue. Payloads that make one too large go to blobs first, the largest first, so that a message on the queue never
/// refers to a blob that is not there. Format: docs/formats/queues.md.
/// </summary>
public sealed class EnvelopeQueue(IMessageQueue queue, IPayloads payloads)
{
    /// <summary>Largest payload of a message, the same on all ways in.</summary>
    public const int MaximumPayloadBytes = 4 * 1024 * 1024;

    /// <summary>
    /// With its hub: a sender may choose a message id, so equal ids on two hubs must not meet in one blob.
    /// </summary>
    public static string PayloadName(Guid hubId, Guid messageId) => $"{hubId}/{messageId}";

    /// <summary>
    /// On its way to the broker a message has a blob of its own: the broker deletes it once the message is published, and by then the
    /// same message may be owed to routes under the other name.
    /// </summary>
    public static string IngressPayloadName(Guid hubId, Guid messageId) => $"ingress/{hubId}/{messageId}";

    /// <exception cref="EnvelopeTooLargeException">It cannot be made to fit.</exception>
    /// <exception cref="QueueUnavailableException">Storage did not take it.</exception>
    public async Task Send(IngressEnvelope envelope, CancellationToken cancel = default)
    {
        var body = await Fit(
            id => IngressPayloadName(envelope.HubId, id), [envelope.Message],
            list => EnvelopeJson.Write(envelope with { Message = list[0] }), cancel).ConfigureAwait(false);
        await queue.Send(body, default, cancel).ConfigureAwait(false);
    }

    /// <inheritdoc cref="Send(IngressEnvelope, CancellationToken)"/>
    /// <param name="delay">How long it stays invisible.</param>
    public async Task Send(DeliveryEnvelope envelope, TimeSpan delay, CancellationToken cancel = default)
    {
        var body = await Fit(
            id => PayloadName(envelope.HubId, id), envelope.Messages,
            list => EnvelopeJson.Write(envelope with { Messages = list }), cancel).ConfigureAwait(false);
        await queue.Send(body, delay, cancel).ConfigureAwait(false);
    }

    /// <returns>Null when the payload's blob is gone.</returns>
    public async Task<byte[]?> PayloadOf(EnvelopeMessage message, CancellationToken cancel = default) => message switch
    {
        { Payload: { } inline } => inline,
        // An array: a null one made a ReadOnlyMemory on the way would be an empty payload, not a missing one.
        { PayloadBlob: { } name } => await payloads.Get(name, MaximumPayloadBytes, cancel).ConfigureAwait(false),
        _ => throw new FormatException($"message {message.Id} of an envelope has neither a payload nor a payload blob"),
    };

    private async Task<byte[]> Fit(
        Func<Guid, string> nameOf, IReadOnlyList<EnvelopeMessage> messages, Func<IReadOnlyList<EnvelopeMessage>, byte[]> write,
        CancellationToken cancel)
    {
        var fitting = messages.ToList();
        while (true)
        {
            var body = write(fitting);
            if (body.Length <= IMessageQueue.MaximumBodyBytes)
            {
                return body;
            }
            var largest = fitting.MaxBy(message => message.Payload?.Length ?? 0);
            if (largest?.Payload is not { Length: > 0 } payload)
            {
                throw new EnvelopeTooLargeException(body.Length);
            }
            var name = nameOf(largest.Id);
            await payloads.Put(name, payload, cancel).ConfigureAwait(false);
            fitting[fitting.IndexOf(largest)] = largest with { Payload = null, PayloadBlob = name };
        }
    }
}
