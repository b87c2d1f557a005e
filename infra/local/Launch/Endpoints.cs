using System.Text.Json;
using System.Text.Json.Serialization;

namespace IotHub.Local.Launch;

/// <summary>
/// What <c>endpoints.json</c> in the data folder says while the hub runs. Scripts and tests read it; names are snake_case there.
/// </summary>
public sealed record Endpoints
{
    public required string ApiUrl { get; init; }
    public required string Region { get; init; }
    public required string AccessKey { get; init; }
    public required string SecretKey { get; init; }
    public required Guid ProjectId { get; init; }
    public required Guid OrganizationId { get; init; }
    public required MqttEndpoints Mqtt { get; init; }
    public required IngestEndpoints Ingest { get; init; }

    /// <summary>Null as long as there is no console.</summary>
    public string? ConsoleUrl { get; init; }

    public required string StorageConnectionString { get; init; }
    public required ChildIds Pids { get; init; }

    /// <summary>Path of the certificate that signed the MQTT server's.</summary>
    public required string ServerCa { get; init; }

    /// <summary>How to start the broker; only there when the launcher was told to leave it to the caller.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public StartCommand? BrokerCommand { get; init; }

    public string ManagementUrl => $"{ApiUrl}/iot/v1/regions/{Region}";
}

public sealed record MqttEndpoints(string Host, int Port, int TlsPort, string WsUrl, string WssUrl);

public sealed record IngestEndpoints(string RestUrl, string SigfoxUrl);

public sealed record StartCommand(string Program, IReadOnlyList<string> Arguments, IReadOnlyDictionary<string, string> Environment);

/// <param name="Functions">The handler under the stand-in host, <c>func</c> itself under Core Tools.</param>
/// <param name="Broker">0 when the launcher did not start it.</param>
public sealed record ChildIds(int Azurite, int Functions, int Broker);

/// <summary>How this folder's JSON files are written.</summary>
public static class LocalJson
{
    public static JsonSerializerOptions Options { get; } = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        WriteIndented = true,
        IgnoreReadOnlyProperties = true,
        RespectRequiredConstructorParameters = true,
    };
}
