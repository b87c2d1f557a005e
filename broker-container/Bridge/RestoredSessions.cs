using IotHub.Broker.Auth;
using IotHub.Broker.Protocol;

namespace IotHub.Broker.Bridge;

/// <summary>
/// After a start: do the hubs and devices still exist whose sessions came from the broker's log? What was deleted while the broker was
/// away goes; what is there gets its rights, and from then on its wills and expiry count.
/// </summary>
internal sealed partial class RestoredSessions(
    HubDirectory directory, IBrokerControl control, BridgeLimits limits, TimeProvider clock, ILogger logger)
{
    private const int ReadingsAtOnce = 16;

    /// <summary>Until all were looked up. A registry that does not answer is asked again.</summary>
    /// <param name="devicesByHub">What came from the log.</param>
    public async Task LookUp(IReadOnlyDictionary<Guid, IReadOnlyList<Guid>> devicesByHub, CancellationToken cancel)
    {
        try
        {
            foreach (var (hubId, devices) in devicesByHub)
            {
                if (await Ask(() => directory.Hub(hubId, cancel), cancel) is not { } hub)
                {
                    control.DisconnectHub(hubId, ReasonCode.AdministrativeAction, because: null, dropEverything: true);
                    continue;
                }
                var atOnce = new ParallelOptions { MaxDegreeOfParallelism = ReadingsAtOnce, CancellationToken = cancel };
                await Parallel.ForEachAsync(devices, atOnce, async (deviceId, token) => await LookUp(hub, deviceId, token));
            }
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            // Stopping: the next start looks them up.
        }
    }

    private async Task LookUp(HubEntry hub, Guid deviceId, CancellationToken cancel)
    {
        if (await Ask(() => directory.Device(deviceId, cancel), cancel) is { } device && device.HubId == hub.Hub.Id)
        {
            control.RightsChanged(hub.Hub.Id, deviceId, LiveChanges.RightsOf(hub, device));
        }
        else
        {
            control.DisconnectDevice(hub.Hub.Id, deviceId, ReasonCode.AdministrativeAction, because: null, dropSessions: true);
        }
    }

    private async Task<T?> Ask<T>(Func<ValueTask<T?>> ask, CancellationToken cancel)
        where T : class
    {
        T? found = null;
        await new BackOff(limits.FirstBackOff, limits.LongestBackOff, clock).Until(
            async () => found = await ask(), failure => Log.NotLookedUp(logger, failure.Message), cancel);
        return found;
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Debug, "What sessions from the log belong to cannot be looked up yet: {Reason}")]
        public static partial void NotLookedUp(ILogger logger, string reason);
    }
}
