using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace IotHub.Core.Security;

/// <summary>
/// The token of a REST or Sigfox network: standard Base64 of <c>{"NetID":"uuid","NetKey":"uuid"}</c>, 128 characters. It alone tells which
/// network a request is for. Shown once; the registry keeps the hash of the key only.
/// </summary>
public sealed record NetworkSecret(Guid NetworkId, Guid Key)
{
    /// <summary>Far above a real token's 128 characters; nothing longer is decoded.</summary>
    private const int MaximumCharacters = 512;

    public static NetworkSecret New(Guid networkId) => new(networkId, Guid.NewGuid());

    /// <summary>What is stored of the key: SHA-256 of its lower-case text, lower-case hex. The key is random, so no salt is needed.</summary>
    public string KeyHash => Convert.ToHexStringLower(SHA256.HashData(Encoding.ASCII.GetBytes(Key.ToString("D"))));

    /// <summary>Is this the secret whose hash is stored? In constant time.</summary>
    public bool Matches(string storedKeyHash) =>
        CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(KeyHash), Encoding.ASCII.GetBytes(storedKeyHash));

    public string Encode() => Convert.ToBase64String(JsonSerializer.SerializeToUtf8Bytes(new Token(NetworkId, Key)));

    /// <returns>Null when it is not such a token.</returns>
    public static NetworkSecret? Decode(string text)
    {
        if (text.Length is 0 or > MaximumCharacters)
        {
            return null;
        }
        var bytes = new byte[MaximumCharacters];
        try
        {
            return Convert.TryFromBase64String(text, bytes, out var written)
                && JsonSerializer.Deserialize<Token>(bytes.AsSpan(0, written)) is { NetworkId: { } id, Key: { } key }
                ? new NetworkSecret(id, key)
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    public override string ToString() => $"secret of network {NetworkId}";

    private sealed record Token(
        [property: JsonPropertyName("NetID")] Guid? NetworkId, [property: JsonPropertyName("NetKey")] Guid? Key);
}
