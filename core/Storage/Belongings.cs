namespace IotHub.Core.Storage;

/// <summary>
/// Removes what hangs on devices and hubs outside of the registry. Called after they were deleted, so that nobody can add to it any more;
/// a process that ends before that is made up for by <see cref="Sweep"/>, which goes through the change feed. All of it may be repeated.
/// </summary>
public sealed class Belongings(IRegistry registry, ITwins twins, IMetrics metrics, IEventLog events, TimeProvider clock)
{
    private const int ParallelLooks = 16;

    /// <summary>The device was deleted, or left the hub.</summary>
    public async Task OfDevice(Guid hubId, Guid deviceId, CancellationToken cancel = default)
    {
        var device = await registry.GetDevice(deviceId, cancel);
        if (device?.Value.HubId == hubId)
        {
            return;
        }
        if (device is null)
        {
            await twins.DeleteAll(deviceId, cancel);
        }
        await twins.Moved(deviceId, hubId, device?.Value.HubId, cancel);
    }

    /// <summary>The hub was deleted, with all its devices.</summary>
    public async Task OfHub(Guid hubId, CancellationToken cancel = default)
    {
        foreach (var deviceId in await twins.OfHub(hubId, cancel))
        {
            await OfDevice(hubId, deviceId, cancel);
        }
        await metrics.DeleteHub(hubId, cancel);
        await events.DeleteHub(hubId, cancel);
    }

    /// <summary>
    /// Looks at what changed a while ago: finishes deletions of hubs that were interrupted, and removes what hangs on things that are gone.
    /// </summary>
    public Task Sweep(IEnumerable<RegistryChange> changes, CancellationToken cancel = default) => Parallel.ForEachAsync(
        changes.Where(change => change.Kind is ChangedKind.Device or ChangedKind.Hub)
            .Select(change => (change.HubId, change.Kind, change.Id)).Distinct(),
        new ParallelOptions { MaxDegreeOfParallelism = ParallelLooks, CancellationToken = cancel },
        async (change, stop) =>
        {
            if (change.Kind == ChangedKind.Device)
            {
                await OfDevice(change.HubId, change.Id, stop);
                if ((await registry.GetDevice(change.Id, stop))?.Value.HubId != change.HubId)
                {
                    // Here and not at once: it is many small deletions, and nobody can see them any more.
                    await metrics.DeleteDevice(change.HubId, change.Id, clock.GetUtcNow(), stop);
                }
                return;
            }
            var hub = (await registry.GetHub(change.HubId, stop))?.Value;
            if (hub is { Deleting: true })
            {
                await registry.DeleteHub(hub.Id, stop);
            }
            if (hub is null or { Deleting: true })
            {
                await OfHub(change.HubId, stop);
            }
        });
}
