using System.Net;

namespace IotHub.Broker.Transport;

/// <summary>
/// MQTT over WebSocket on Kestrel (MQTT 5.0 chapter 6): paths <c>/mqtt</c> and <c>/</c>, subprotocol <c>mqtt</c>, binary frames only,
/// packets and frames need not begin together. Certificates of clients are not asked for here.
/// </summary>
public static class WebSocketTransport
{
    private const string Subprotocol = "mqtt";
    private static readonly TimeSpan UpgradeTime = TimeSpan.FromSeconds(10);

    /// <summary>Pings keep the proxies between awake; a client that is gone is found by MQTT's own keep-alive.</summary>
    private static readonly TimeSpan PingInterval = TimeSpan.FromSeconds(60);

    /// <summary>Listens on all the given ports.</summary>
    /// <exception cref="IOException">A port is in use.</exception>
    public static Task<HttpListenerHost> Start(MqttBroker broker, IReadOnlyList<HttpListening> listenings, ILoggerFactory logging) =>
        HttpListenerHost.Start(
            listenings,
            kestrel =>
            {
                kestrel.Limits.MaxConcurrentConnections = broker.Limits.ConnectionsMaximum;
                kestrel.Limits.MaxConcurrentUpgradedConnections = broker.Limits.ConnectionsMaximum;
                kestrel.Limits.MaxRequestBodySize = 0;
                kestrel.Limits.RequestHeadersTimeout = UpgradeTime;
                kestrel.Limits.KeepAliveTimeout = UpgradeTime;
            },
            context => Handle(broker, context),
            logging,
            app => app.UseWebSockets(new WebSocketOptions { KeepAliveInterval = PingInterval }));

    private static async Task Handle(MqttBroker broker, HttpContext context)
    {
        if (context.Request.Path.Value is not ("/mqtt" or "/" or ""))
        {
            await Answer(context, StatusCodes.Status404NotFound, "MQTT over WebSocket is at /mqtt");
            return;
        }
        if (!context.WebSockets.IsWebSocketRequest)
        {
            context.Response.Headers.Upgrade = "websocket";
            await Answer(context, StatusCodes.Status426UpgradeRequired, "this is an MQTT over WebSocket endpoint");
            return;
        }
        // [MQTT-6.0.0-3] [MQTT-6.0.0-4]: clients must offer it and get it back. One that offers nothing is let in, as brokers commonly do.
        var offered = context.WebSockets.WebSocketRequestedProtocols;
        if (offered.Count > 0 && !offered.Contains(Subprotocol))
        {
            await Answer(context, StatusCodes.Status400BadRequest, "the subprotocol mqtt must be offered");
            return;
        }
        var accept = new WebSocketAcceptContext { SubProtocol = offered.Count > 0 ? Subprotocol : null };
        using var socket = await context.WebSockets.AcceptWebSocketAsync(accept);
        var remote = context.Connection.RemoteIpAddress is { } address ? new IPEndPoint(address, context.Connection.RemotePort) : null;
        await using var stream = new WebSocketBytes(socket);
        await StreamTransport.Serve(broker, stream, context.Request.IsHttps, remote, clientCertificate: null);
    }

    private static Task Answer(HttpContext context, int status, string text)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "text/plain; charset=utf-8";
        return context.Response.WriteAsync(text, context.RequestAborted);
    }
}
