namespace IotHub.Core.Queues;

/// <summary>A queue of work between the two halves: at least once, roughly in order.</summary>
/// <exception cref="QueueUnavailableException">Storage did not answer or refused; whether a write had its effect is not known.</exception>
public interface IMessageQueue
{
    /// <summary>Largest body that fits one message; a longer one is refused with <see cref="ArgumentException"/>.</summary>
    const int MaximumBodyBytes = 48 * 1024;

    /// <summary>Puts a message on the queue, visible after <paramref name="delay"/>.</summary>
    Task Send(ReadOnlyMemory<byte> body, TimeSpan delay = default, CancellationToken cancel = default);

    /// <summary>Takes up to <paramref name="maximum"/> (1 to 32) messages and hides them from others for a while.</summary>
    Task<IReadOnlyList<QueuedMessage>> Receive(int maximum, TimeSpan hideFor, CancellationToken cancel = default);

    /// <summary>Done with it. Quiet when it is gone or someone else has it by now.</summary>
    Task Delete(QueuedMessage message, CancellationToken cancel = default);

    /// <summary>Not done: it shows up again after <paramref name="delay"/>. Quiet when it is gone or someone else has it by now.</summary>
    Task Return(QueuedMessage message, TimeSpan delay, CancellationToken cancel = default);
}

/// <param name="Receipt">Proof of having received it; needed to delete or return it.</param>
/// <param name="Body">The decoded bytes, or null when the text on the queue was not what this program's writers put there.</param>
/// <param name="Text">The text on the queue as it is.</param>
/// <param name="DequeueCount">How many times it was received, this time included.</param>
public sealed record QueuedMessage(string Id, string Receipt, ReadOnlyMemory<byte>? Body, string Text, long DequeueCount);

/// <summary>Payloads too large for a queue message, by name.</summary>
/// <exception cref="QueueUnavailableException">Storage did not answer or refused.</exception>
public interface IPayloads
{
    /// <summary>Stores or replaces.</summary>
    Task Put(string name, ReadOnlyMemory<byte> payload, CancellationToken cancel = default);

    /// <returns>Null when there is none.</returns>
    /// <exception cref="InvalidDataException">It is longer than <paramref name="maximumBytes"/>.</exception>
    Task<byte[]?> Get(string name, int maximumBytes, CancellationToken cancel = default);

    /// <summary>Quiet when there is none.</summary>
    Task Delete(string name, CancellationToken cancel = default);

    /// <summary>
    /// Drops those last stored before <paramref name="before"/>: one payload serves several routes, so no reader may delete it.
    /// </summary>
    Task Trim(DateTimeOffset before, CancellationToken cancel = default);
}

/// <summary>Queue or blob storage did not answer, or refused us.</summary>
public sealed class QueueUnavailableException(string message, Exception inner) : Exception(message, inner);
