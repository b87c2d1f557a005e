using System.Text;
using System.Text.Json;

namespace IotHub.Core.Security;

/// <summary>
/// The token of a network: standard Base64 of <c>{"NetID":"…","NetKey":"…"}</c>. It names its network, so one address serves all.
/// </summary>
/// <param name="Key">What is secret in it; only its hash is stored (<see cref="Domain.Network.KeyHash"/>).</param>
public sealed record NetworkSecret(Guid NetworkId, string Key)
{
    private const int MaximumCharacters = 512;

    public static NetworkSecret New(Guid networkId) => new(networkId, Secrets.NewUuid());

    /// <summary>The hash to be stored and compared with.</summary>
    public string KeyHash => Secrets.Hash(Key);

    public static bool TryParse(string? token, out NetworkSecret secret)
    {
        secret = new NetworkSecret(Guid.Empty, "");
        if (token is null || token.Length > MaximumCharacters)
        {
            return false;
        }
        var bytes = new byte[token.Length];
        if (!Convert.TryFromBase64String(token, bytes, out var length))
        {
            return false;
        }
        try
        {
            using var json = JsonDocument.Parse(bytes.AsMemory(0, length));
            if (json.RootElement.ValueKind != JsonValueKind.Object
                || !json.RootElement.TryGetProperty("NetID", out var id) || id.ValueKind != JsonValueKind.String
                || !id.TryGetGuid(out var networkId)
                || !json.RootElement.TryGetProperty("NetKey", out var key) || key.ValueKind != JsonValueKind.String)
            {
                return false;
            }
            secret = new NetworkSecret(networkId, key.GetString()!);
            return true;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return false;
        }
    }

    public string ToToken() => Convert.ToBase64String(Encoding.ASCII.GetBytes($$"""{"NetID":"{{NetworkId:D}}","NetKey":"{{Key}}"}"""));

    /// <summary>Without the key, so that a log line cannot give it away.</summary>
    public override string ToString() => $"secret of network {NetworkId}";
}
