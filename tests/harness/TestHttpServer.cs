using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;

namespace IotHub.Harness;

/// <summary>A request as it came, byte for byte.</summary>
public sealed record RecordedRequest(string Method, string Target, IReadOnlyDictionary<string, string> Headers, byte[] Body)
{
    public string Text => System.Text.Encoding.UTF8.GetString(Body);

    /// <summary>A header's value, or null; names are compared without case.</summary>
    public string? Header(string name) => Headers.GetValueOrDefault(name);
}

/// <summary>
/// The far end of a REST route: a real HTTP server on the loopback that records what it is sent, and can be told to fail, to stall,
/// to be gone and to come back.
/// </summary>
public sealed class TestHttpServer : IAsyncDisposable
{
    private readonly ConcurrentQueue<RecordedRequest> _answered = new();
    private readonly ConcurrentQueue<RecordedRequest> _received = new();
    private readonly int _port;
    private WebApplication? _application;
    private volatile TaskCompletionSource _gate = Open();
    private volatile Func<HttpContext, Task> _answer = context =>
    {
        context.Response.StatusCode = 200;
        return Task.CompletedTask;
    };

    private TestHttpServer(int port)
    {
        _port = port;
        Url = new Uri($"http://127.0.0.1:{port}/");
    }

    public Uri Url { get; }

    /// <summary>Requests that were answered with a 2xx status, in order.</summary>
    public IReadOnlyList<RecordedRequest> Accepted => [.. _answered];

    /// <summary>All requests that arrived in full, whatever came of them.</summary>
    public IReadOnlyList<RecordedRequest> Received => [.. _received];

    public static async Task<TestHttpServer> Start()
    {
        for (var attempt = 1; ; attempt++)
        {
            var server = new TestHttpServer(FreePorts.Take());
            try
            {
                await server.Listen();
                return server;
            }
            catch (IOException) when (attempt < 5)
            {
                // The port was taken in between.
                await server.DisposeAsync();
            }
        }
    }

    /// <summary>From now on every request gets this status.</summary>
    public void Answers(int status) => Answers(context =>
    {
        context.Response.StatusCode = status;
        return Task.CompletedTask;
    });

    /// <summary>From now on requests are answered by <paramref name="answer"/>; their body has been read already.</summary>
    public void Answers(Func<HttpContext, Task> answer) => _answer = answer;

    /// <summary>From now on requests are read but not answered, until <see cref="Resume"/>.</summary>
    public void Stall() => _gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

    public void Resume() => _gate.TrySetResult();

    /// <summary>The server is gone: its port refuses connections.</summary>
    public async Task GoDown()
    {
        if (_application is { } running)
        {
            _application = null;
            Resume();
            await running.StopAsync();
            await running.DisposeAsync();
        }
    }

    /// <summary>Back on the same port.</summary>
    public Task ComeBack() => Listen();

    public async ValueTask DisposeAsync() => await GoDown();

    private static TaskCompletionSource Open()
    {
        var gate = new TaskCompletionSource();
        gate.SetResult();
        return gate;
    }

    private async Task Listen()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Listen(IPAddress.Loopback, _port, listen => listen.Protocols = HttpProtocols.Http1);
        });
        builder.WebHost.UseShutdownTimeout(TimeSpan.FromSeconds(1));
        var application = builder.Build();
        application.Run(Record);
        await application.StartAsync();
        _application = application;
    }

    private async Task Record(HttpContext context)
    {
        var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body, context.RequestAborted);
        var target = context.Features.Get<IHttpRequestFeature>()!.RawTarget;
        var headers = context.Request.Headers.ToDictionary(h => h.Key, h => h.Value.ToString(), StringComparer.OrdinalIgnoreCase);
        var request = new RecordedRequest(context.Request.Method, target, headers, body.ToArray());
        _received.Enqueue(request);
        await _gate.Task.WaitAsync(context.RequestAborted);
        await _answer(context);
        if (context.Response.StatusCode is >= 200 and < 300)
        {
            _answered.Enqueue(request);
        }
    }
}
