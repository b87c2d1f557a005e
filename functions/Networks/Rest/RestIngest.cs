using IotHub.Core.Domain;

namespace IotHub.Functions.Networks.Rest;

/// <summary>The entrance of REST networks: the body is the payload as it came, whatever its content type.</summary>
public static class RestIngest
{
    public static void MapRestIngest(this IEndpointRouteBuilder app) => app.MapPost(
        "/ingest/rest", (HttpContext context) => context.RequestServices.GetRequiredService<Ingest>().Post(context, NetworkType.Rest));
}
