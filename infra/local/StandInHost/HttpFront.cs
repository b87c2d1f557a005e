using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace IotHub.Local.StandInHost;

/// <summary>Keys that callers must show. Without a master key nothing is checked, as under Core Tools.</summary>
/// <param name="Host">Opens every function of level <c>function</c>.</param>
/// <param name="Master">Opens everything, <c>/admin</c> too.</param>
public sealed record HostKeys(string Host, string Master);

/// <summary>
/// The public side: finds the function of a request by route and method, checks the key, and passes the request through. Everything that is
/// not a function's answers 404 and never reaches the handler.
/// </summary>
public sealed partial class HttpFront : IAsyncDisposable
{
    private const long BodyBytesMax = 104_857_600;
    private static readonly TimeSpan StartPatience = TimeSpan.FromSeconds(30);
    private static readonly object Handled = new();

    private readonly FunctionHost _host;
    private readonly HandlerProcess _handler;
    private readonly TimeSpan? _functionTimeout;
    private readonly HostKeys? _keys;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly RequestForwarder _forwarder = new();
    private readonly WebApplication _app;

    public HttpFront(
        FunctionHost host, HandlerProcess handler, TimeSpan? functionTimeout, HostKeys? keys, int port, TimeProvider time,
        ILoggerFactory loggers)
    {
        _host = host;
        _handler = handler;
        _functionTimeout = functionTimeout;
        _keys = keys;
        _time = time;
        _logger = loggers.CreateLogger("Host.Http");
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton<ILoggerFactory>(NullLoggerFactory.Instance);
        builder.Services.AddRouting();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = BodyBytesMax;
            kestrel.Listen(IPAddress.Loopback, port);
        });
        _app = builder.Build();
        _app.Use(WrongMethodIsNotFound);
        _app.UseRouting();
        foreach (var function in host.Functions.Where(f => f.Trigger is HttpTrigger))
        {
            Map(function, (HttpTrigger)function.Trigger);
        }
        _app.MapPost("/admin/functions/{name}", StartByHand);
        _app.MapGet("/admin/host/status", context => Admin(context, () => Status(context)));
        if (!host.Functions.Any(f => f.Trigger is HttpTrigger { Route: "" }))
        {
            _app.MapGet("/", HomePage);
        }
    }

    public Uri Address => new(_app.Urls.First());

    public Task Start() => _app.StartAsync();

    /// <summary>Takes no new requests and waits for the running ones.</summary>
    public async Task Stop(TimeSpan grace)
    {
        using var cancel = new CancellationTokenSource(grace);
        await _app.StopAsync(cancel.Token);
    }

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _forwarder.Dispose();
    }

    private void Map(FunctionDefinition function, HttpTrigger trigger)
    {
        Task Run(HttpContext context) => Serve(context, function, trigger);
        try
        {
            _ = trigger.Methods.Count == 0 ? _app.Map(trigger.Route, Run) : _app.MapMethods(trigger.Route, trigger.Methods, Run);
        }
        catch (Exception e) when (e is ArgumentException or FormatException or InvalidOperationException)
        {
            throw new FunctionAppException(
                $"{function.Name}/function.json: the route {trigger.Route} is not a route template: {e.Message}");
        }
    }

    /// <summary>The host answers a known path with another method like an unknown path.</summary>
    private static async Task WrongMethodIsNotFound(HttpContext context, RequestDelegate next)
    {
        await next(context);
        var isWrongMethod = context.Response.StatusCode == StatusCodes.Status405MethodNotAllowed && !context.Items.ContainsKey(Handled);
        if (isWrongMethod && !context.Response.HasStarted)
        {
            context.Response.Headers.Allow = default;
            context.Response.StatusCode = StatusCodes.Status404NotFound;
        }
    }

    private async Task Serve(HttpContext context, FunctionDefinition function, HttpTrigger trigger)
    {
        context.Items[Handled] = Handled;
        var offered = OfferedKey(context.Request);
        if (function.Disabled && !IsMaster(offered))
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }
        if (!IsAllowed(trigger.Level, offered))
        {
            context.Response.StatusCode = StatusCodes.Status401Unauthorized;
            return;
        }
        if (await HandlerAddress(context) is { } address)
        {
            await Forward(context, function.Name, address);
        }
    }

    private async Task<Uri?> HandlerAddress(HttpContext context)
    {
        try
        {
            return await _handler.Ready(context.RequestAborted).WaitAsync(StartPatience, _time, context.RequestAborted);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            return null;
        }
        catch (Exception e) when (e is TimeoutException or FunctionAppException or OperationCanceledException)
        {
            context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
            return null;
        }
    }

    private async Task Forward(HttpContext context, string function, Uri address)
    {
        using var timeout = _functionTimeout is { } limit ? new CancellationTokenSource(limit, _time) : new CancellationTokenSource();
        using var either = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, timeout.Token);
        try
        {
            await _forwarder.Forward(context, address, Guid.NewGuid(), _time, either.Token);
        }
        catch (Exception) when (context.RequestAborted.IsCancellationRequested)
        {
            // The caller went away; the request to the handler went with it, and that is no failure of the function.
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException or IOException)
        {
            if (timeout.IsCancellationRequested)
            {
                _handler.Restart($"{function} took longer than functionTimeout ({_functionTimeout:c})");
            }
            Log.Failed(_logger, function, e.Message);
            if (context.Response.HasStarted)
            {
                context.Abort();
            }
            else
            {
                context.Response.Clear();
                // The caller's own fault (too long a body, broken chunks) comes out of the copying, wrapped.
                context.Response.StatusCode = (e as BadHttpRequestException ?? e.InnerException as BadHttpRequestException)?.StatusCode
                    ?? StatusCodes.Status500InternalServerError;
            }
        }
    }

    /// <summary>Starts a queue or timer function now: <c>{"input":"…"}</c>, answered 202 before it has run.</summary>
    private Task StartByHand(HttpContext context) => Admin(context, async () =>
    {
        var name = (string)context.Request.RouteValues["name"]!;
        string input;
        try
        {
            using var body = await JsonDocument.ParseAsync(context.Request.Body, default, context.RequestAborted);
            input = body.RootElement.TryGetProperty("input", out var given) ? given.ToString() : "";
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            context.Response.StatusCode = StatusCodes.Status400BadRequest;
            return;
        }
        context.Response.StatusCode = _host.StartByHand(name, input) ? StatusCodes.Status202Accepted : StatusCodes.Status404NotFound;
    });

    private async Task Admin(HttpContext context, Func<Task> answer)
    {
        context.Items[Handled] = Handled;
        if (!IsAllowed(KeyLevel.Admin, OfferedKey(context.Request)))
        {
            context.Response.StatusCode = StatusCodes.Status401Unauthorized;
            return;
        }
        await answer();
    }

    private static Task HomePage(HttpContext context)
    {
        context.Response.ContentType = "text/html; charset=utf-8";
        return context.Response.WriteAsync(
            "<!doctype html><title>Function app</title><p>Your function app is up and running (stand-in host).</p>");
    }

    private static Task Status(HttpContext context) =>
        context.Response.WriteAsJsonAsync(new { state = "Running", version = HostHeaders.HostVersionValue });

    private bool IsAllowed(KeyLevel level, string? offered) => _keys is null || level switch
    {
        KeyLevel.Anonymous => true,
        KeyLevel.Function => IsMaster(offered) || Same(_keys.Host, offered),
        _ => IsMaster(offered),
    };

    private bool IsMaster(string? offered) => _keys is not null && Same(_keys.Master, offered);

    private static string? OfferedKey(HttpRequest request) =>
        request.Headers.TryGetValue("x-functions-key", out var header) ? header.ToString() : request.Query["code"].FirstOrDefault();

    private static bool Same(string key, string? offered) =>
        offered is not null && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(key), Encoding.UTF8.GetBytes(offered));

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Error, "{Function} failed: {Reason}")]
        public static partial void Failed(ILogger logger, string function, string reason);
    }
}
