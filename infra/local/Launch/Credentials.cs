using System.Security.Cryptography;

namespace IotHub.Local.Launch;

/// <summary>
/// The secrets of one data folder, made at its first start and kept in <c>credentials.json</c>, readable by its owner only.
/// </summary>
/// <param name="AccessKey">Empty until the API key was created in the storage.</param>
public sealed record Credentials(
    string AccessKey, string SecretKey, Guid OrganizationId, Guid ProjectId, string SealingKey, string BrokerKey)
{
    private const int KeyBytes = 32;

    /// <summary>The default project of an organization has the organization's id.</summary>
    public static Credentials New()
    {
        var organization = Guid.NewGuid();
        return new Credentials(
            "", "", organization, organization,
            Convert.ToBase64String(RandomNumberGenerator.GetBytes(KeyBytes)),
            Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(KeyBytes)));
    }

    /// <summary>Not the keys: records print themselves into logs and messages.</summary>
    public override string ToString() => $"API key {AccessKey}";
}
