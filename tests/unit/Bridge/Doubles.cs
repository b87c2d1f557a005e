using IotHub.Core.Queues;
using IotHub.Core.Queues.Memory;
using IotHub.Core.Storage;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace IotHub.Unit.Bridge;

/// <summary>A feed whose writers' clock is behind.</summary>
internal sealed class LateFeed(IChangeFeed inner) : IChangeFeed
{
    private readonly List<RegistryChange> _late = [];

    public TimeSpan Behind { get; init; }

    public async Task Append(Guid hubId, ChangedKind kind, Guid id, CancellationToken cancel = default)
    {
        await inner.Append(hubId, kind, id, cancel);
        var written = (await inner.ReadSince(DateTimeOffset.MinValue, cancel))[^1];
        _late.Add(written with { At = written.At - Behind });
    }

    public Task<IReadOnlyList<RegistryChange>> ReadSince(DateTimeOffset since, CancellationToken cancel = default) =>
        Task.FromResult<IReadOnlyList<RegistryChange>>([.. _late.Where(change => change.At >= since)]);

    public Task<IReadOnlyList<RegistryChange>> ReadHours(DateTimeOffset from, DateTimeOffset until, CancellationToken cancel = default) =>
        inner.ReadHours(from, until, cancel);

    public Task Trim(DateTimeOffset before, CancellationToken cancel = default) => inner.Trim(before, cancel);
}

internal static class Logging
{
    public static ILogger<T> None<T>() => NullLogger<T>.Instance;
}

/// <summary>A queue in memory that can be down, or slow.</summary>
internal sealed class FailingQueue(TimeProvider clock) : IMessageQueue
{
    private TaskCompletionSource? _hold;
    private int _tries;

    public MemoryQueue Inner { get; } = new(clock);
    public bool Fails { get; set; }

    /// <summary>Calls of <see cref="Send"/>, failed ones included.</summary>
    public int Tries => _tries;

    /// <summary>Sends wait until the returned action is called.</summary>
    public Action Hold()
    {
        var hold = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _hold = hold;
        return () =>
        {
            _hold = null;
            hold.SetResult();
        };
    }

    public async Task Send(ReadOnlyMemory<byte> body, TimeSpan delay = default, CancellationToken cancel = default)
    {
        Interlocked.Increment(ref _tries);
        if (_hold is { } hold)
        {
            await hold.Task.WaitAsync(cancel);
        }
        ThrowWhenDown();
        await Inner.Send(body, delay, cancel);
    }

    public Task<IReadOnlyList<QueuedMessage>> Receive(int maximum, TimeSpan hideFor, CancellationToken cancel = default)
    {
        ThrowWhenDown();
        return Inner.Receive(maximum, hideFor, cancel);
    }

    public Task Delete(QueuedMessage message, CancellationToken cancel = default)
    {
        ThrowWhenDown();
        return Inner.Delete(message, cancel);
    }

    public Task Return(QueuedMessage message, TimeSpan delay, CancellationToken cancel = default)
    {
        ThrowWhenDown();
        return Inner.Return(message, delay, cancel);
    }

    private void ThrowWhenDown()
    {
        if (Fails)
        {
            throw new QueueUnavailableException("queue: no answer", new IOException());
        }
    }
}
