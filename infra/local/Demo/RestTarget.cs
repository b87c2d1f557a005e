using System.Net;
using System.Threading.Channels;
using IotHub.Local.Processes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace IotHub.Local.Demo;

/// <param name="Topic">Of the header <c>X-Mqtt-Topic</c>.</param>
public sealed record RestCall(string Method, string Topic, byte[] Body);

/// <summary>A small HTTP server that a REST route can call; it keeps what it got.</summary>
public sealed class RestTarget : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly Channel<RestCall> _calls = Channel.CreateBounded<RestCall>(100);

    private RestTarget(WebApplication app) => _app = app;

    public Uri Address => new(_app.Urls.First());
    public ChannelReader<RestCall> Calls => _calls.Reader;

    public static async Task<RestTarget> Start()
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton<ILoggerFactory>(NullLoggerFactory.Instance);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, LoopbackPorts.TakeFree(1)[0]));
        var app = builder.Build();
        var target = new RestTarget(app);
        app.Run(target.Keep);
        await app.StartAsync();
        return target;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task Keep(HttpContext context)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body, context.RequestAborted);
        var topic = context.Request.Headers["X-Mqtt-Topic"].ToString();
        await _calls.Writer.WriteAsync(new RestCall(context.Request.Method, topic, body.ToArray()), context.RequestAborted);
    }
}
