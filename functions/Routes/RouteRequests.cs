using IotHub.Core.Domain;

namespace IotHub.Functions.Routes;

/// <summary>A route as lists show it.</summary>
internal sealed record RouteSummary(
    Guid Id, string Name, Guid HubId, string Topic, RouteType Type, DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt, string Region);

internal sealed record RouteList(IReadOnlyList<RouteSummary> Routes, int TotalCount);

/// <summary>A route with the one configuration it has; the other two are left out.</summary>
internal sealed record RouteAnswer
{
    public required Guid Id { get; init; }
    public required string Name { get; init; }
    public required Guid HubId { get; init; }
    public required string Topic { get; init; }
    public required RouteType Type { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public required DateTimeOffset UpdatedAt { get; init; }
    public required string Region { get; init; }
    public S3Config? S3Config { get; init; }
    public DbConfig? DbConfig { get; init; }
    public RestConfig? RestConfig { get; init; }
}

internal sealed record RouteRequest
{
    public string? Name { get; init; }
    public string? HubId { get; init; }
    public string? Topic { get; init; }
    public S3Config? S3Config { get; init; }
    public DbConfig? DbConfig { get; init; }
    public RestConfig? RestConfig { get; init; }
}

/// <summary>In a request every member may be left out.</summary>
internal sealed record S3Config
{
    public string? BucketRegion { get; init; }
    public string? BucketName { get; init; }
    public string? ObjectPrefix { get; init; }
    public S3Strategy? Strategy { get; init; }
}

/// <inheritdoc cref="S3Config"/>
internal sealed record DbConfig
{
    public DatabaseEngine? Engine { get; init; }
    public string? Host { get; init; }
    public long? Port { get; init; }
    public string? Dbname { get; init; }
    public string? Username { get; init; }
    public string? Password { get; init; }
    public string? Query { get; init; }

    /// <summary>Without the password, so that a log line cannot give it away.</summary>
    public override string ToString() => $"database {Dbname} at {Host}:{Port}";
}

/// <inheritdoc cref="S3Config"/>
internal sealed record RestConfig
{
    public RestVerb? Verb { get; init; }
    public string? Uri { get; init; }
    public IReadOnlyDictionary<string, string?>? Headers { get; init; }
}
