using IotHub.Core.Domain;
using IotHub.Functions.Api;

namespace IotHub.Functions.Routes;

/// <summary>The route part of the management API.</summary>
internal static class RouteRoutes
{
    public static void AddRoutes(this IServiceCollection services)
    {
        services.AddSingleton<RouteConfigs>();
        services.AddSingleton<RouteFunctions>();
    }

    public static void MapRoutes(this ApiRoutes api)
    {
        api.Get("/routes", (RouteFunctions routes, ApiRequest request) => routes.List(request))
            .Lists(RouteFunctions.Orders.Names, "hub_id", "name");
        api.Post("/routes", ApiRole.Administrator, (RouteFunctions routes, ApiRequest request) => routes.Create(request))
            .Takes<RouteRequest>()
            .Repeats();
        api.Get("/routes/{route_id}", (RouteFunctions routes, ApiRequest request) => routes.Get(request));
        api.Patch("/routes/{route_id}", ApiRole.Administrator, (RouteFunctions routes, ApiRequest request) => routes.Update(request))
            .Takes<RouteRequest>();
        api.Delete("/routes/{route_id}", ApiRole.Administrator, (RouteFunctions routes, ApiRequest request) => routes.Delete(request));
    }
}
