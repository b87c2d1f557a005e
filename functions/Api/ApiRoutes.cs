using System.Globalization;
using IotHub.Core;
using IotHub.Core.Domain;
using IotHub.Core.Security;
using IotHub.Core.Storage;

namespace IotHub.Functions.Api;

/// <summary>
/// Maps the management API. Every call takes the same steps: region, caller, rights, ids of the path, the feature; and every answer has
/// the same headers (Scaleway IoT reference, response headers).
/// </summary>
internal sealed partial class ApiRoutes(IEndpointRouteBuilder app)
{
    private const string Prefix = "/iot/v1/regions/{region}";
    private readonly List<ApiOperation> _operations = [];

    public ApiOperation Get<TFeature, TAnswer>(string path, Func<TFeature, ApiRequest, Task<Outcome<TAnswer>>> call)
        where TFeature : notnull => Map(HttpMethods.Get, path, ApiRole.Reader, call);

    /// <summary>For what even a reader must not see.</summary>
    public ApiOperation Get<TFeature, TAnswer>(string path, ApiRole needs, Func<TFeature, ApiRequest, Task<Outcome<TAnswer>>> call)
        where TFeature : notnull => Map(HttpMethods.Get, path, needs, call);

    public ApiOperation Post<TFeature, TAnswer>(string path, ApiRole needs, Func<TFeature, ApiRequest, Task<Outcome<TAnswer>>> call)
        where TFeature : notnull => Map(HttpMethods.Post, path, needs, call);

    public ApiOperation Patch<TFeature, TAnswer>(string path, ApiRole needs, Func<TFeature, ApiRequest, Task<Outcome<TAnswer>>> call)
        where TFeature : notnull => Map(HttpMethods.Patch, path, needs, call);

    public ApiOperation Put<TFeature, TAnswer>(string path, ApiRole needs, Func<TFeature, ApiRequest, Task<Outcome<TAnswer>>> call)
        where TFeature : notnull => Map(HttpMethods.Put, path, needs, call);

    public ApiOperation Delete<TFeature>(string path, ApiRole needs, Func<TFeature, ApiRequest, Task<Outcome<Nothing>>> call)
        where TFeature : notnull => Map(HttpMethods.Delete, path, needs, call);

    /// <summary>Serves the description of all that was mapped before; no key is needed to read it.</summary>
    public void Describe()
    {
        // Not at start, which the host waits for.
        var document = new Lazy<byte[]>(() => OpenApi.Document(_operations));
        app.MapGet(OpenApi.Path, context => Write(context, StatusCodes.Status200OK, document.Value));
    }

    /// <summary>Answers what no call of the API matches.</summary>
    public void Rest()
    {
        foreach (var pattern in new[] { Prefix + "/{**path}", "/iot/{**path}" })
        {
            app.Map(pattern, NoSuchCall);
        }
    }

    private ApiOperation Map<TFeature, TAnswer>(
        string method, string path, ApiRole needs, Func<TFeature, ApiRequest, Task<Outcome<TAnswer>>> call)
        where TFeature : notnull
    {
        var operation = new ApiOperation(method, Prefix + path, needs, typeof(TAnswer));
        _operations.Add(operation);
        var resource = path.Split('/')[1].TrimEnd('s').Replace('-', '_');
        app.MapMethods(Prefix + path, [method], context => Guarded(context, async services =>
        {
            if (IsElsewhere(context))
            {
                return new Problem.UnknownService();
            }
            if (!(await Authenticate(context, services)).Get(out var caller, out var denied))
            {
                return denied;
            }
            if (caller.Role < needs)
            {
                return new Problem.PermissionsDenied(HttpMethods.IsGet(method) ? "read" : "write", resource);
            }
            return IdProblem(context) is { } wrong
                ? wrong
                : await call(
                    services.GetRequiredService<TFeature>(),
                    new ApiRequest(context, caller, services.GetRequiredService<FunctionsSettings>().Region));
        })).WithMetadata(operation);
        return operation;
    }

    private static Task NoSuchCall(HttpContext context)
    {
        Outcome<Nothing> answer = IsElsewhere(context)
            ? new Problem.UnknownService()
            : new Problem.NotFound("endpoint", context.Request.Path.ToString());
        return Guarded(context, _ => Task.FromResult(answer));
    }

    private static bool IsElsewhere(HttpContext context) =>
        context.Request.RouteValues["region"] is string region
        && region != context.RequestServices.GetRequiredService<FunctionsSettings>().Region;

    private static Problem.InvalidArguments? IdProblem(HttpContext context)
    {
        foreach (var (name, value) in context.Request.RouteValues)
        {
            if (name.EndsWith("_id", StringComparison.Ordinal) && !Checks.IsId(value as string, out _))
            {
                return new Problem.InvalidArguments(name, "format", "must be a UUID");
            }
        }
        return null;
    }

    /// <summary>
    /// Unknown and revoked keys, and what is no key at all, look alike but for the reason. A key counts whatever stands beside it. Failures are counted per address, and beyond the
    /// limit answered without a look at the storage.
    /// </summary>
    private static async Task<Outcome<ApiKey>> Authenticate(HttpContext context, IServiceProvider services)
    {
        var failures = services.GetRequiredService<FailedLogins>();
        var address = FailedLogins.AddressOf(context);
        var secret = context.Request.Headers["X-Auth-Token"].ToString().Trim();
        var hash = Guid.TryParseExact(secret, "D", out var canonical) ? Secrets.Hash(canonical.ToString("D")) : null;
        if (failures.SecondsToWait(address, hash) is > 0 and var seconds)
        {
            context.Response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
            return new Problem.TooManyRequests(
                "too many failed authentications from this address",
                FailedLogins.FailuresMaximum,
                (int)FailedLogins.Window.TotalSeconds,
                seconds);
        }
        var key = hash is null ? null : await services.GetRequiredService<IApiKeys>().FindBySecretHash(hash, context.RequestAborted);
        if (key is not null)
        {
            failures.Succeeded(hash!);
            return key;
        }
        failures.Failed(address, hash);
        return secret.Length > 0 ? new Problem.AuthenticationDenied("api_key", hash is null ? "invalid_argument" : "not_found")
            : context.Request.Headers.ContainsKey(SessionToken.Header) ? SessionToken.Denied(context)
            : new Problem.AuthenticationDenied("unknown_method", "not_found");
    }

    private static async Task Guarded<TAnswer>(HttpContext context, Func<IServiceProvider, Task<Outcome<TAnswer>>> call)
    {
        var requestId = Guid.NewGuid();
        var headers = context.Response.Headers;
        headers.ContentSecurityPolicy = "default-src 'none'; frame-ancestors 'none'";
        headers.StrictTransportSecurity = "max-age=63072000";
        headers.XContentTypeOptions = "nosniff";
        headers.XFrameOptions = "DENY";
        headers["X-Request-Id"] = requestId.ToString();
        var logger = context.RequestServices.GetRequiredService<ILogger<ApiRoutes>>();
        Outcome<TAnswer> outcome;
        try
        {
            outcome = await call(context.RequestServices);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            return;
        }
        catch (Exception e) when (e is RegistryUnavailableException or StaleVersionException)
        {
            Log.Unavailable(logger, context.Request.Method, context.Request.Path, e.Message);
            outcome = new Problem.Unavailable();
        }
        catch (BadHttpRequestException e)
        {
            outcome = new Problem.InvalidArguments("body", "format", e.Message);
        }
        catch (Exception e)
        {
            Log.Failed(logger, context.Request.Method, context.Request.Path, requestId, e);
            await Write(context, StatusCodes.Status500InternalServerError, ApiJson.Write(ProblemAnswers.InternalError($"{requestId}")));
            return;
        }
        if (!outcome.Get(out var answer, out var problem))
        {
            var (status, body) = ProblemAnswers.Of(problem);
            await Write(context, status, ApiJson.Write(body));
        }
        else if (answer is Nothing)
        {
            context.Response.StatusCode = StatusCodes.Status204NoContent;
            context.Response.ContentType = "application/json";
        }
        else if (answer is StreamedAnswer streamed)
        {
            await Stream(context, streamed, logger);
        }
        else
        {
            await Write(context, StatusCodes.Status200OK, ApiJson.Write(answer));
        }
    }

    private static async Task Stream(HttpContext context, StreamedAnswer streamed, ILogger logger)
    {
        context.Response.ContentType = streamed.ContentType;
        try
        {
            await streamed.Write(context.Response.Body, context.RequestAborted);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
        }
        catch (Exception e)
        {
            Log.Broken(logger, context.Request.Method, context.Request.Path, e);
            context.Abort();
        }
    }

    // The bare content type: with a charset behind it, the official JavaScript client takes the body for text.
    private static async Task Write(HttpContext context, int status, byte[] body)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = body.Length;
        await context.Response.Body.WriteAsync(body, context.RequestAborted);
    }

    private static partial class Log
    {
        [LoggerMessage(3, LogLevel.Error, "{Method} {Path} failed in the middle of its answer")]
        public static partial void Broken(ILogger logger, string method, string path, Exception exception);

        [LoggerMessage(1, LogLevel.Warning, "{Method} {Path} was answered 503: {Reason}")]
        public static partial void Unavailable(ILogger logger, string method, string path, string reason);

        [LoggerMessage(2, LogLevel.Error, "{Method} {Path} failed, request {RequestId}")]
        public static partial void Failed(ILogger logger, string method, string path, Guid requestId, Exception exception);
    }
}
