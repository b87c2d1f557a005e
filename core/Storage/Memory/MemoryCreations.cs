namespace IotHub.Core.Storage.Memory;

/// <summary>Creations of one process.</summary>
public sealed class MemoryCreations : ICreations
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Creation> _creations = new(StringComparer.Ordinal);

    public Task<Creation?> Find(string key, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            return Task.FromResult(_creations.GetValueOrDefault(key));
        }
    }

    public Task<Creation> Begin(Creation creation, DateTimeOffset forgetBefore, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            if (!_creations.TryGetValue(creation.Key, out var stored) || stored.At < forgetBefore)
            {
                _creations[creation.Key] = stored = creation;
            }
            return Task.FromResult(stored);
        }
    }

    public Task Finish(Creation creation, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            _creations[creation.Key] = creation with { IsDone = true };
        }
        return Task.CompletedTask;
    }

    public Task Trim(DateTimeOffset before, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        lock (_lock)
        {
            foreach (var creation in _creations.Values.Where(creation => creation.At < before).ToList())
            {
                _creations.Remove(creation.Key);
            }
        }
        return Task.CompletedTask;
    }
}
