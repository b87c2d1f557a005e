using IotHub.Core.Domain;

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
    /// Looks at what changed a while ago: finishes deletions that were interrupted, and removes what hangs on things that are gone.
    /// </summary>
    public Task Sweep(IEnumerable<RegistryChange> changes, CancellationToken cancel = default) => Parallel.ForEachAsync(
        changes.Select(change => (change.HubId, change.Kind, change.Id)).Distinct(),
        new ParallelOptions { MaxDegreeOfParallelism = ParallelLooks, CancellationToken = cancel },
        async (change, stop) =>
        {
            switch (change.Kind)
            {
                case ChangedKind.Hub:
                    await SweepHub(change.HubId, stop);
                    break;
                case ChangedKind.Device:
                    await SweepDevice(change.HubId, change.Id, stop);
                    break;
                case ChangedKind.NewDevice when await registry.GetDevice(change.Id, stop) is null:
                    await registry.DeleteDevice(change.Id, stop);
                    break;
                // A deletion of what is not there drops the pointer that a writer left who died.
                case ChangedKind.Network when await registry.GetNetwork(change.Id, stop) is null:
                    await registry.DeleteNetwork(change.Id, stop);
                    break;
                case ChangedKind.Route when await registry.GetRoute(change.Id, stop) is null:
                    await registry.DeleteRoute(change.Id, stop);
                    break;
            }
        });

    private async Task SweepHub(Guid hubId, CancellationToken cancel)
    {
        var hub = (await registry.GetHub(hubId, cancel))?.Value;
        if (hub is { Deleting: true })
        {
            await registry.DeleteHub(hub.Id, cancel);
        }
        if (hub is null or { Deleting: true })
        {
            await OfHub(hubId, cancel);
        }
    }

    private async Task SweepDevice(Guid hubId, Guid deviceId, CancellationToken cancel)
    {
        await OfDevice(hubId, deviceId, cancel);
        var device = await registry.GetDevice(deviceId, cancel);
        if (device is null)
        {
            await registry.DeleteDevice(deviceId, cancel);
        }
        else if (device.Value.HubId != hubId)
        {
            await FinishMove(device, cancel);
        }
        if (device?.Value.HubId != hubId)
        {
            // Here and not at once: it is many small deletions, and nobody can see them any more.
            await metrics.DeleteDevice(hubId, deviceId, clock.GetUtcNow(), cancel);
        }
    }

    /// <summary>Any write of a device finishes a move of it that was interrupted.</summary>
    private async Task FinishMove(Versioned<Device> device, CancellationToken cancel)
    {
        try
        {
            await registry.ReplaceDevice(device, cancel);
        }
        catch (Exception e) when (e is StaleVersionException or MissingException)
        {
            // Somebody else wrote it, and so finished the move, or deleted it.
        }
    }
}
