using System.Security.Cryptography;
using System.Text;
using IotHub.Core.Domain;

namespace IotHub.Core.Security;

/// <summary>
/// Secrets that are shown once and stored as a hash. They are random enough (122 bits) that a plain hash cannot be reversed.
/// </summary>
public static class Secrets
{
    private const string AccessKeyAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

    /// <summary>A secret in the form of a version 4 UUID, from the system's cryptographic generator.</summary>
    public static string NewUuid()
    {
        Span<byte> bytes = stackalloc byte[16];
        RandomNumberGenerator.Fill(bytes);
        bytes[6] = (byte)((bytes[6] & 0x0F) | 0x40);
        bytes[8] = (byte)((bytes[8] & 0x3F) | 0x80);
        return new Guid(bytes, bigEndian: true).ToString("D");
    }

    /// <summary>The public name of an API key: <c>SCW</c> and 17 characters, the form that the official clients check.</summary>
    public static string NewAccessKey() => "SCW" + RandomNumberGenerator.GetString(AccessKeyAlphabet, 17);

    /// <summary>A new API key, with the secret that is shown once.</summary>
    public static (ApiKey Key, string Secret) NewApiKey(
        Guid organizationId, Guid? projectId, ApiRole role, string description, DateTimeOffset now)
    {
        var secret = NewUuid();
        return (new ApiKey(NewAccessKey(), Hash(secret), organizationId, projectId, role, description, now), secret);
    }

    /// <summary>SHA-256 of the text's UTF-8 bytes, lower-case hex.</summary>
    public static string Hash(string secret) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(secret)));

    /// <summary>Takes the same time whatever differs; only the lengths may show.</summary>
    public static bool AreEqual(string one, string other) =>
        CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(one), Encoding.UTF8.GetBytes(other));
}
