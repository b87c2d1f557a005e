namespace IotHub.Core.Domain;

/// <summary>Rights of an API key, each including those before it.</summary>
public enum ApiRole { Reader, Operator, Administrator }

/// <summary>A management credential. Found by the SHA-256 of its secret; the secret itself is shown once.</summary>
/// <param name="AccessKey">Public name of the key, <c>SCW</c> and 17 characters of A-Z and 0-9.</param>
/// <param name="SecretHash">SHA-256 of the secret key's text, lower-case hex.</param>
/// <param name="ProjectId">The only project it may touch, or null for all projects of the organization.</param>
public sealed record ApiKey(
    string AccessKey, string SecretHash, Guid OrganizationId, Guid? ProjectId, ApiRole Role, string Description, DateTimeOffset CreatedAt);
