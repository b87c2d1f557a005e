namespace IotHub.Core.Storage.Memory;

/// <summary>Episodes in this process.</summary>
public sealed class MemoryFailureEpisodes : IFailureEpisodes
{
    private readonly Lock _lock = new();
    private readonly Dictionary<(Guid HubId, Guid RouteId), DateTimeOffset> _lastFailures = [];

    public Task<bool> Failed(Guid hubId, Guid routeId, DateTimeOffset now, TimeSpan quiet, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            var begins = !_lastFailures.TryGetValue((hubId, routeId), out var last) || now - last > quiet;
            _lastFailures[(hubId, routeId)] = now;
            return Task.FromResult(begins);
        }
    }

    public Task Ended(Guid hubId, Guid routeId, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            _lastFailures.Remove((hubId, routeId));
        }
        return Task.CompletedTask;
    }
}
