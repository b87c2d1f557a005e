using Microsoft.Extensions.Primitives;

namespace IotHub.Functions.Hosting;

/// <summary>Puts the host's invocation id into the log scope: a line here is found from the invocation in the portal, and back.</summary>
public sealed class InvocationScope(RequestDelegate next, ILogger<InvocationScope> logger)
{
    private const string Header = "X-Azure-Functions-InvocationId";
    private static readonly Func<ILogger, Guid, IDisposable?> Scope = LoggerMessage.DefineScope<Guid>("invocation {InvocationId}");

    public async Task InvokeAsync(HttpContext context)
    {
        if (InvocationId(context.Request.Headers[Header]) is not { } id)
        {
            await next(context);
            return;
        }
        using (Scope(logger, id))
        {
            await next(context);
        }
    }

    /// <summary>
    /// A caller's own header stays in front of the host's (forwarding mode), so the last one counts; and only a GUID gets into a log line.
    /// </summary>
    private static Guid? InvocationId(StringValues values)
    {
        var last = values.Count == 0 ? "" : values[^1] ?? "";
        return Guid.TryParse(last[(last.LastIndexOf(',') + 1)..].Trim(), out var id) ? id : null;
    }
}
