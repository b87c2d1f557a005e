using IotHub.Core;
using IotHub.Core.Domain;
using IotHub.Core.Queues;
using IotHub.Core.Storage;
using IotHub.Functions.Api;

namespace IotHub.Functions.Devices;

/// <summary>Create, read, change, enable, disable and delete devices.</summary>
internal sealed class DeviceFunctions(
    ApiRegistry registry, DeviceAnswers answers, DeviceIssuer issuer, IdempotentCreates creates, Belongings belongings, BrokerClient broker,
    FunctionsSettings settings)
{
    public static readonly SortOrders<Device> Orders = new(
        device => device.Id,
        ("name", (a, b) => string.CompareOrdinal(a.Name, b.Name)),
        ("status", (a, b) => string.CompareOrdinal(ApiJson.Text(a.Status), ApiJson.Text(b.Status))),
        ("hub_id", (a, b) => a.HubId.CompareTo(b.HubId)),
        ("created_at", (a, b) => a.CreatedAt.CompareTo(b.CreatedAt)),
        ("updated_at", (a, b) => a.UpdatedAt.CompareTo(b.UpdatedAt)),
        ("allow_insecure", (a, b) => a.AllowInsecure.CompareTo(b.AllowInsecure)));

    public async Task<Outcome<DeviceList>> List(ApiRequest request)
    {
        var (name, hubId) = (request.Query.Text("name"), request.Query.Id("hub_id"));
        var (allowInsecure, status) = (request.Query.Flag("allow_insecure"), request.Query.Choice<DeviceStatus>("status"));
        var (tags, isConnected) = (request.Query.Texts("tags"), request.Query.Flag("is_connected"));
        var paging = request.Query.Paging(Orders);
        if (request.Checks.Problem is { } wrong)
        {
            return wrong;
        }
        var devices = new List<Device>();
        foreach (var hub in await registry.HubsOrOne(request, hubId))
        {
            var connected = isConnected is null ? [] : await Connected(hub.Id, request.Cancel);
            await foreach (var device in registry.Store.DevicesOfHub(hub.Id, request.Cancel))
            {
                if ((name is null || device.Name.Contains(name, StringComparison.Ordinal))
                    && (allowInsecure ?? device.AllowInsecure) == device.AllowInsecure
                    && (status ?? device.Status) == device.Status
                    && tags.All(tag => device.Tags?.Contains(tag, StringComparer.Ordinal) ?? false)
                    && (isConnected is not { } wanted || wanted == connected.Contains(device.Id)))
                {
                    devices.Add(device);
                }
            }
        }
        var page = paging.Cut(devices);
        return new DeviceList(await Task.WhenAll(page.Select(device => answers.Of(device, request.Cancel))), devices.Count);
    }

    public async Task<Outcome<DeviceAnswer>> Get(ApiRequest request) =>
        (await registry.Device(request, request.Id("device_id"))).Get(out var found, out var problem)
            ? await answers.Of(found.Device.Value, request.Cancel)
            : problem;

    public async Task<Outcome<DeviceWithKeyAnswer>> Create(ApiRequest request)
    {
        if (!(await request.Body<CreateDeviceRequest>()).Get(out var body, out var problem))
        {
            return problem;
        }
        return await creates.Create(
            request,
            () => Prepare(request, body),
            device => registry.Write(
                request,
                () => registry.Store.CreateDevice(device, request.Cancel),
                device.HubId,
                ChangedKind.Device,
                device.Id,
                default(Nothing)),
            draft => new DeviceWithKeyAnswer(
                answers.Of(draft.Resource, DeviceActivity.Never(draft.Resource.HubId, draft.Resource.Id)),
                new IssuedAnswer(draft.Resource.CertificatePem, draft.Secret)));
    }

    /// <summary>The device that a request describes, without its certificate.</summary>
    public static Device Of(CreateDeviceRequest body, Guid hubId, Checks checks, DateTimeOffset now) => new()
    {
        Id = Guid.NewGuid(),
        HubId = hubId,
        Name = checks.Name(body.Name),
        Description = checks.Bounded("description", body.Description ?? "", Checks.MaximumDescriptionLength),
        AllowInsecure = body.AllowInsecure ?? false,
        AllowMultipleConnections = body.AllowMultipleConnections ?? false,
        Filters = (body.MessageFilters ?? new FiltersRequest()).Over(MessageFilters.AllowAll, checks),
        Tags = DeviceTags.Of(body.Tags, checks),
        CreatedAt = now,
        UpdatedAt = now,
    };

    private async Task<Outcome<Draft<Device>>> Prepare(ApiRequest request, CreateDeviceRequest body)
    {
        var checks = request.Checks;
        var device = Of(body, checks.Id("hub_id", body.HubId), checks, registry.Now);
        if (checks.Problem is { } wrong)
        {
            return wrong;
        }
        if (!(await registry.HubToJoin(request, device.HubId)).Get(out var hub, out var problem))
        {
            return problem;
        }
        if ((PlanProblem(device, hub) ?? QuotaProblem(hub) ?? await NameProblem(request, device)) is { } refused)
        {
            return refused;
        }
        var (certified, given) = issuer.Issue(device, hub);
        return new Draft<Device>(certified, given.Key);
    }

    public async Task<Outcome<DeviceAnswer>> Update(ApiRequest request)
    {
        if (!(await request.Body<UpdateDeviceRequest>()).Get(out var body, out var problem))
        {
            return problem;
        }
        return await Change(request, found => Apply(request, found, body));
    }

    public Task<Outcome<DeviceAnswer>> Enable(ApiRequest request) => Switch(request, DeviceStatus.Enabled);

    public Task<Outcome<DeviceAnswer>> Disable(ApiRequest request) => Switch(request, DeviceStatus.Disabled);

    public async Task<Outcome<Nothing>> Delete(ApiRequest request)
    {
        if (!(await registry.Device(request, request.Id("device_id"))).Get(out var found, out var problem))
        {
            return problem;
        }
        var device = found.Device.Value;
        await registry.Store.DeleteDevice(device.Id, request.Cancel);
        await broker.Nudge(device.HubId, ChangedKind.Device, device.Id);
        await belongings.OfDevice(device.HubId, device.Id, request.Cancel);
        return default(Nothing);
    }

    private async Task<HashSet<Guid>> Connected(Guid hubId, CancellationToken cancel)
    {
        var connected = new HashSet<Guid>();
        await foreach (var activity in registry.Store.ActivityOfHub(hubId, cancel))
        {
            if (activity.IsConnected)
            {
                connected.Add(activity.DeviceId);
            }
        }
        return connected;
    }

    private async Task<Outcome<Device>> Apply(ApiRequest request, HubDevice found, UpdateDeviceRequest body)
    {
        var (before, checks) = (found.Device.Value, new Checks(settings.Region));
        var next = before with
        {
            HubId = checks.OptionalId("hub_id", body.HubId) ?? before.HubId,
            Description = checks.Bounded("description", body.Description ?? before.Description, Checks.MaximumDescriptionLength),
            AllowInsecure = body.AllowInsecure ?? before.AllowInsecure,
            AllowMultipleConnections = body.AllowMultipleConnections ?? before.AllowMultipleConnections,
            Filters = body.MessageFilters?.Over(before.Filters, checks) ?? before.Filters,
            Tags = body.Tags is null ? before.Tags : DeviceTags.Of(body.Tags, checks),
            UpdatedAt = registry.After(before.UpdatedAt),
        };
        if (checks.Problem is { } wrong)
        {
            return wrong;
        }
        var hub = found.Hub;
        if (next.HubId != before.HubId)
        {
            if (!(await registry.HubToJoin(request, next.HubId)).Get(out hub, out var problem))
            {
                return problem;
            }
            if (QuotaProblem(hub) is { } exceeded)
            {
                return exceeded;
            }
        }
        // What was allowed before, on another plan, does not stand in the way of other changes.
        return (next.AllowMultipleConnections && !before.AllowMultipleConnections) || hub.Id != before.HubId
            ? PlanProblem(next, hub) is { } refused ? refused : next
            : next;
    }

    private Task<Outcome<DeviceAnswer>> Switch(ApiRequest request, DeviceStatus status) => Change(request, found =>
    {
        var device = found.Device.Value;
        return Task.FromResult<Outcome<Device>>(
            device.Status == status ? device : device with { Status = status, UpdatedAt = registry.After(device.UpdatedAt) });
    });

    private async Task<Outcome<DeviceAnswer>> Change(ApiRequest request, Func<HubDevice, Task<Outcome<Device>>> change) =>
        (await registry.ChangeDevice(request, request.Id("device_id"), change)).Get(out var device, out var problem)
            ? await answers.Of(device, request.Cancel)
            : problem;

    public static Problem.InvalidArguments? PlanProblem(Device device, Hub hub) =>
        device.AllowMultipleConnections && hub.Plan == ProductPlan.PlanShared
        ? new Problem.InvalidArguments("allow_multiple_connections", "constraint", "is not available on plan_shared")
        : null;

    private static Problem? QuotaProblem(Hub hub) => hub.DeviceCount < Quotas.DevicesOfHub ? null : ApiRegistry.Full(hub.DeviceCount);

    /// <summary>Looked at before a key is made for it; the registry has the last word.</summary>
    private async Task<Problem?> NameProblem(ApiRequest request, Device device) =>
        await registry.Store.FindDeviceByName(device.HubId, device.Name, request.Cancel) is { } other
            ? new Problem.AlreadyExists("device", other.Id.ToString(), "another device of the hub has this name")
            : null;
}
