using IotHub.Core.Domain;
using IotHub.Functions.Api;

namespace IotHub.Functions.Keys;

/// <summary>The API key part of the management API, for administrators.</summary>
internal static class KeyRoutes
{
    public static void AddKeys(this IServiceCollection services) => services.AddSingleton<KeyFunctions>();

    public static void MapKeys(this ApiRoutes api)
    {
        const ApiRole Administrator = ApiRole.Administrator;
        api.Get("/api-keys", Administrator, (KeyFunctions keys, ApiRequest request) => keys.List(request))
            .Lists(KeyFunctions.Orders.Names, "project_id")
            .Extends();
        api.Post("/api-keys", Administrator, (KeyFunctions keys, ApiRequest request) => keys.Create(request))
            .Takes<CreateKeyRequest>()
            .Extends();
        api.Delete("/api-keys/{access_key}", Administrator, (KeyFunctions keys, ApiRequest request) => keys.Revoke(request))
            .Extends();
    }
}
