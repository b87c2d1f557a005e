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
    public DateTimeOffset Now
    {
        get
        {
            var now = time.GetUtcNow();
            return new DateTimeOffset(now.Ticks - (now.Ticks % TimeSpan.TicksPerMillisecond), TimeSpan.Zero);
        }
    }

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

    public async Task<Outcome<HubDevice>> Device(ApiRequest request, Guid deviceId) =>
        await registry.GetDevice(deviceId, request.Cancel) is { } device
        && (await Hub(request, device.Value.HubId)).Get(out var hub, out _)
            ? new HubDevice(device, hub.Value)
            : new Problem.NotFound("device", deviceId);

    public async Task<Outcome<Network>> Network(ApiRequest request, Guid networkId) =>
        await registry.GetNetwork(networkId, request.Cancel) is { } network && (await Hub(request, network.HubId)).Get(out _, out _)
            ? network
            : new Problem.NotFound("network", networkId);

    public async Task<Outcome<Versioned<Route>>> Route(ApiRequest request, Guid routeId) =>
        await registry.GetRoute(routeId, request.Cancel) is { } route && (await Hub(request, route.Value.HubId)).Get(out _, out _)
            ? route
            : new Problem.NotFound("route", routeId);

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

    public Task<Outcome<Hub>> ChangeHub(ApiRequest request, Guid hubId, Func<Hub, Task<Outcome<Hub>>> change) => Change(
        () => Hub(request, hubId),
        hub => hub,
        change,
        hub => registry.ReplaceHub(hub, request.Cancel),
        hub => broker.Nudge(hub.Id, ChangedKind.Hub, hub.Id));

    /// <summary>Returning the device unchanged (the same object) leaves it so.</summary>
    public async Task<Outcome<Device>> ChangeDevice(ApiRequest request, Guid deviceId, Func<Device, Hub, Task<Outcome<Device>>> change)
    {
        var (hubBefore, result) = (Guid.Empty, default(Outcome<Device>));
        result = await Change(
            () => Device(request, deviceId),
            found => found.Device,
            found =>
            {
                hubBefore = found.Hub.Id;
                return change(found.Device.Value, found.Hub);
            },
            device => registry.ReplaceDevice(device, request.Cancel),
            device => broker.Nudge(device.HubId, ChangedKind.Device, device.Id));
        if (result.Get(out var changed, out _) && changed.HubId != hubBefore)
        {
            await broker.Nudge(hubBefore, ChangedKind.Device, deviceId);
        }
        return result;
    }

    public Task<Outcome<Route>> ChangeRoute(ApiRequest request, Guid routeId, Func<Route, Outcome<Route>> change) => Change(
        () => Route(request, routeId),
        route => route,
        route => Task.FromResult(change(route.Value)),
        route => registry.ReplaceRoute(route, request.Cancel),
        route => broker.Nudge(route.HubId, ChangedKind.Route, route.Id));

    /// <summary>Runs a write and tells the broker; what is in its way becomes a problem.</summary>
    public async Task<Outcome<T>> Write<T>(ApiRequest request, Func<Task> write, Guid hubId, ChangedKind kind, Guid id, T answer)
    {
        try
        {
            await write();
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
        await broker.Nudge(hubId, kind, id);
        return answer;
    }

    private async Task<Outcome<T>> Change<TFound, T>(
        Func<Task<Outcome<TFound>>> find,
        Func<TFound, Versioned<T>> stored,
        Func<TFound, Task<Outcome<T>>> change,
        Func<Versioned<T>, Task<Versioned<T>>> replace,
        Func<T, Task> nudge)
        where T : class => await Task.FromException<Outcome<T>>(new NotSupportedException());

    /// <summary>Whose certificate or name it is, is told only to those who may see it.</summary>
    private async Task<Problem> Taken(ApiRequest request, AlreadyExistsException e)
    {
        var mayKnow = (await Device(request, e.ResourceId)).Get(out _, out _);
        return new Problem.AlreadyExists(e.Resource, mayKnow ? e.ResourceId.ToString() : "", $"another {e.Resource} has this {e.What}");
    }
}
