using System.Security.Cryptography;
using System.Text;

namespace IotHub.Core.Security;

/// <summary>
/// Seals secrets that must be read again (private keys, passwords of routes) before they are stored: AES-256-GCM, as text
/// <c>v1.</c> and Base64 of nonce (12 bytes), tag (16), ciphertext. What was sealed for one purpose cannot be opened for another.
/// </summary>
public sealed class Sealer
{
    public const int KeyBytes = 32;
    private const int NonceBytes = 12;
    private const int TagBytes = 16;
    private const string Version1 = "v1.";
    private readonly byte[] _key;

    public Sealer(ReadOnlySpan<byte> key)
    {
        if (key.Length != KeyBytes)
        {
            throw new ArgumentException($"a sealing key has {KeyBytes} bytes", nameof(key));
        }
        _key = key.ToArray();
    }

    /// <param name="purpose">What it is and of what, for example <c>hub-ca:id</c>; needed again to open it.</param>
    public string Seal(string secret, string purpose)
    {
        var plain = Encoding.UTF8.GetBytes(secret);
        var message = new byte[NonceBytes + TagBytes + plain.Length];
        var nonce = message.AsSpan(0, NonceBytes);
        RandomNumberGenerator.Fill(nonce);
        using var cipher = new AesGcm(_key, TagBytes);
        cipher.Encrypt(
            nonce, plain, message.AsSpan(NonceBytes + TagBytes), message.AsSpan(NonceBytes, TagBytes), Encoding.UTF8.GetBytes(purpose));
        return Version1 + Convert.ToBase64String(message);
    }

    /// <exception cref="CryptographicException">
    /// It was sealed with another key or for another purpose, was changed, or is not sealed text.
    /// </exception>
    public string Open(string sealedSecret, string purpose)
    {
        var message = new byte[sealedSecret.Length];
        if (!sealedSecret.StartsWith(Version1, StringComparison.Ordinal)
            || !Convert.TryFromBase64Chars(sealedSecret.AsSpan(Version1.Length), message, out var length)
            || length < NonceBytes + TagBytes)
        {
            throw new CryptographicException("not a sealed secret of a version this program knows");
        }
        var plain = new byte[length - NonceBytes - TagBytes];
        try
        {
            using var cipher = new AesGcm(_key, TagBytes);
            cipher.Decrypt(
                message.AsSpan(0, NonceBytes),
                message.AsSpan(NonceBytes + TagBytes, plain.Length),
                message.AsSpan(NonceBytes, TagBytes),
                plain,
                Encoding.UTF8.GetBytes(purpose));
        }
        catch (AuthenticationTagMismatchException e)
        {
            throw new CryptographicException("the sealed secret does not open: IOTHUB_SEALING_KEY is not the one it was sealed with", e);
        }
        return Encoding.UTF8.GetString(plain);
    }
}
