using IotHub.Core;
using IotHub.Core.Domain;
using IotHub.Core.Queues;
using IotHub.Core.Storage;
using IotHub.Functions.Api;

namespace IotHub.Functions.Routes;

/// <summary>Create, read, change and delete routes. Nothing here contacts a route's target.</summary>
internal sealed class RouteFunctions(
    ApiRegistry registry, RouteConfigs configs, IdempotentCreates creates, BrokerClient broker, FunctionsSettings settings)
{
    public static readonly SortOrders<Route> Orders = new(
        route => route.Id,
        ("name", (a, b) => string.CompareOrdinal(a.Name, b.Name)),
        ("hub_id", (a, b) => a.HubId.CompareTo(b.HubId)),
        ("type", (a, b) => string.CompareOrdinal(ApiJson.Text(a.Type), ApiJson.Text(b.Type))),
        ("created_at", (a, b) => a.CreatedAt.CompareTo(b.CreatedAt)));

    public async Task<Outcome<RouteList>> List(ApiRequest request)
    {
        var (name, hubId) = (request.Query.Text("name"), request.Query.Id("hub_id"));
        var paging = request.Query.Paging(Orders);
        if (request.Checks.Problem is { } wrong)
        {
            return wrong;
        }
        var routes = new List<Route>();
        foreach (var hub in await registry.HubsOrOne(request, hubId))
        {
            await foreach (var route in registry.Store.RoutesOfHub(hub.Id, request.Cancel))
            {
                if (name is null || route.Name.Contains(name, StringComparison.Ordinal))
                {
                    routes.Add(route);
                }
            }
        }
        return new RouteList([.. paging.Cut(routes).Select(Summary)], routes.Count);
    }

    public async Task<Outcome<RouteAnswer>> Get(ApiRequest request) =>
        (await registry.Route(request, request.Id("route_id"))).Get(out var route, out var problem) ? Show(route.Value, "") : problem;

    public async Task<Outcome<RouteAnswer>> Create(ApiRequest request)
    {
        if (!(await request.Body<RouteRequest>()).Get(out var body, out var problem))
        {
            return problem;
        }
        return await creates.Create(
            request,
            () => Prepare(request, body),
            route => registry.Write(
                request, () => registry.Store.CreateRoute(route, request.Cancel), route.HubId, ChangedKind.Route, route.Id, default(Nothing)),
            draft => Show(draft.Resource, draft.Secret));
    }

    private async Task<Outcome<Draft<Route>>> Prepare(ApiRequest request, RouteRequest body)
    {
        var (id, now, checks) = (Guid.NewGuid(), registry.Now, request.Checks);
        if (new object?[] { body.S3Config, body.DbConfig, body.RestConfig }.Count(config => config is not null) != 1)
        {
            checks.Wrong("config", "required", "exactly one of s3_config, db_config and rest_config must be given");
        }
        var route = new Route
        {
            Id = id,
            HubId = checks.Id("hub_id", body.HubId),
            Name = checks.Name(body.Name),
            Topic = Topic(checks, body.Topic),
            S3 = configs.S3(null, body.S3Config, checks),
            Database = configs.Database(id, null, body.DbConfig, checks),
            Rest = configs.Rest(null, body.RestConfig, checks),
            CreatedAt = now,
            UpdatedAt = now,
        };
        if (checks.Problem is { } wrong)
        {
            return wrong;
        }
        if (!(await registry.HubToJoin(request, route.HubId)).Get(out var hub, out var problem))
        {
            return problem;
        }
        var count = 0;
        await foreach (var _ in registry.Store.RoutesOfHub(hub.Id, request.Cancel))
        {
            count++;
        }
        if (count >= Quotas.RoutesOfHub)
        {
            return new Problem.QuotasExceeded("route", Quotas.RoutesOfHub, count, "hub");
        }
        return new Draft<Route>(route, body.DbConfig?.Password ?? "");
    }

    public async Task<Outcome<RouteAnswer>> Update(ApiRequest request)
    {
        if (!(await request.Body<RouteRequest>()).Get(out var body, out var problem))
        {
            return problem;
        }
        var changed = await registry.ChangeRoute(request, request.Id("route_id"), route => Apply(route, body));
        return changed.Get(out var updated, out problem) ? Show(updated, body.DbConfig?.Password ?? "") : problem;
    }

    public async Task<Outcome<Nothing>> Delete(ApiRequest request)
    {
        if (!(await registry.Route(request, request.Id("route_id"))).Get(out var route, out var problem))
        {
            return problem;
        }
        await registry.Store.DeleteRoute(route.Value.Id, request.Cancel);
        await broker.Nudge(route.Value.HubId, ChangedKind.Route, route.Value.Id);
        return default(Nothing);
    }

    private Outcome<Route> Apply(Route before, RouteRequest body)
    {
        var checks = new Checks(settings.Region);
        foreach (var (argument, isGiven, isOurs) in new[]
        {
            ("s3_config", body.S3Config is not null, before.S3 is not null),
            ("db_config", body.DbConfig is not null, before.Database is not null),
            ("rest_config", body.RestConfig is not null, before.Rest is not null),
        })
        {
            checks.Require(
                !isGiven || isOurs, argument, $"the type of a route cannot change, and this one is of type {ApiJson.Text(before.Type)}");
        }
        if (checks.Problem is { } other)
        {
            return other;
        }
        var next = before with
        {
            Name = body.Name is null ? before.Name : checks.Name(body.Name),
            Topic = body.Topic is null ? before.Topic : Topic(checks, body.Topic),
            S3 = configs.S3(before.S3, body.S3Config, checks),
            Database = configs.Database(before.Id, before.Database, body.DbConfig, checks),
            Rest = configs.Rest(before.Rest, body.RestConfig, checks),
            UpdatedAt = registry.After(before.UpdatedAt),
        };
        return checks.Problem is { } wrong ? wrong : next;
    }

    private static string Topic(Checks checks, string? topic)
    {
        if (string.IsNullOrEmpty(topic))
        {
            checks.Wrong("topic", "required", "is required");
            return "";
        }
        checks.TopicFilterText("topic", topic);
        return topic;
    }

    private RouteSummary Summary(Route route) => new(
        route.Id, route.Name, route.HubId, route.Topic, route.Type, route.CreatedAt, route.UpdatedAt, settings.Region);

    /// <param name="password">Shown only to the one who just sent it.</param>
    public RouteAnswer Show(Route route, string password) => new()
    {
        Id = route.Id,
        Name = route.Name,
        HubId = route.HubId,
        Topic = route.Topic,
        Type = route.Type,
        CreatedAt = route.CreatedAt,
        UpdatedAt = route.UpdatedAt,
        Region = settings.Region,
        S3Config = route.S3 is { } s3
            ? new S3Config
            {
                BucketRegion = s3.BucketRegion,
                BucketName = s3.BucketName,
                ObjectPrefix = s3.ObjectPrefix,
                Strategy = s3.Strategy,
            }
            : null,
        DbConfig = route.Database is { } db
            ? new DbConfig
            {
                Engine = db.Engine,
                Host = db.Host,
                Port = db.Port,
                Dbname = db.DbName,
                Username = db.Username,
                Password = password,
                Query = db.Query,
            }
            : null,
        RestConfig = route.Rest is { } rest
            ? new RestConfig
            {
                Verb = rest.Verb,
                Uri = rest.Uri,
                Headers = rest.Headers.ToDictionary(header => header.Key, header => (string?)header.Value),
            }
            : null,
    };
}
