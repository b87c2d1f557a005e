using IotHub.Core.Domain;
using IotHub.Functions.Api;

namespace IotHub.Functions.Networks;

/// <summary>The network part of the management API.</summary>
internal static class NetworkRoutes
{
    public static void AddNetworks(this IServiceCollection services) => services.AddSingleton<NetworkFunctions>();

    public static void MapNetworks(this ApiRoutes api)
    {
        const ApiRole Administrator = ApiRole.Administrator;
        api.Get("/networks", (NetworkFunctions networks, ApiRequest request) => networks.List(request))
            .Lists(NetworkFunctions.Orders.Names, "name", "hub_id", "topic_prefix");
        api.Post("/networks", Administrator, (NetworkFunctions networks, ApiRequest request) => networks.Create(request))
            .Takes<CreateNetworkRequest>()
            .Repeats();
        api.Get("/networks/{network_id}", (NetworkFunctions networks, ApiRequest request) => networks.Get(request));
        api.Delete("/networks/{network_id}", Administrator, (NetworkFunctions networks, ApiRequest request) => networks.Delete(request));
    }
}
