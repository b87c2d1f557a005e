using System.Security.Cryptography;
using System.Text;

namespace IotHub.Harness.Mqtt;

/// <summary>The client's half of SCRAM-SHA-256 (RFC 5802), written apart from the broker's.</summary>
public sealed class ScramClient(string name, string password, string nonce = "rOprNGfwEbeRWgbNEkqO", string header = "n,,")
{
    private string _serverSignature = "";

    private string FirstBare => $"n={name},r={nonce}";

    public byte[] First => Encoding.UTF8.GetBytes(header + FirstBare);

    /// <summary>The answer to the server's first message.</summary>
    public byte[] Final(byte[] serverFirst)
    {
        var message = Encoding.UTF8.GetString(serverFirst);
        var fields = message.Split(',').ToDictionary(f => f[0], f => f[2..]);
        var salted = Rfc2898DeriveBytes.Pbkdf2(
            password, Convert.FromBase64String(fields['s']), int.Parse(fields['i'], null), HashAlgorithmName.SHA256, 32);
        var withoutProof = $"c={Convert.ToBase64String(Encoding.UTF8.GetBytes(header))},r={fields['r']}";
        var signed = Encoding.UTF8.GetBytes($"{FirstBare},{message},{withoutProof}");
        var clientKey = HMACSHA256.HashData(salted, "Client Key"u8);
        var signature = HMACSHA256.HashData(SHA256.HashData(clientKey), signed);
        var proof = clientKey.Zip(signature, (a, b) => (byte)(a ^ b)).ToArray();
        _serverSignature = Convert.ToBase64String(HMACSHA256.HashData(HMACSHA256.HashData(salted, "Server Key"u8), signed));
        return Encoding.UTF8.GetBytes($"{withoutProof},p={Convert.ToBase64String(proof)}");
    }

    /// <summary>Does the server's last message prove that it knows the keys?</summary>
    public bool Trusts(byte[] serverFinal) => Encoding.UTF8.GetString(serverFinal) == $"v={_serverSignature}";
}
