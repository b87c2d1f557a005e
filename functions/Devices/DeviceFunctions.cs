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
        [.. Enum.GetValues<DeviceOrder>().Select(order => (ApiJson.Text(order), DeviceOrders.Ascending(order)))]);

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
        var hubs = await registry.HubsOrOne(request, hubId);
        var page = await registry.Store.ListDevices(
            new DeviceQuery(hubs)
            {
                NamePart = name,
                AllowInsecure = allowInsecure,
                Status = status,
                Tags = tags,
                IsConnected = isConnected,
                Order = ApiJson.TryParse<DeviceOrder>(paging.Key, out var order) ? order : DeviceOrder.Name,
                Descending = paging.IsDescending,
                Skip = paging.Skip,
                Take = paging.PageSize,
            },
            request.Cancel);
        return new DeviceList(await answers.Of(page.Devices, hubs, request.Cancel), (int)page.Total);
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
