using System.Collections.Concurrent;
using System.Net;
using System.Text;
using System.Text.Json;
using Azure.Storage.Blobs;
using Azure.Storage.Queues;
using IotHub.Harness;
using IotHub.Local.StandInHost;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace IotHub.Contract.StandInHost;

/// <summary>What the handler got: target and headers as on the wire.</summary>
public sealed record HandlerRequest(string Method, string Target, IReadOnlyDictionary<string, string> Headers, byte[] Body)
{
    public string Text => Encoding.UTF8.GetString(Body);
    public JsonElement Json => JsonDocument.Parse(Body).RootElement;

    /// <summary>The dequeue count of a queue invocation.</summary>
    public int DequeueCount => int.Parse(Json.GetProperty("Metadata").GetProperty(nameof(DequeueCount)).GetString()!);

    /// <summary>The text of a queue message bound as <c>item</c>.</summary>
    public string Message => JsonSerializer.Deserialize<string>(Json.GetProperty("Data").GetProperty("item").GetString()!)!;
}

/// <summary>
/// A function app whose HTTP side is in the test's hands: the process that the host starts is a shell script, and the port it is told
/// to use is fixed to that of a server inside the test.
/// </summary>
public sealed class ScriptedApp : IAsyncDisposable
{
    private readonly TempFolder _folder = new("app");
    private readonly ConcurrentQueue<HandlerRequest> _requests = new();
    private WebApplication? _server;
    private string _script = "exec sleep 600";
    private string _hostMembers = "";
    private string _queues = "";

    private ScriptedApp(string storage) => Storage = storage;

    public string Storage { get; }
    public string Root => _folder.Path;
    public int Port { get; private set; }

    /// <summary>Everything but the host's own readiness probe, in order of arrival.</summary>
    public IReadOnlyList<HandlerRequest> Requests => [.. _requests];

    /// <summary>Answers an invocation; the body was read already and is in the request given.</summary>
    public Func<HandlerRequest, HttpContext, Task> Answer { get; set; } = (_, context) => Succeed(context);

    /// <summary>Answers a request as it comes, body unread; takes precedence.</summary>
    public Func<HttpContext, Task>? AnswerRaw { get; set; }

    public static async Task<ScriptedApp> Create()
    {
        var app = new ScriptedApp((await AzuriteServer.Shared()).NewAccount());
        await app.Serve();
        return app;
    }

    public static Task Succeed(HttpContext context) => Write(context, 200, "application/json", "{}");

    public static Task Fail(HttpContext context) => Write(context, 500, "application/json", "{}");

    /// <summary>No answer, for as long as the caller waits.</summary>
    public static Task Hang(HttpContext context) => Task.Delay(Timeout.Infinite, context.RequestAborted);

    public static Task Write(HttpContext context, int status, string? type, string body)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = type;
        return body.Length == 0 ? Task.CompletedTask : context.Response.WriteAsync(body);
    }

    public ScriptedApp WithFunction(string name, params string[] bindings)
    {
        Directory.CreateDirectory(_folder.Combine(name));
        File.WriteAllText(_folder.Combine(name, "function.json"), $$"""{ "bindings": [{{string.Join(',', bindings)}}] }""");
        return this;
    }

    public ScriptedApp WithQueueFunction(string name, string queue) =>
        WithFunction(name, $$"""{ "type": "queueTrigger", "direction": "in", "name": "item", "queueName": "{{queue}}" }""");

    public ScriptedApp WithTimerFunction(string name, string schedule) =>
        WithFunction(name, $$"""{ "type": "timerTrigger", "direction": "in", "name": "timer", "schedule": "{{schedule}}" }""");

    public ScriptedApp WithHttpFunction(string name, string route, string level = "anonymous") => WithFunction(
        name,
        $$"""
        { "type": "httpTrigger", "direction": "in", "name": "req", "route": "{{route}}", "methods": ["get", "post"],
          "authLevel": "{{level}}" }
        """,
        """{ "type": "http", "direction": "out", "name": "res" }""");

    /// <summary>The handler's process; the server of the test answers whatever it does.</summary>
    public ScriptedApp WithProcess(string script)
    {
        _script = script;
        return this;
    }

    /// <summary>More members of host.json, with a comma at the end.</summary>
    public ScriptedApp WithHostMembers(string members)
    {
        _hostMembers = members;
        return this;
    }

    /// <summary>Members of <c>extensions.queues</c>.</summary>
    public ScriptedApp WithQueues(string members)
    {
        _queues = members;
        return this;
    }

    public async Task<FunctionHost> StartHost(Func<FunctionHostOptions, FunctionHostOptions>? change = null)
    {
        await File.WriteAllTextAsync(_folder.Combine("handler.sh"), _script + "\n");
        await File.WriteAllTextAsync(_folder.Combine("host.json"), $$"""
            { "version": "2.0", {{_hostMembers}}
              "customHandler": {
                "description": { "defaultExecutablePath": "/bin/sh", "arguments": ["handler.sh"] },
                "enableProxyingHttpRequest": true, "port": {{Port}}, "initializationTimeout": "00:00:10" },
              "extensions": {
                "http": { "routePrefix": "" },
                "queues": { "maxPollingInterval": "00:00:00.1" {{(_queues.Length == 0 ? "" : ",")}} {{_queues}} } } }
            """);
        var options = new FunctionHostOptions
        {
            AppRoot = Root,
            HostId = "test",
            Settings = new Dictionary<string, string> { ["AzureWebJobsStorage"] = Storage },
        };
        var host = new FunctionHost(change?.Invoke(options) ?? options, TimeProvider.System, NullLoggerFactory.Instance);
        await host.Start();
        await Eventually.True(() => host.IsReady || host.Failed.IsCompleted || _script.Contains("exit", StringComparison.Ordinal));
        return host;
    }

    public async Task<QueueClient> Queue(string name)
    {
        var queue = new QueueClient(Storage, name);
        await queue.CreateIfNotExistsAsync();
        return queue;
    }

    public static Task Send(QueueClient queue, string text) => queue.SendMessageAsync(Convert.ToBase64String(Encoding.UTF8.GetBytes(text)));

    public BlobClient TimerStatus(string function) =>
        new BlobContainerClient(Storage, "azure-webjobs-hosts").GetBlobClient($"timers/test/Host.Functions.{function}/status");

    /// <summary>Nobody answers on the handler's port from now on.</summary>
    public async Task StopServing()
    {
        if (_server is { } server)
        {
            _server = null;
            using var now = new CancellationTokenSource(TimeSpan.Zero);
            await server.StopAsync(now.Token);
            await server.DisposeAsync();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await StopServing();
        _folder.Dispose();
    }

    private async Task Serve()
    {
        for (var attempt = 1; ; attempt++)
        {
            Port = FreePorts.Take();
            var builder = WebApplication.CreateSlimBuilder();
            builder.Logging.ClearProviders();
            builder.WebHost.ConfigureKestrel(kestrel =>
            {
                kestrel.Limits.MaxRequestBodySize = null;
                kestrel.Listen(IPAddress.Loopback, Port);
            });
            var server = builder.Build();
            server.Run(Take);
            try
            {
                await server.StartAsync();
                _server = server;
                return;
            }
            catch (IOException) when (attempt < 5)
            {
                await server.DisposeAsync();
            }
        }
    }

    private async Task Take(HttpContext context)
    {
        var target = context.Features.Get<IHttpRequestFeature>()!.RawTarget;
        if (context.Request.Method == "GET" && target == "/" && !context.Request.Headers.ContainsKey("X-Azure-Functions-InvocationId"))
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }
        if (AnswerRaw is { } raw)
        {
            await raw(context);
            return;
        }
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body, context.RequestAborted);
        var headers = context.Request.Headers.ToDictionary(h => h.Key, h => h.Value.ToString(), StringComparer.OrdinalIgnoreCase);
        var request = new HandlerRequest(context.Request.Method, target, headers, body.ToArray());
        _requests.Enqueue(request);
        await Answer(request, context);
    }
}
