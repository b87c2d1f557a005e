using System.Buffers.Text;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Unicode;

namespace IotHub.Broker.Auth;

/// <summary>SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding: both sides prove a password and neither sends it.</summary>
public sealed class ScramSha256(ScramCredentials credentials) : IEnhancedAuthentication
{
    private const int NonceSize = 18;

    public string Method => "SCRAM-SHA-256";

    public IAuthenticationExchange Begin() => Begin(Convert.ToBase64String(RandomNumberGenerator.GetBytes(NonceSize)));

    internal IAuthenticationExchange Begin(string serverNonce) => new Exchange(credentials, serverNonce);

    /// <summary>client-first, server-first, client-final, server-final.</summary>
    private sealed class Exchange(ScramCredentials credentials, string serverNonce) : IAuthenticationExchange
    {
        /// <summary>Far above what names and nonces need; nothing longer is taken apart.</summary>
        private const int MaximumMessage = 4096;

        private static readonly AuthenticationStep No = new AuthenticationStep.Refused();

        private string _name = "";
        private string _header = "";
        private string _clientFirstBare = "";
        private string _nonce = "";
        private string? _serverFirst;
        private ScramCredential? _credential;
        private bool _isKnown;
        private bool _isOver;

        public AuthenticationStep Next(ReadOnlySpan<byte> data)
        {
            if (_isOver)
            {
                return No;
            }
            if (data.IsEmpty && _serverFirst is null)
            {
                // The client waits to be asked.
                return new AuthenticationStep.Challenge([]);
            }
            var step = data.Length > MaximumMessage || !Utf8.IsValid(data) || data.Contains((byte)0) ? No
                : _serverFirst is null ? First(Encoding.UTF8.GetString(data)) : Final(Encoding.UTF8.GetString(data));
            _isOver = step is not AuthenticationStep.Challenge;
            return step;
        }

        // gs2-header "n,," or "y,," | n=name,r=nonce[,extensions]
        private AuthenticationStep First(string message)
        {
            // "p=" asks for channel binding, which is not offered; an authorization identity other than the name has no meaning here.
            var isPlain = message.StartsWith("n,", StringComparison.Ordinal) || message.StartsWith("y,", StringComparison.Ordinal);
            var headerEnd = isPlain ? message.IndexOf(',', 2) : -1;
            if (headerEnd < 0)
            {
                return No;
            }
            _header = message[..(headerEnd + 1)];
            _clientFirstBare = message[(headerEnd + 1)..];
            var fields = _clientFirstBare.Split(',');
            if (fields.Length < 2 || !fields[0].StartsWith("n=", StringComparison.Ordinal)
                || !fields[1].StartsWith("r=", StringComparison.Ordinal)
                || Name(fields[0][2..]) is not { } name || !IsNonce(fields[1][2..]))
            {
                return No;
            }
            var authorization = message[2..headerEnd];
            if (authorization.Length > 0 && authorization != $"a={fields[0][2..]}")
            {
                return No;
            }
            _name = name;
            _nonce = fields[1][2..] + serverNonce;
            (_credential, _isKnown) = credentials.Find(name);
            _serverFirst = string.Create(
                CultureInfo.InvariantCulture, $"r={_nonce},s={Convert.ToBase64String(_credential.Salt)},i={_credential.Iterations}");
            return new AuthenticationStep.Challenge(Encoding.UTF8.GetBytes(_serverFirst));
        }

        // c=base64 of the gs2-header,r=nonce[,extensions],p=proof
        private AuthenticationStep Final(string message)
        {
            var proofAt = message.LastIndexOf(",p=", StringComparison.Ordinal);
            if (proofAt < 0 || !Base64.IsValid(message.AsSpan(proofAt + 3)))
            {
                return No;
            }
            var withoutProof = message[..proofAt];
            var fields = withoutProof.Split(',');
            var proof = Convert.FromBase64String(message[(proofAt + 3)..]);
            if (fields.Length < 2 || fields[0] != $"c={Convert.ToBase64String(Encoding.UTF8.GetBytes(_header))}"
                || fields[1] != $"r={_nonce}" || proof.Length != ScramCredential.KeySize)
            {
                return No;
            }
            var signed = Encoding.UTF8.GetBytes($"{_clientFirstBare},{_serverFirst},{withoutProof}");
            var clientKey = HMACSHA256.HashData(_credential!.StoredKey, signed);
            for (var i = 0; i < clientKey.Length; i++)
            {
                clientKey[i] ^= proof[i];
            }
            // For an unknown name the same work is done before the same answer.
            var isRight = CryptographicOperations.FixedTimeEquals(SHA256.HashData(clientKey), _credential.StoredKey);
            var serverSignature = HMACSHA256.HashData(_credential.ServerKey, signed);
            return isRight & _isKnown
                ? new AuthenticationStep.Proven(_name, Encoding.UTF8.GetBytes($"v={Convert.ToBase64String(serverSignature)}"))
                : No;
        }

        /// <summary>A name with <c>=2C</c> and <c>=3D</c> read back; null when it is empty or ill-formed.</summary>
        private static string? Name(string written)
        {
            var name = written.Replace("=2C", ",", StringComparison.Ordinal).Replace("=3D", "=", StringComparison.Ordinal);
            var escapes = (written.Length - name.Length) / 2;
            return written.Length > 0 && written.Count(c => c == '=') == escapes ? name : null;
        }

        /// <summary>Printable ASCII without a comma.</summary>
        private static bool IsNonce(string text) =>
            text.Length > 0 && !text.AsSpan().ContainsAnyExceptInRange('!', '~') && !text.Contains(',', StringComparison.Ordinal);
    }
}
