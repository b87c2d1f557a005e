using System.Globalization;

namespace IotHub.Core.Queues.Memory;

/// <summary>A queue in this process, with the visibility rules of the real one.</summary>
public sealed class MemoryQueue(TimeProvider clock) : IMessageQueue
{
    private readonly Lock _lock = new();
    private readonly List<Stored> _messages = [];
    private long _last;

    /// <summary>Messages on the queue, hidden ones included.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _messages.Count;
            }
        }
    }

    public Task Send(ReadOnlyMemory<byte> body, TimeSpan delay = default, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        ArgumentOutOfRangeException.ThrowIfGreaterThan(body.Length, IMessageQueue.MaximumBodyBytes);
        Add(Convert.ToBase64String(body.Span), delay);
        return Task.CompletedTask;
    }

    /// <summary>Puts a text as it is, as a writer would that does not keep to the encoding.</summary>
    public void AddText(string text) => Add(text, TimeSpan.Zero);

    public Task<IReadOnlyList<QueuedMessage>> Receive(int maximum, TimeSpan hideFor, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            var now = clock.GetUtcNow();
            List<QueuedMessage> taken = [];
            foreach (var message in _messages.Where(message => message.VisibleAt <= now).Take(maximum))
            {
                message.VisibleAt = now + hideFor;
                message.DequeueCount++;
                message.Receipt = Next();
                var body = QueueText.Decode(message.Text);
                taken.Add(new QueuedMessage(message.Id, message.Receipt, body, message.Text, message.DequeueCount));
            }
            return Task.FromResult<IReadOnlyList<QueuedMessage>>(taken);
        }
    }

    public Task Delete(QueuedMessage message, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            _messages.RemoveAll(stored => stored.Id == message.Id && stored.Receipt == message.Receipt);
        }
        return Task.CompletedTask;
    }

    public Task Return(QueuedMessage message, TimeSpan delay, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            if (_messages.Find(stored => stored.Id == message.Id && stored.Receipt == message.Receipt) is { } found)
            {
                found.VisibleAt = clock.GetUtcNow() + delay;
            }
        }
        return Task.CompletedTask;
    }

    private void Add(string text, TimeSpan delay)
    {
        lock (_lock)
        {
            _messages.Add(new Stored { Id = Next(), Text = text, VisibleAt = clock.GetUtcNow() + delay });
        }
    }

    private string Next() => (++_last).ToString(CultureInfo.InvariantCulture);

    private sealed class Stored
    {
        public required string Id { get; init; }
        public required string Text { get; init; }
        public required DateTimeOffset VisibleAt { get; set; }
        public string Receipt { get; set; } = "";
        public long DequeueCount { get; set; }
    }
}
