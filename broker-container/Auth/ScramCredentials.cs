using System.Buffers.Text;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace IotHub.Broker.Auth;

/// <summary>What a server keeps of a password (RFC 5802 section 3): it lets nobody in, and the password cannot be read from it.</summary>
public sealed record ScramCredential(int Iterations, byte[] Salt, byte[] StoredKey, byte[] ServerKey)
{
    /// <summary>RFC 7677 asks for at least this many; a file may not hold fewer.</summary>
    public const int MinimumIterations = 4096;

    /// <summary>More would let a file make every client's login slow beyond use.</summary>
    public const int MaximumIterations = 10_000_000;

    public const int KeySize = SHA256.HashSizeInBytes;
    private const int SaltSize = 16;
    private const string Scheme = "SCRAM-SHA-256$";

    /// <summary>The credential of a new password, with a salt of its own.</summary>
    /// <exception cref="FormatException">The password is empty or not printable ASCII: what clients make of other text differs.</exception>
    public static ScramCredential Create(string password, int iterations)
    {
        if (password.Length == 0 || password.AsSpan().ContainsAnyExceptInRange(' ', '~'))
        {
            throw new FormatException("a password must be printable ASCII and not empty");
        }
        return Create(password, iterations, RandomNumberGenerator.GetBytes(SaltSize));
    }

    internal static ScramCredential Create(string password, int iterations, byte[] salt)
    {
        var salted = Rfc2898DeriveBytes.Pbkdf2(password, salt, iterations, HashAlgorithmName.SHA256, KeySize);
        var storedKey = SHA256.HashData(HMACSHA256.HashData(salted, "Client Key"u8));
        return new ScramCredential(iterations, salt, storedKey, HMACSHA256.HashData(salted, "Server Key"u8));
    }

    /// <summary><c>SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey</c>, binary parts in base64, as PostgreSQL stores it.</summary>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Scheme}{Iterations}:{Convert.ToBase64String(Salt)}${Convert.ToBase64String(StoredKey)}:{Convert.ToBase64String(ServerKey)}");

    /// <exception cref="FormatException">The text is not a credential; the message says what is wrong, without the text.</exception>
    public static ScramCredential Parse(string text)
    {
        var parts = text.StartsWith(Scheme, StringComparison.Ordinal) ? text[Scheme.Length..].Split('$', ':') : [];
        if (parts.Length != 4)
        {
            throw new FormatException("expected SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey");
        }
        if (!int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var iterations)
            || iterations is < MinimumIterations or > MaximumIterations)
        {
            throw new FormatException($"iterations must be {MinimumIterations} to {MaximumIterations}");
        }
        var (salt, storedKey, serverKey) = (Binary(parts[1], "salt"), Binary(parts[2], "StoredKey"), Binary(parts[3], "ServerKey"));
        return salt.Length > 0 && storedKey.Length == KeySize && serverKey.Length == KeySize
            ? new ScramCredential(iterations, salt, storedKey, serverKey)
            : throw new FormatException($"the salt may not be empty, and the keys have {KeySize} bytes");
    }

    private static byte[] Binary(string text, string name) =>
        Base64.IsValid(text) ? Convert.FromBase64String(text) : throw new FormatException($"{name} is not base64");
}

/// <summary>Names with their credentials. Immutable once read.</summary>
public sealed class ScramCredentials
{
    private readonly Dictionary<string, ScramCredential> _known;
    private readonly ScramCredential[] _all;
    private readonly byte[] _imitationKey;

    public ScramCredentials(IReadOnlyDictionary<string, ScramCredential> known)
    {
        _known = new Dictionary<string, ScramCredential>(known, StringComparer.Ordinal);
        _all = [.. _known.OrderBy(k => k.Key, StringComparer.Ordinal).Select(k => k.Value)];
        // From what only this server knows and keeps over a restart: an invented salt has to stay the same, as a real one does.
        _imitationKey = SHA256.HashData([.. _all.SelectMany(c => c.ServerKey)]);
    }

    public int Count => _known.Count;

    /// <summary>
    /// The credential of a name. An unknown name gets one that looks like any other, always the same, and that no password fits: from
    /// outside nobody can tell whether a name exists. (RFC 5802 section 9)
    /// </summary>
    public (ScramCredential Credential, bool IsKnown) Find(string name)
    {
        var seed = HMACSHA256.HashData(_imitationKey, Encoding.UTF8.GetBytes(name));
        if (_known.TryGetValue(name, out var credential))
        {
            return (credential, true);
        }
        var model = _all.Length == 0 ? null : _all[seed[0] % _all.Length];
        var salt = HMACSHA256.HashData(seed, "salt"u8)[..Math.Min(model?.Salt.Length ?? 16, KeySize)];
        return (new ScramCredential(model?.Iterations ?? ScramCredential.MinimumIterations, salt, seed, seed), false);
    }

    private const int KeySize = ScramCredential.KeySize;

    /// <summary>Reads lines <c>name credential</c>; empty ones and those that start with <c>#</c> say nothing.</summary>
    /// <exception cref="FormatException">A line is wrong; the message has its number, never its text.</exception>
    public static ScramCredentials Read(IEnumerable<string> lines)
    {
        var known = new Dictionary<string, ScramCredential>(StringComparer.Ordinal);
        var number = 0;
        foreach (var line in lines)
        {
            number++;
            var text = line.Trim();
            if (text.Length == 0 || text[0] == '#')
            {
                continue;
            }
            // A name may hold spaces, a credential does not.
            var space = text.LastIndexOf(' ');
            try
            {
                if (space <= 0 || !known.TryAdd(text[..space].TrimEnd(), ScramCredential.Parse(text[(space + 1)..])))
                {
                    throw new FormatException(space <= 0 ? "expected a name, a space and a credential" : "this name was given before");
                }
            }
            catch (FormatException e)
            {
                throw new FormatException($"line {number}: {e.Message}", e);
            }
        }
        return new ScramCredentials(known);
    }
}
