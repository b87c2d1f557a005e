using IotHub.Core;
using IotHub.Core.Domain;
using IotHub.Core.Queues;
using IotHub.Core.Security;
using IotHub.Core.Storage;
using IotHub.Functions.Api;

namespace IotHub.Functions.Hubs;

/// <summary>Create, read, change, enable, disable and delete hubs.</summary>
internal sealed class HubFunctions(
    ApiRegistry registry, CertificateAuthority authority, Sealer sealer, IdempotentCreates creates, Belongings belongings,
    BrokerClient broker, FunctionsSettings settings)
{
    private const int MaximumPrefixLength = 1024;
    private const int MaximumUriLength = 2048;

    public async Task<Outcome<HubList>> List(ApiRequest request)
    {
        var name = request.Query.Text("name");
        var (projectId, organizationId) = (request.Query.Id("project_id"), request.Query.Id("organization_id"));
        var paging = request.Query.Paging(Orders(registry.Now));
        if (request.Checks.Problem is { } wrong)
        {
            return wrong;
        }
        var hubs = await registry.Hubs(request, projectId, organizationId);
        hubs.RemoveAll(hub => name is not null && !hub.Name.Contains(name, StringComparison.Ordinal));
        var page = paging.Cut(hubs);
        return new HubList(await Task.WhenAll(page.Select(hub => Show(request, hub, registry.Now))), hubs.Count);
    }

    public async Task<Outcome<HubAnswer>> Get(ApiRequest request) =>
        (await registry.Hub(request, request.Id("hub_id"))).Get(out var hub, out var problem)
            ? await Show(request, hub.Value, registry.Now)
            : problem;

    public async Task<Outcome<HubAnswer>> Create(ApiRequest request)
    {
        if (!(await request.Body<CreateHubRequest>()).Get(out var body, out var problem))
        {
            return problem;
        }
        return await creates.Create(
            request,
            () => Prepare(request, body),
            hub => registry.Write(
                request, () => registry.Store.CreateHub(hub, request.Cancel), hub.Id, ChangedKind.Hub, hub.Id, default(Nothing)),
            draft => Show(draft.Resource, connected: 0, draft.Resource.CreatedAt));
    }

    private async Task<Outcome<Draft<Hub>>> Prepare(ApiRequest request, CreateHubRequest body)
    {
        var checks = request.Checks;
        var hub = new Hub
        {
            Id = Guid.NewGuid(),
            Name = checks.Name(body.Name),
            // A key that is bound to a project needs no mention of it.
            ProjectId = body.ProjectId is null && request.Caller.ProjectId is { } own ? own : checks.Id("project_id", body.ProjectId),
            OrganizationId = request.Caller.OrganizationId,
            Region = settings.Region,
            Plan = body.ProductPlan is null or ProductPlan.PlanUnknown ? ProductPlan.PlanShared : body.ProductPlan.Value,
            EnabledChangedAt = default,
            DisableEvents = body.DisableEvents ?? false,
            EventsTopicPrefix = Prefix(checks, body.EventsTopicPrefix) ?? Hub.DefaultEventsTopicPrefix,
            CreatedAt = default,
            UpdatedAt = default,
            CaCertificatePem = "",
        };
        hub = hub with { SealedTwinsGraphitePushUri = Graphite(checks, hub, body.TwinsGraphiteConfig) };
        if (checks.Problem is { } wrong)
        {
            return wrong;
        }
        if (!ApiRegistry.MaySee(request.Caller, hub))
        {
            return new Problem.PermissionsDenied("write", "hub");
        }
        if (await QuotaProblem(request, hub.Plan) is { } exceeded)
        {
            return exceeded;
        }
        var ca = authority.NewHubCa();
        // The clock is read after the key was made, which takes longer than a hub is "enabling" on a busy machine.
        var now = registry.Now;
        return new Draft<Hub>(hub with
        {
            EnabledChangedAt = now,
            CreatedAt = now,
            UpdatedAt = now,
            CaCertificatePem = ca.CertificatePem,
            SealedCaKey = sealer.Seal(ca.KeyPem, SealPurposes.HubCa(hub.Id)),
        });
    }

    public async Task<Outcome<HubAnswer>> Update(ApiRequest request)
    {
        if (!(await request.Body<UpdateHubRequest>()).Get(out var body, out var problem))
        {
            return problem;
        }
        return await Change(request, hub => Apply(request, hub, body));
    }

    public Task<Outcome<HubAnswer>> Enable(ApiRequest request) => Switch(request, enabled: true);

    public Task<Outcome<HubAnswer>> Disable(ApiRequest request) => Switch(request, enabled: false);

    public async Task<Outcome<Nothing>> Delete(ApiRequest request)
    {
        var withDevices = request.Query.Flag("delete_devices") ?? false;
        if (request.Checks.Problem is { } wrong)
        {
            return wrong;
        }
        // Marked first, from the very version that has no devices: what tries to join from here on is refused.
        var marked = await registry.ChangeHub(request, request.Id("hub_id"), hub => Task.FromResult<Outcome<Hub>>(
            hub.DeviceCount > 0 && !withDevices && !hub.Deleting
                ? new Problem.PreconditionFailed(
                    "resource_still_in_use", "the hub has devices: delete them first, or pass delete_devices=true")
                : hub.Deleting ? hub : hub with { Deleting = true }));
        if (!marked.Get(out var doomed, out var problem))
        {
            return problem;
        }
        await registry.Store.DeleteHub(doomed.Id, request.Cancel);
        await broker.Nudge(doomed.Id, ChangedKind.Hub, doomed.Id);
        await belongings.OfHub(doomed.Id, request.Cancel);
        return default(Nothing);
    }

    public static SortOrders<Hub> Orders(DateTimeOffset now) => new(
        hub => hub.Id,
        ("name", (a, b) => string.CompareOrdinal(a.Name, b.Name)),
        ("status", (a, b) => string.CompareOrdinal(ApiJson.Text(a.StatusAt(now)), ApiJson.Text(b.StatusAt(now)))),
        ("product_plan", (a, b) => a.Plan.CompareTo(b.Plan)),
        ("created_at", (a, b) => a.CreatedAt.CompareTo(b.CreatedAt)),
        ("updated_at", (a, b) => a.UpdatedAt.CompareTo(b.UpdatedAt)));

    private async Task<Outcome<Hub>> Apply(ApiRequest request, Hub hub, UpdateHubRequest body)
    {
        if (hub.StatusAt(registry.Now) is HubStatus.Enabling or HubStatus.Disabling)
        {
            return registry.Transient(hub);
        }
        var checks = new Checks(settings.Region);
        var plan = body.ProductPlan is null or ProductPlan.PlanUnknown ? hub.Plan : body.ProductPlan.Value;
        var next = hub with
        {
            Name = body.Name is null ? hub.Name : checks.Name(body.Name),
            Plan = plan,
            DisableEvents = body.DisableEvents ?? hub.DisableEvents,
            EventsTopicPrefix = Prefix(checks, body.EventsTopicPrefix) ?? hub.EventsTopicPrefix,
            EnableDeviceAutoProvisioning = body.EnableDeviceAutoProvisioning ?? hub.EnableDeviceAutoProvisioning,
            SealedTwinsGraphitePushUri = Graphite(checks, hub, body.TwinsGraphiteConfig),
            UpdatedAt = registry.After(hub.UpdatedAt),
        };
        if (checks.Problem is { } wrong)
        {
            return wrong;
        }
        if (next.EnableDeviceAutoProvisioning && !hub.HasCustomCa)
        {
            return new Problem.PreconditionFailed(
                "attribute_must_be_set", "auto-provisioning needs a certificate authority of your own: set it first");
        }
        if (plan == hub.Plan)
        {
            return next;
        }
        if (hub.Enabled)
        {
            return new Problem.PreconditionFailed("unknown_precondition", "disable the hub before its plan is changed");
        }
        return await QuotaProblem(request, plan) is { } exceeded ? exceeded : next;
    }

    private async Task<Outcome<HubAnswer>> Switch(ApiRequest request, bool enabled)
    {
        // The answer shows the hub at the moment of the change, so the transient state is seen however long the write took.
        DateTimeOffset? switchedAt = null;
        var changed = await registry.ChangeHub(request, request.Id("hub_id"), hub => Task.FromResult(Next(hub)));
        return changed.Get(out var hub, out var problem) ? await Show(request, hub, switchedAt ?? registry.Now) : problem;

        Outcome<Hub> Next(Hub hub)
        {
            switchedAt = null;
            var isTransient = hub.StatusAt(registry.Now) is HubStatus.Enabling or HubStatus.Disabling;
            if (hub.Enabled == enabled && !hub.Deleting)
            {
                return hub;
            }
            if (isTransient)
            {
                return registry.Transient(hub);
            }
            switchedAt = registry.Now;
            return hub with { Enabled = enabled, EnabledChangedAt = switchedAt.Value, UpdatedAt = registry.After(hub.UpdatedAt) };
        }
    }

    private async Task<Outcome<HubAnswer>> Change(ApiRequest request, Func<Hub, Task<Outcome<Hub>>> change) =>
        (await registry.ChangeHub(request, request.Id("hub_id"), change)).Get(out var hub, out var problem)
            ? await Show(request, hub, registry.Now)
            : problem;

    private async Task<Problem?> QuotaProblem(ApiRequest request, ProductPlan plan)
    {
        var (quota, current) = (Quotas.HubsOf(plan), 0);
        await foreach (var other in registry.Store.HubsOfOrganization(request.Caller.OrganizationId, request.Cancel))
        {
            current += other.Plan == plan ? 1 : 0;
        }
        return current < quota
            ? null
            : new Problem.QuotasExceeded("hub_" + ApiJson.Text(plan), quota, current, "organization", request.Caller.OrganizationId);
    }

    /// <summary>Null when it is not given; an empty one gives the default.</summary>
    private static string? Prefix(Checks checks, string? given) => given switch
    {
        null => null,
        "" => Hub.DefaultEventsTopicPrefix,
        _ => checks.TopicPrefix("events_topic_prefix", checks.Bounded("events_topic_prefix", given, MaximumPrefixLength)),
    };

    /// <summary>What is stored from here on: as before when not given, nothing for an empty address.</summary>
    private string? Graphite(Checks checks, Hub hub, GraphiteConfig? config)
    {
        if (config?.PushUri is not { } uri)
        {
            return hub.SealedTwinsGraphitePushUri;
        }
        if (uri.Length == 0)
        {
            return null;
        }
        var isAddress = Uri.TryCreate(uri, UriKind.Absolute, out var parsed) && parsed.Scheme is "http" or "https";
        if (!isAddress || uri.Length > MaximumUriLength)
        {
            checks.Wrong(
                "twins_graphite_config.push_uri", "format", $"must be an http or https address of at most {MaximumUriLength} characters");
        }
        return sealer.Seal(uri, SealPurposes.Graphite(hub.Id));
    }

    private async Task<HubAnswer> Show(ApiRequest request, Hub hub, DateTimeOffset at) =>
        Show(hub, hub.DeviceCount == 0 ? 0 : await registry.Store.CountConnected(hub.Id, request.Cancel), at);

    private HubAnswer Show(Hub hub, long connected, DateTimeOffset at) => HubAnswers.Of(hub, connected, at, settings.MqttEndpoint, sealer);
}
