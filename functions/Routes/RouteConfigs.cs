using System.Text.RegularExpressions;
using IotHub.Core.Domain;
using IotHub.Core.Security;
using IotHub.Functions.Api;

namespace IotHub.Functions.Routes;

/// <summary>
/// Lays what a request says over a configuration: what is left out, null, or the sentinel of an enum stays as it was. A new route starts
/// from an empty one, and the checks see the result.
/// </summary>
internal sealed partial class RouteConfigs(Sealer sealer, FunctionsSettings settings)
{
    private const int MaximumLength = 4096;
    private const int MaximumQueryLength = 32_768;
    private const int MaximumHeaders = 50;
    private static readonly S3RouteConfig EmptyS3 = new("", "", "", S3Strategy.PerTopic);
    private static readonly DatabaseRouteConfig EmptyDatabase = new(DatabaseEngine.Postgresql, "", 0, "", "", "", "");
    private static readonly RestRouteConfig EmptyRest = new(RestVerb.Unknown, "", new Dictionary<string, string>());

    public S3RouteConfig? S3(S3RouteConfig? stored, S3Config? given, Checks checks)
    {
        if (given is null)
        {
            return stored;
        }
        var before = stored ?? EmptyS3 with { BucketRegion = settings.Region };
        var bucket = checks.Required("s3_config.bucket_name", given.BucketName ?? before.BucketName, MaximumLength);
        if (bucket.Length > 0 && !BucketName().IsMatch(bucket))
        {
            checks.Wrong("s3_config.bucket_name", "format", "must have 3 to 63 of a-z, 0-9, - and ., the first and last of a-z and 0-9");
        }
        return new S3RouteConfig(
            checks.Bounded("s3_config.bucket_region", NotEmpty(given.BucketRegion) ?? before.BucketRegion, MaximumLength),
            bucket,
            checks.Bounded("s3_config.object_prefix", given.ObjectPrefix ?? before.ObjectPrefix, 1024 / 2),
            Known(given.Strategy) ?? before.Strategy);
    }

    public DatabaseRouteConfig? Database(Guid routeId, DatabaseRouteConfig? stored, DbConfig? given, Checks checks)
    {
        if (given is null)
        {
            return stored;
        }
        var before = stored ?? EmptyDatabase;
        var port = given.Port ?? before.Port;
        if (port is < 1 or > 65_535)
        {
            checks.Wrong("db_config.port", given.Port is null ? "required" : "constraint", "must be from 1 to 65535");
        }
        return new DatabaseRouteConfig(
            Known(given.Engine) ?? before.Engine,
            checks.Required("db_config.host", given.Host ?? before.Host, MaximumLength),
            (int)Math.Clamp(port, 0, 65_535),
            checks.Required("db_config.dbname", given.Dbname ?? before.DbName, MaximumLength),
            checks.Required("db_config.username", given.Username ?? before.Username, MaximumLength),
            Password(routeId, before.SealedPassword, given.Password, checks),
            checks.Required("db_config.query", given.Query ?? before.Query, MaximumQueryLength));
    }

    public RestRouteConfig? Rest(RestRouteConfig? stored, RestConfig? given, Checks checks)
    {
        if (given is null)
        {
            return stored;
        }
        var before = stored ?? EmptyRest;
        var verb = Known(given.Verb) ?? before.Verb;
        if (verb == RestVerb.Unknown)
        {
            checks.Wrong("rest_config.verb", "required", "must be get, post, put, patch or delete");
        }
        var uri = checks.Required("rest_config.uri", given.Uri ?? before.Uri, MaximumLength);
        if (uri.Length > 0 && !(Uri.TryCreate(uri, UriKind.Absolute, out var parsed) && parsed.Scheme is "http" or "https"))
        {
            checks.Wrong("rest_config.uri", "format", "must be an http or https address");
        }
        return new RestRouteConfig(verb, uri, given.Headers is null ? before.Headers : Headers(given.Headers, checks));
    }

    private string Password(Guid routeId, string sealedBefore, string? given, Checks checks)
    {
        if (given is null && sealedBefore.Length > 0)
        {
            return sealedBefore;
        }
        return sealer.Seal(checks.Bounded("db_config.password", given ?? "", MaximumLength), SealPurposes.RoutePassword(routeId));
    }

    private static Dictionary<string, string> Headers(IReadOnlyDictionary<string, string?> given, Checks checks)
    {
        checks.Require(given.Count <= MaximumHeaders, "rest_config.headers", $"must be at most {MaximumHeaders}");
        foreach (var (name, value) in given)
        {
            if (!HeaderName().IsMatch(name) || name.Length > MaximumLength)
            {
                checks.Wrong("rest_config.headers", "format", "a name has other characters than those of HTTP header names");
            }
            else if (value is null || value.Length > MaximumLength || value.Any(c => c != '\t' && char.IsControl(c)))
            {
                checks.Wrong("rest_config.headers", "format", $"the value of {name} must be one line of at most {MaximumLength} characters");
            }
        }
        return given.ToDictionary(header => header.Key, header => header.Value ?? "");
    }

    private static string? NotEmpty(string? text) => text is { Length: > 0 } ? text : null;

    private static T? Known<T>(T? given)
        where T : struct, Enum => given is { } value && !EqualityComparer<T>.Default.Equals(value, default) ? value : null;

    [GeneratedRegex(@"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\z")]
    private static partial Regex BucketName();

    [GeneratedRegex(@"^[!#$%&'*+.^_`|~0-9A-Za-z-]+\z")]
    private static partial Regex HeaderName();
}
