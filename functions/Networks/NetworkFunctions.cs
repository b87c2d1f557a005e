using IotHub.Core;
using IotHub.Core.Domain;
using IotHub.Core.Queues;
using IotHub.Core.Security;
using IotHub.Core.Storage;
using IotHub.Functions.Api;

namespace IotHub.Functions.Networks;

/// <summary>A network as the API shows it.</summary>
internal sealed record NetworkAnswer(
    Guid Id, string Name, NetworkType Type, string Endpoint, Guid HubId, DateTimeOffset CreatedAt, string TopicPrefix, string Region);

internal sealed record NetworkList(IReadOnlyList<NetworkAnswer> Networks, int TotalCount);

/// <param name="Secret">Given once.</param>
internal sealed record CreatedNetworkAnswer(NetworkAnswer Network, string Secret);

internal sealed record CreateNetworkRequest
{
    public string? Name { get; init; }
    public NetworkType? Type { get; init; }
    public string? HubId { get; init; }
    public string? TopicPrefix { get; init; }
}

/// <summary>Create, read and delete networks; there is no way to change one.</summary>
internal sealed class NetworkFunctions(
    ApiRegistry registry, IdempotentCreates creates, BrokerClient broker, FunctionsSettings settings)
{
    public static readonly SortOrders<Network> Orders = new(
        network => network.Id,
        ("name", (a, b) => string.CompareOrdinal(a.Name, b.Name)),
        ("type", (a, b) => string.CompareOrdinal(ApiJson.Text(a.Type), ApiJson.Text(b.Type))),
        ("created_at", (a, b) => a.CreatedAt.CompareTo(b.CreatedAt)));

    public async Task<Outcome<NetworkList>> List(ApiRequest request)
    {
        var (name, prefix, hubId) = (request.Query.Text("name"), request.Query.Text("topic_prefix"), request.Query.Id("hub_id"));
        var paging = request.Query.Paging(Orders);
        if (request.Checks.Problem is { } wrong)
        {
            return wrong;
        }
        var networks = new List<Network>();
        foreach (var hub in await registry.HubsOrOne(request, hubId))
        {
            await foreach (var network in registry.Store.NetworksOfHub(hub.Id, request.Cancel))
            {
                if ((name is null || network.Name.Contains(name, StringComparison.Ordinal))
                    && (prefix ?? network.TopicPrefix) == network.TopicPrefix)
                {
                    networks.Add(network);
                }
            }
        }
        return new NetworkList([.. paging.Cut(networks).Select(Show)], networks.Count);
    }

    public async Task<Outcome<NetworkAnswer>> Get(ApiRequest request) =>
        (await registry.Network(request, request.Id("network_id"))).Get(out var network, out var problem) ? Show(network) : problem;

    public async Task<Outcome<CreatedNetworkAnswer>> Create(ApiRequest request)
    {
        if (!(await request.Body<CreateNetworkRequest>()).Get(out var body, out var problem))
        {
            return problem;
        }
        return await creates.Create(
            request,
            () => Prepare(request, body),
            network => registry.Write(
                request,
                () => registry.Store.CreateNetwork(network, request.Cancel),
                network.HubId,
                ChangedKind.Network,
                network.Id,
                default(Nothing)),
            draft => new CreatedNetworkAnswer(Show(draft.Resource), draft.Secret));
    }

    private async Task<Outcome<Draft<Network>>> Prepare(ApiRequest request, CreateNetworkRequest body)
    {
        var (id, checks) = (Guid.NewGuid(), request.Checks);
        var secret = NetworkSecret.New(id);
        var network = new Network
        {
            Id = id,
            HubId = checks.Id("hub_id", body.HubId),
            Name = checks.Name(body.Name),
            Type = body.Type ?? NetworkType.Unknown,
            TopicPrefix = checks.TopicPrefix("topic_prefix", body.TopicPrefix ?? ""),
            KeyHash = secret.KeyHash,
            CreatedAt = registry.Now,
        };
        if (network.Type == NetworkType.Unknown)
        {
            checks.Wrong("type", "required", "must be rest or sigfox");
        }
        if (checks.Problem is { } wrong)
        {
            return wrong;
        }
        if (!(await registry.HubToJoin(request, network.HubId)).Get(out var hub, out var problem))
        {
            return problem;
        }
        var count = 0;
        await foreach (var _ in registry.Store.NetworksOfHub(hub.Id, request.Cancel))
        {
            count++;
        }
        if (count >= Quotas.NetworksOfHub)
        {
            return new Problem.QuotasExceeded("network", Quotas.NetworksOfHub, count, "hub");
        }
        return new Draft<Network>(network, secret.ToToken());
    }

    public async Task<Outcome<Nothing>> Delete(ApiRequest request)
    {
        if (!(await registry.Network(request, request.Id("network_id"))).Get(out var network, out var problem))
        {
            return problem;
        }
        await registry.Store.DeleteNetwork(network.Id, request.Cancel);
        await broker.Nudge(network.HubId, ChangedKind.Network, network.Id);
        return default(Nothing);
    }

    public NetworkAnswer Show(Network network) => new(
        network.Id,
        network.Name,
        network.Type,
        network.Type == NetworkType.Rest ? settings.RestEndpoint : settings.SigfoxEndpoint,
        network.HubId,
        network.CreatedAt,
        network.TopicPrefix,
        settings.Region);
}
