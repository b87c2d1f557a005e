using System.Text.Json;

namespace IotHub.Harness;

/// <summary>What the launcher writes to <c>endpoints.json</c> when it is ready.</summary>
public sealed record LocalEndpoints
{
    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        RespectRequiredConstructorParameters = true,
    };

    public required string ApiUrl { get; init; }
    public required string Region { get; init; }
    public required string AccessKey { get; init; }
    public required string SecretKey { get; init; }
    public required Guid ProjectId { get; init; }
    public required Guid OrganizationId { get; init; }
    public required MqttAddresses Mqtt { get; init; }
    public required IngestAddresses Ingest { get; init; }
    public string? ConsoleUrl { get; init; }
    public required string StorageConnectionString { get; init; }
    public required ChildPids Pids { get; init; }

    /// <summary>Path of the certificate that signed the broker's server certificate, PEM.</summary>
    public required string ServerCa { get; init; }

    /// <summary>How to start the broker, where the launcher was told not to.</summary>
    public StartCommand? BrokerCommand { get; init; }

    public static LocalEndpoints Read(string path) =>
        JsonSerializer.Deserialize<LocalEndpoints>(File.ReadAllBytes(path), Json) ?? throw new FormatException($"{path} holds null");

    public sealed record MqttAddresses(string Host, int Port, int TlsPort, string WsUrl, string WssUrl);

    public sealed record IngestAddresses(string RestUrl, string SigfoxUrl);

    public sealed record ChildPids(int Azurite, int Functions, int Broker);

    public sealed record StartCommand(string Program, IReadOnlyList<string> Arguments, IReadOnlyDictionary<string, string?> Environment);
}
