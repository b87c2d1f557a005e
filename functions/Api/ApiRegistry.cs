using IotHub.Core;
using IotHub.Core.Domain;
using IotHub.Core.Queues;
using IotHub.Core.Storage;

namespace IotHub.Functions.Api;

/// <summary>A device with the hub it belongs to.</summary>
internal sealed record HubDevice(Versioned<Device> Device, Hub Hub);

/// <summary>
/// The registry as one caller may see it: what belongs to others answers exactly like what is not there. Also where every change tells
/// the broker.
/// </summary>
internal sealed class ApiRegistry(IRegistry registry, BrokerClient broker, TimeProvider time)
{
    /// <summary>How often a change is decided anew because someone else was faster.</summary>
    private const int MaximumAttempts = 10;

    public IRegistry Store => registry;

    /// <summary>Now, in the milliseconds that the API shows.</summary>
    public DateTimeOffset Now => time.GetUtcNow().DownTo(TimeSpan.FromMilliseconds(1));

    /// <summary>A moment that is later than the given one even when the clock has not moved.</summary>
    public DateTimeOffset After(DateTimeOffset moment) => Now is var now && now > moment ? now : moment.AddMilliseconds(1);

    public static bool MaySee(ApiKey caller, Hub hub) =>
        hub.OrganizationId == caller.OrganizationId && (caller.ProjectId is not { } project || project == hub.ProjectId);

    public async Task<Outcome<Versioned<Hub>>> Hub(ApiRequest request, Guid hubId) =>
        await registry.GetHub(hubId, request.Cancel) is { } hub && MaySee(request.Caller, hub.Value)
            ? hub
            : new Problem.NotFound("hub", hubId);

    /// <summary>The hubs that the caller may see, of one project and organization if asked so.</summary>
    public async Task<List<Hub>> Hubs(ApiRequest request, Guid? projectId = null, Guid? organizationId = null)
    {
        var project = projectId ?? request.Caller.ProjectId;
        var hubs = project is { } one
            ? registry.HubsOfProject(one, request.Cancel)
            : registry.HubsOfOrganization(request.Caller.OrganizationId, request.Cancel);
        var seen = new List<Hub>();
        await foreach (var hub in hubs)
        {
            if (MaySee(request.Caller, hub) && (organizationId ?? hub.OrganizationId) == hub.OrganizationId)
            {
                seen.Add(hub);
            }
        }
        return seen;
    }

    /// <summary>The hub of that id, or all hubs the caller may see; none for a hub that is not there.</summary>
    public async Task<List<Hub>> HubsOrOne(ApiRequest request, Guid? hubId)
    {
        if (hubId is not { } id)
        {
            return await Hubs(request);
        }
        return (await Hub(request, id)).Get(out var hub, out _) ? [hub.Value] : [];
    }

    public async Task<Outcome<HubDevice>> Device(ApiRequest request, Guid deviceId)
    {
        var device = await registry.GetDevice(deviceId, request.Cancel);
        return await HubOf(request, device?.Value.HubId, deviceId) is { } hub
            ? new HubDevice(device!, hub)
            : new Problem.NotFound("device", deviceId);
    }

    public async Task<Outcome<Network>> Network(ApiRequest request, Guid networkId)
    {
        var network = await registry.GetNetwork(networkId, request.Cancel);
        return await HubOf(request, network?.HubId, networkId) is not null ? network! : new Problem.NotFound("network", networkId);
    }

    public async Task<Outcome<Versioned<Route>>> Route(ApiRequest request, Guid routeId)
    {
        var route = await registry.GetRoute(routeId, request.Cancel);
        return await HubOf(request, route?.Value.HubId, routeId) is not null ? route! : new Problem.NotFound("route", routeId);
    }

    /// <summary>A hub that something may join.</summary>
    public async Task<Outcome<Hub>> HubToJoin(ApiRequest request, Guid hubId)
    {
        if (!(await Hub(request, hubId)).Get(out var hub, out var problem))
        {
            return problem;
        }
        return hub.Value.Deleting ? Transient(hub.Value) : hub.Value;
    }

    public Problem Transient(Hub hub) => new Problem.TransientState("hub", hub.Id, ApiJson.Text(hub.StatusAt(Now)));

    /// <summary>Reads, decides and writes, again while others are faster. Deciding for the very same object changes nothing.</summary>
    public Task<Outcome<Hub>> ChangeHub(ApiRequest request, Guid hubId, Func<Hub, Task<Outcome<Hub>>> change) => Change(
        request,
        async () => (await Hub(request, hubId)).Get(out var hub, out var problem)
            ? Decision<Hub>.Of(hub, await change(hub.Value))
            : problem,
        (hub, next) => hub.Value.CustomCaFingerprint == next.CustomCaFingerprint
            ? registry.ReplaceHub(hub with { Value = next }, request.Cancel)
            : registry.ReplaceAuthority(hub, next, request.Cancel),
        hub => broker.Nudge(hub.Id, ChangedKind.Hub, hub.Id));

    /// <inheritdoc cref="ChangeHub"/>
    public Task<Outcome<Device>> ChangeDevice(ApiRequest request, Guid deviceId, Func<HubDevice, Task<Outcome<Device>>> change)
    {
        var hubBefore = Guid.Empty;
        return Change(
            request,
            async () =>
            {
                if (!(await Device(request, deviceId)).Get(out var found, out var problem))
                {
                    return problem;
                }
                hubBefore = found.Hub.Id;
                return Decision<Device>.Of(found.Device, await change(found));
            },
            (device, next) => registry.ReplaceDevice(device with { Value = next }, request.Cancel),
            device => Task.WhenAll(new[] { hubBefore, device.HubId }.Distinct().Select(
                hubId => broker.Nudge(hubId, ChangedKind.Device, device.Id))));
    }

    /// <inheritdoc cref="ChangeHub"/>
    public Task<Outcome<Route>> ChangeRoute(ApiRequest request, Guid routeId, Func<Route, Outcome<Route>> change) => Change(
        request,
        async () => (await Route(request, routeId)).Get(out var route, out var problem)
            ? Decision<Route>.Of(route, change(route.Value))
            : problem,
        (route, next) => registry.ReplaceRoute(route with { Value = next }, request.Cancel),
        route => broker.Nudge(route.HubId, ChangedKind.Route, route.Id));

    /// <summary>Runs a write and tells the broker; what is in its way becomes a problem.</summary>
    public async Task<Outcome<T>> Write<T>(ApiRequest request, Func<Task> write, Guid hubId, ChangedKind kind, Guid id, T answer)
    {
        try
        {
            await write();
        }
        catch (AlreadyExistsException e) when (e.What == "id")
        {
            // Ids are random: it is the very thing, from an earlier attempt.
        }
        catch (AlreadyExistsException e)
        {
            return await Taken(request, e);
        }
        catch (MissingException e)
        {
            // The hub went away, or began to, after it was looked at.
            return new Problem.NotFound(e.Resource, e.ResourceId);
        }
        catch (HubFullException e)
        {
            return Full(e.Devices);
        }
        await broker.Nudge(hubId, kind, id);
        return answer;
    }

    /// <summary>
    /// The hub of what was found, if the caller may see it. For what was not found as much is read as for a stranger's: an id that belongs
    /// to others must not show by the time its answer takes.
    /// </summary>
    private async Task<Hub?> HubOf(ApiRequest request, Guid? hubId, Guid id)
    {
        if (hubId is { } known)
        {
            return (await Hub(request, known)).Get(out var hub, out _) ? hub.Value : null;
        }
        await registry.GetHub(id, request.Cancel);
        await registry.GetHub(id, request.Cancel);
        return null;
    }

    private async Task<Outcome<T>> Change<T>(
        ApiRequest request, Func<Task<Outcome<Decision<T>>>> decide, Func<Versioned<T>, T, Task<Versioned<T>>> replace, Func<T, Task> nudge)
        where T : class
    {
        for (var attempt = 1; ; attempt++)
        {
            if (!(await decide()).Get(out var decision, out var problem))
            {
                return problem;
            }
            if (ReferenceEquals(decision.Next, decision.Stored.Value))
            {
                return decision.Next;
            }
            try
            {
                var stored = await replace(decision.Stored, decision.Next);
                await nudge(stored.Value);
                return stored.Value;
            }
            catch (StaleVersionException) when (attempt < MaximumAttempts)
            {
                // Look again and decide again.
            }
            catch (AlreadyExistsException e)
            {
                return await Taken(request, e);
            }
            catch (MissingException e)
            {
                return new Problem.NotFound(e.Resource, e.ResourceId);
            }
            catch (HubFullException e)
            {
                return Full(e.Devices);
            }
        }
    }

    public static Problem Full(long devices) => new Problem.QuotasExceeded("device", Quotas.DevicesOfHub, devices, "hub");

    /// <summary>Whose certificate or name it is, is told only to those who may see it.</summary>
    private async Task<Problem> Taken(ApiRequest request, AlreadyExistsException e)
    {
        var mayKnow = e.Resource == "hub"
            ? (await Hub(request, e.ResourceId)).Get(out _, out _)
            : (await Device(request, e.ResourceId)).Get(out _, out _);
        return new Problem.AlreadyExists(e.Resource, mayKnow ? e.ResourceId.ToString() : "", $"another {e.Resource} has this {e.What}");
    }

    private sealed record Decision<T>(Versioned<T> Stored, T Next)
    {
        public static Outcome<Decision<T>> Of(Versioned<T> stored, Outcome<T> next) =>
            next.Get(out var value, out var problem) ? new Decision<T>(stored, value) : problem;
    }
}
