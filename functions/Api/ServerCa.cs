using System.Text;
using IotHub.Core;

namespace IotHub.Functions.Api;

/// <summary>
/// Lets devices download what they trust the broker by (an extension: the original keeps it in a public bucket). No key is needed: it is
/// what every TLS handshake shows. Only certificates are served, whatever else the setting held.
/// </summary>
internal static class ServerCa
{
    public const string Path = "/iot/server-ca.pem";

    public static void MapServerCa(this IEndpointRouteBuilder app) => app.MapGet(Path, async context =>
    {
        var pem = context.RequestServices.GetRequiredService<FunctionsSettings>().ServerCaPem;
        var (status, type, body) = pem.Length > 0
            ? (StatusCodes.Status200OK, "application/x-x509-ca-cert", Encoding.UTF8.GetBytes(pem))
            : (StatusCodes.Status404NotFound, "application/json", ApiJson.Write(ProblemAnswers.Of(new Problem.NotFound("server_ca", "")).Body));
        context.Response.StatusCode = status;
        context.Response.ContentType = type;
        context.Response.Headers.XContentTypeOptions = "nosniff";
        context.Response.ContentLength = body.Length;
        await context.Response.Body.WriteAsync(body, context.RequestAborted);
    });
}
