using IotHub.Core.Storage;

namespace IotHub.Functions.Hosting;

/// <summary>Is this instance able to work? For load balancers and people; the host itself asks <c>GET /</c>.</summary>
public static class Health
{
    private static readonly TimeSpan TimeLimit = TimeSpan.FromSeconds(3);

    public static void MapHealth(this IEndpointRouteBuilder app) => app.MapGet("/health", Answer);

    private static async Task Answer(HttpContext context)
    {
        var ready = context.RequestServices.GetRequiredService<IStorageState>().IsReady
            && await RegistryAnswers(context.RequestServices.GetRequiredService<IRegistry>(), context.RequestAborted);
        await Invocations.Answer(
            context,
            ready ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable,
            ready ? """{"status":"ok"}""" : """{"status":"storage does not answer"}""");
    }

    private static async Task<bool> RegistryAnswers(IRegistry registry, CancellationToken cancel)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(TimeLimit);
        try
        {
            await registry.GetHub(Guid.Empty, limit.Token);
            return true;
        }
        catch (Exception e) when (e is RegistryUnavailableException or OperationCanceledException)
        {
            return false;
        }
    }
}
