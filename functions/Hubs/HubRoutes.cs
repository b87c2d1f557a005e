using IotHub.Core.Domain;
using IotHub.Functions.Api;

namespace IotHub.Functions.Hubs;

/// <summary>The hub part of the management API.</summary>
internal static class HubRoutes
{
    public static void AddHubs(this IServiceCollection services)
    {
        services.AddSingleton<HubFunctions>();
        services.AddSingleton<HubCa>();
    }

    public static void MapHubs(this ApiRoutes api)
    {
        api.Get("/hubs", (HubFunctions hubs, ApiRequest request) => hubs.List(request))
            .Lists(HubFunctions.Orders(default).Names, "project_id", "organization_id", "name");
        api.Post("/hubs", ApiRole.Administrator, (HubFunctions hubs, ApiRequest request) => hubs.Create(request))
            .Takes<CreateHubRequest>()
            .Repeats();
        api.Get("/hubs/{hub_id}", (HubFunctions hubs, ApiRequest request) => hubs.Get(request));
        api.Patch("/hubs/{hub_id}", ApiRole.Administrator, (HubFunctions hubs, ApiRequest request) => hubs.Update(request))
            .Takes<UpdateHubRequest>();
        api.Post("/hubs/{hub_id}/enable", ApiRole.Administrator, (HubFunctions hubs, ApiRequest request) => hubs.Enable(request));
        api.Post("/hubs/{hub_id}/disable", ApiRole.Administrator, (HubFunctions hubs, ApiRequest request) => hubs.Disable(request));
        api.Delete("/hubs/{hub_id}", ApiRole.Administrator, (HubFunctions hubs, ApiRequest request) => hubs.Delete(request))
            .Asks("delete_devices");
        api.Get("/hubs/{hub_id}/ca", (HubCa ca, ApiRequest request) => ca.Get(request));
        api.Post("/hubs/{hub_id}/ca", ApiRole.Administrator, (HubCa ca, ApiRequest request) => ca.Set(request))
            .Takes<SetCaRequest>();
    }
}
