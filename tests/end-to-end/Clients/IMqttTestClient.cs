using System.Text;

namespace IotHub.EndToEnd.Clients;

public enum MqttTransport { Tcp, WebSocket, Tls, WebSocketTls }

/// <summary>How a client connects. Version 4 is MQTT 3.1.1, 5 is MQTT 5.0.</summary>
public sealed record MqttLogin(string Url, int Version)
{
    public string ClientId { get; init; } = "";
    public string? UserName { get; init; }
    public bool CleanStart { get; init; } = true;

    /// <summary>How long the session is kept, seconds (MQTT 5; 3.1.1 keeps it when not clean).</summary>
    public uint SessionExpiry { get; init; }
    public MqttWill? Will { get; init; }

    /// <summary>PEM of the authority that must have signed the server's certificate, for TLS.</summary>
    public string? ServerCaPem { get; init; }

    /// <summary>PEM of the device's certificate and key, for mutual TLS.</summary>
    public string? CertificatePem { get; init; }
    public string? KeyPem { get; init; }
}

public sealed record MqttWill(string Topic, string Payload, int Qos = 0, bool Retain = false);

/// <param name="Code">0 is success; otherwise the return code (3.1.1) or reason code (5.0) of the CONNACK.</param>
public sealed record MqttConnected(int Code, bool SessionPresent);

public sealed record MqttReceived(string Topic, byte[] Payload, int Qos, bool Retain)
{
    public string Text => Encoding.UTF8.GetString(Payload);
}

/// <summary>A client written by other hands; the tests say the same to each.</summary>
public interface IMqttTestClient : IAsyncDisposable
{
    Task<MqttConnected> Connect(MqttLogin login);

    /// <returns>The granted quality, or 128 and above when refused.</returns>
    Task<int> Subscribe(string filter, int qos = 0);

    /// <summary>Publishes and waits for what the quality asks for.</summary>
    Task Publish(string topic, string payload, int qos = 0, bool retain = false);

    /// <summary>The next message that arrived.</summary>
    Task<MqttReceived> Next(TimeSpan? deadline = null);

    /// <summary>Waits until the server has closed the connection.</summary>
    Task Closed(TimeSpan? deadline = null);

    /// <summary>Leaves with a DISCONNECT.</summary>
    Task Disconnect();

    /// <summary>Is gone without a DISCONNECT, as after a broken cable.</summary>
    Task Drop();
}
