using System.Collections.Concurrent;

namespace IotHub.Core.Queues.Memory;

/// <summary>Payloads in this process.</summary>
public sealed class MemoryPayloads(TimeProvider? clock = null) : IPayloads
{
    private readonly TimeProvider _clock = clock ?? TimeProvider.System;
    private readonly ConcurrentDictionary<string, (byte[] Bytes, DateTimeOffset StoredAt)> _payloads = new();

    public int Count => _payloads.Count;

    public Task Put(string name, ReadOnlyMemory<byte> payload, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        _payloads[name] = (payload.ToArray(), _clock.GetUtcNow());
        return Task.CompletedTask;
    }

    public Task<byte[]?> Get(string name, int maximumBytes, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        var found = _payloads.TryGetValue(name, out var stored) ? stored.Bytes : null;
        return found is null || found.Length <= maximumBytes
            ? Task.FromResult(found)
            : throw new InvalidDataException($"payload {name} has {found.Length} bytes, more than {maximumBytes}");
    }

    public Task Delete(string name, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        _payloads.TryRemove(name, out _);
        return Task.CompletedTask;
    }

    public Task Trim(DateTimeOffset before, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        foreach (var (name, _) in _payloads.Where(payload => payload.Value.StoredAt < before))
        {
            _payloads.TryRemove(name, out _);
        }
        return Task.CompletedTask;
    }
}
