using IotHub.Core;
using IotHub.Core.Domain;
using IotHub.Core.Security;
using IotHub.Core.Storage;
using IotHub.Functions.Api;

namespace IotHub.Functions.Keys;

/// <summary>An API key as the API shows it: never with its secret.</summary>
internal sealed record KeyAnswer(
    string AccessKey, Guid OrganizationId, Guid? ProjectId, ApiRole Role, string Description, DateTimeOffset CreatedAt)
{
    public static KeyAnswer Of(ApiKey key) =>
        new(key.AccessKey, key.OrganizationId, key.ProjectId, key.Role, key.Description, key.CreatedAt);
}

internal sealed record KeyList(IReadOnlyList<KeyAnswer> ApiKeys, int TotalCount);

/// <param name="SecretKey">Given once.</param>
internal sealed record CreatedKeyAnswer(KeyAnswer ApiKey, string SecretKey);

internal sealed record CreateKeyRequest
{
    public ApiRole? Role { get; init; }
    public string? ProjectId { get; init; }
    public string? Description { get; init; }
}

/// <summary>
/// Create, list and revoke API keys (an extension: the original has them in another product). A key sees and makes keys of its own reach
/// only: its organization, and its project when it is bound to one.
/// </summary>
internal sealed class KeyFunctions(IApiKeys keys, TimeProvider time)
{
    private const int MaximumDescriptionLength = 255;

    /// <summary>Keys of one organization.</summary>
    private const int Quota = 100;

    public static readonly SortOrders<ApiKey> Orders = new(
        _ => Guid.Empty,
        ("created_at", (a, b) => (a.CreatedAt, a.AccessKey).CompareTo((b.CreatedAt, b.AccessKey))),
        ("access_key", (a, b) => string.CompareOrdinal(a.AccessKey, b.AccessKey)));

    public async Task<Outcome<KeyList>> List(ApiRequest request)
    {
        var paging = request.Query.Paging(Orders, "created_at_asc");
        var projectId = request.Query.Id("project_id");
        if (request.Checks.Problem is { } wrong)
        {
            return wrong;
        }
        var seen = (await InReach(request)).FindAll(key => projectId is null || key.ProjectId == projectId);
        return new KeyList([.. paging.Cut(seen).Select(KeyAnswer.Of)], seen.Count);
    }

    public async Task<Outcome<CreatedKeyAnswer>> Create(ApiRequest request)
    {
        if (!(await request.Body<CreateKeyRequest>()).Get(out var body, out var problem))
        {
            return problem;
        }
        var project = request.Checks.OptionalId("project_id", body.ProjectId) ?? request.Caller.ProjectId;
        var description = request.Checks.Bounded("description", body.Description ?? "", MaximumDescriptionLength);
        if (body.Role is null)
        {
            request.Checks.Wrong("role", "required", "must be reader, operator or administrator");
        }
        if (request.Checks.Problem is { } wrong)
        {
            return wrong;
        }
        if (request.Caller.ProjectId is { } own && own != project)
        {
            return new Problem.PermissionsDenied("write", "api_key");
        }
        var count = 0;
        await foreach (var _ in keys.OfOrganization(request.Caller.OrganizationId, request.Cancel))
        {
            count++;
        }
        if (count >= Quota)
        {
            return new Problem.QuotasExceeded("api_key", Quota, count, "organization", request.Caller.OrganizationId);
        }
        var (key, secret) = Secrets.NewApiKey(
            request.Caller.OrganizationId, project, body.Role!.Value, description, time.GetUtcNow());
        await keys.Create(key, request.Cancel);
        return new CreatedKeyAnswer(KeyAnswer.Of(key), secret);
    }

    /// <summary>From the next request on it opens nothing. A key may revoke itself.</summary>
    public async Task<Outcome<Nothing>> Revoke(ApiRequest request)
    {
        var accessKey = request.Text("access_key");
        if (!(await InReach(request)).Exists(key => key.AccessKey == accessKey))
        {
            return new Problem.NotFound("api_key", accessKey);
        }
        await keys.Delete(accessKey, request.Cancel);
        return default(Nothing);
    }

    private async Task<List<ApiKey>> InReach(ApiRequest request)
    {
        var seen = new List<ApiKey>();
        await foreach (var key in keys.OfOrganization(request.Caller.OrganizationId, request.Cancel))
        {
            if (request.Caller.ProjectId is not { } project || key.ProjectId == project)
            {
                seen.Add(key);
            }
        }
        return seen;
    }
}
