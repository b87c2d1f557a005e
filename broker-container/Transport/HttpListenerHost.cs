using System.Net;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace IotHub.Broker.Transport;

/// <summary>A port that speaks HTTP, with TLS when it has a certificate.</summary>
/// <param name="Chain">Certificates between the server's and its root, sent along.</param>
public sealed record HttpListening(IPEndPoint EndPoint, X509Certificate2? Certificate = null, X509Certificate2Collection? Chain = null);

/// <summary>Kestrel with nothing on it but one handler.</summary>
public sealed class HttpListenerHost : IAsyncDisposable
{
    private static readonly TimeSpan StopTime = TimeSpan.FromSeconds(5);

    private readonly WebApplication _app;

    private HttpListenerHost(WebApplication app, IReadOnlyList<int> ports)
    {
        _app = app;
        Ports = ports;
    }

    /// <summary>The ports that are listened on, in the order they were asked for.</summary>
    public IReadOnlyList<int> Ports { get; }

    /// <summary>Listens. An end point with port 0 gets a free one.</summary>
    /// <exception cref="IOException">A port is in use.</exception>
    public static async Task<HttpListenerHost> Start(
        IReadOnlyList<HttpListening> listenings, Action<KestrelServerOptions> configure, RequestDelegate handle, ILoggerFactory logging,
        Action<IApplicationBuilder>? before = null)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton(logging);
        builder.Services.AddLogging();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            configure(kestrel);
            foreach (var listening in listenings)
            {
                kestrel.Listen(listening.EndPoint, options => Listen(options, listening));
            }
        });
        var app = builder.Build();
        before?.Invoke(app);
        app.Run(handle);
        try
        {
            await app.StartAsync();
        }
        catch
        {
            await app.DisposeAsync();
            throw;
        }
        var addresses = app.Services.GetRequiredService<IServer>().Features.GetRequiredFeature<IServerAddressesFeature>().Addresses;
        return new HttpListenerHost(app, [.. addresses.Select(address => BindingAddress.Parse(address).Port)]);
    }

    public async Task Stop()
    {
        using var patience = new CancellationTokenSource(StopTime);
        await _app.StopAsync(patience.Token);
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private static void Listen(ListenOptions options, HttpListening listening)
    {
        options.Protocols = HttpProtocols.Http1;
        if (listening.Certificate is { } certificate)
        {
            options.UseHttps(https =>
            {
                https.ServerCertificate = certificate;
                https.ServerCertificateChain = listening.Chain;
            });
        }
    }
}
