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
            .Asks("page", "page_size", "order_by", "project_id");
        api.Post("/api-keys", Administrator, (KeyFunctions keys, ApiRequest request) => keys.Create(request))
            .Takes<CreateKeyRequest>();
        api.Delete("/api-keys/{access_key}", Administrator, (KeyFunctions keys, ApiRequest request) => keys.Revoke(request));
    }
}
