using IotHub.Core.Domain;
using IotHub.Functions.Api;

namespace IotHub.Functions.Twins;

/// <summary>The twin part of the management API.</summary>
internal static class TwinRoutes
{
    public static void MapTwins(this ApiRoutes api)
    {
        const ApiRole Operator = ApiRole.Operator;
        api.Get("/twins/{twin_id}", (TwinFunctions twins, ApiRequest request) => twins.List(request));
        api.Delete("/twins/{twin_id}", Operator, (TwinFunctions twins, ApiRequest request) => twins.DeleteAll(request));
        api.Get("/twins/{twin_id}/documents/{document_name}", (TwinFunctions twins, ApiRequest request) => twins.Get(request));
        api.Put("/twins/{twin_id}/documents/{document_name}", Operator, (TwinFunctions twins, ApiRequest request) => twins.Put(request))
            .Takes<TwinWriteRequest>();
        api.Patch("/twins/{twin_id}/documents/{document_name}", Operator, (TwinFunctions twins, ApiRequest request) => twins.Patch(request))
            .Takes<TwinWriteRequest>();
        api.Delete(
            "/twins/{twin_id}/documents/{document_name}", Operator, (TwinFunctions twins, ApiRequest request) => twins.Delete(request));
    }
}
