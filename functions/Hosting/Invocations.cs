using System.Net;
using System.Text;
using System.Text.Json;

namespace IotHub.Functions.Hosting;

/// <summary>
/// The endpoints <c>POST /{FunctionName}</c> that the host calls for queue and timer functions. Success is always 200 with a JSON object:
/// an empty body, 204 or <c>null</c> would leave the invocation hanging until the function time-out, which then kills this process with all
/// that runs in it. Failure is always 500; the host tries a queue message again.
/// </summary>
public sealed partial class Invocations(IServiceProvider services, ILogger<Invocations> logger)
{
    /// <summary>Below <c>functionTimeout</c> of host.json (5 min): a slow function fails alone and does not take the process along.</summary>
    public static readonly TimeSpan TimeLimit = TimeSpan.FromMinutes(4);

    /// <summary>
    /// Did the request come through a public route? Then it must not reach an invocation path: the host itself calls
    /// <c>127.0.0.1:port</c> and adds none of these headers.
    /// </summary>
    public static bool CameFromOutside(HttpContext context)
    {
        var request = context.Request;
        return request.Headers.ContainsKey("X-Forwarded-Host")
            || request.Headers.ContainsKey("x-ms-invocation-id")
            || request.Host.Port != context.Connection.LocalPort
            || !(IPAddress.TryParse(request.Host.Host, out var address) && IPAddress.IsLoopback(address));
    }

    public async Task Invoke(HttpContext context, FunctionDefinition function)
    {
        if (CameFromOutside(context))
        {
            Log.Refused(logger, function.Name);
            await Answer(context, StatusCodes.Status404NotFound, """{"error":"not found"}""");
            return;
        }
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        limit.CancelAfter(TimeLimit);
        try
        {
            using var body = await ReadBody(context.Request, limit.Token);
            await Run(function, body.RootElement, limit.Token);
            await Answer(context, StatusCodes.Status200OK, "{}");
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            Log.Abandoned(logger, function.Name);
        }
        catch (Exception e)
        {
            if (StorageFailure.Reason(e) is { } reason)
            {
                Log.StorageFailed(logger, function.Name, reason);
            }
            else
            {
                Log.Failed(logger, e, function.Name);
            }
            await Answer(context, StatusCodes.Status500InternalServerError, """{"error":"the function failed, see its log"}""");
        }
    }

    private Task Run(FunctionDefinition function, JsonElement body, CancellationToken cancel) => function switch
    {
        QueueFunction queue => queue.Run(
            services, InvocationBody.QueueMessage(InvocationBody.Data(body, QueueFunction.BindingName)), cancel),
        TimerFunction timer => timer.Run(services, cancel),
        _ => throw new ArgumentException($"{function.Name} is not invoked with a JSON body", nameof(function)),
    };

    internal static async Task<JsonDocument> ReadBody(HttpRequest request, CancellationToken cancel)
    {
        var bytes = await BoundedBody.Read(request, InvocationBody.MaximumBytes, cancel)
            ?? throw new FormatException($"the invocation is larger than {InvocationBody.MaximumBytes} bytes");
        try
        {
            return JsonDocument.Parse(bytes);
        }
        catch (JsonException e)
        {
            throw new FormatException($"the invocation is not JSON: {e.Message}", e);
        }
    }

    internal static Task Answer(HttpContext context, int status, string json)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        var bytes = Encoding.UTF8.GetBytes(json);
        context.Response.ContentLength = bytes.Length;
        return context.Response.Body.WriteAsync(bytes, context.RequestAborted).AsTask();
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning, "{Function}: refused a call that came through a public route")]
        public static partial void Refused(ILogger logger, string function);

        [LoggerMessage(2, LogLevel.Warning, "{Function}: the host closed the connection before the function had ended")]
        public static partial void Abandoned(ILogger logger, string function);

        [LoggerMessage(3, LogLevel.Error, "{Function}: failed")]
        public static partial void Failed(ILogger logger, Exception exception, string function);

        [LoggerMessage(4, LogLevel.Warning, "{Function}: storage failed, the host will try again: {Reason}")]
        public static partial void StorageFailed(ILogger logger, string function, string reason);
    }
}
