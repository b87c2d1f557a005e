using IotHub.Core.Domain;

namespace IotHub.Functions.Networks.Sigfox;

/// <summary>
/// The entrance of Sigfox networks, called by a custom callback of Sigfox's backend. Sigfox fills in its variables (<c>{device}</c>,
/// <c>{data}</c>) in header and body before it sends, so there is nothing to map.
/// </summary>
public static class SigfoxIngest
{
    public static void MapSigfoxIngest(this IEndpointRouteBuilder app) => app.MapPost(
        "/ingest/sigfox", (HttpContext context) => context.RequestServices.GetRequiredService<Ingest>().Post(context, NetworkType.Sigfox));
}
