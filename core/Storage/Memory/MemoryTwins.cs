using System.Globalization;
using System.Text.Json.Nodes;
using IotHub.Core.Domain;

namespace IotHub.Core.Storage.Memory;

/// <summary>Twin documents in this process.</summary>
public sealed class MemoryTwins : ITwins
{
    private readonly Lock _lock = new();
    private readonly Dictionary<Guid, SortedDictionary<string, Versioned<TwinDocument>>> _twins = [];
    private readonly HashSet<(Guid HubId, Guid TwinId)> _hubs = [];
    private long _lastVersion;

    public Task<IReadOnlyList<string>> Names(Guid twinId, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            return Task.FromResult<IReadOnlyList<string>>(_twins.TryGetValue(twinId, out var twin) ? [.. twin.Keys] : []);
        }
    }

    public Task<Versioned<TwinDocument>?> Get(Guid twinId, string name, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            return Task.FromResult(_twins.GetValueOrDefault(twinId)?.GetValueOrDefault(name));
        }
    }

    public Task Create(Guid hubId, TwinDocument document, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            _hubs.Add((hubId, document.TwinId));
            if (!_twins.TryGetValue(document.TwinId, out var twin))
            {
                _twins[document.TwinId] = twin = new(StringComparer.Ordinal);
            }
            if (!twin.TryAdd(document.Name, Stamp(document)))
            {
                throw new AlreadyExistsException("twin_document", document.TwinId, "name");
            }
        }
        return Task.CompletedTask;
    }

    public Task Replace(Versioned<TwinDocument> document, CancellationToken cancel = default)
    {
        var next = document.Value;
        lock (_lock)
        {
            if (_twins.GetValueOrDefault(next.TwinId)?.GetValueOrDefault(next.Name)?.Version != document.Version)
            {
                throw new StaleVersionException($"document {next.Name} of twin {next.TwinId}");
            }
            _twins[next.TwinId][next.Name] = Stamp(next);
        }
        return Task.CompletedTask;
    }

    public Task<bool> Delete(Guid twinId, string name, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            return Task.FromResult(_twins.GetValueOrDefault(twinId)?.Remove(name) ?? false);
        }
    }

    public Task DeleteAll(Guid twinId, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            _twins.Remove(twinId);
        }
        return Task.CompletedTask;
    }

    public Task<IReadOnlyList<Guid>> OfHub(Guid hubId, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            return Task.FromResult<IReadOnlyList<Guid>>([.. _hubs.Where(known => known.HubId == hubId).Select(known => known.TwinId)]);
        }
    }

    public Task Moved(Guid twinId, Guid from, Guid? to, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            if (_hubs.Remove((from, twinId)) && to is { } hubId)
            {
                _hubs.Add((hubId, twinId));
            }
        }
        return Task.CompletedTask;
    }

    private Versioned<TwinDocument> Stamp(TwinDocument document) => new(
        document with { Data = (JsonObject)document.Data.DeepClone() }, (++_lastVersion).ToString(CultureInfo.InvariantCulture));
}
