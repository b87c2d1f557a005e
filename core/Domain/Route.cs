namespace IotHub.Core.Domain;

/// <summary>A subscription of a hub that forwards messages out.</summary>
public sealed record Route
{
    public required Guid Id { get; init; }
    public required Guid HubId { get; init; }
    public required string Name { get; init; }

    /// <summary>MQTT topic filter; wildcards allowed.</summary>
    public required string Topic { get; init; }

    /// <summary>Exactly one of the three is set; the route's type is which.</summary>
    public S3RouteConfig? S3 { get; init; }

    public DatabaseRouteConfig? Database { get; init; }
    public RestRouteConfig? Rest { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public required DateTimeOffset UpdatedAt { get; init; }

    public RouteType Type => S3 is not null ? RouteType.S3 : Database is not null ? RouteType.Database : RouteType.Rest;
}

public sealed record S3RouteConfig(string BucketRegion, string BucketName, string ObjectPrefix, S3Strategy Strategy);

/// <param name="SealedPassword">The password, sealed; it is never shown after creation.</param>
public sealed record DatabaseRouteConfig(
    DatabaseEngine Engine, string Host, int Port, string DbName, string Username, string SealedPassword, string Query);

public sealed record RestRouteConfig(RestVerb Verb, string Uri, IReadOnlyDictionary<string, string> Headers);
