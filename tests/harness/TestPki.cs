using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace IotHub.Harness;

/// <summary>Certificates of a customer, made for a test.</summary>
public static class TestPki
{
    /// <summary>An authority, signed by itself or by <paramref name="issuer"/>.</summary>
    public static X509Certificate2 Authority(string subject, X509Certificate2? issuer = null) => Make(subject, isAuthority: true, issuer);

    public static X509Certificate2 Leaf(string subject, X509Certificate2? issuer, DateTimeOffset? from = null, DateTimeOffset? to = null) =>
        Make(subject, isAuthority: false, issuer, from, to);

    private static X509Certificate2 Make(
        string subject, bool isAuthority, X509Certificate2? issuer, DateTimeOffset? from = null, DateTimeOffset? to = null)
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest(subject, key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(isAuthority, false, 0, true));
        var (begins, ends) = (from ?? DateTimeOffset.UtcNow.AddHours(-1), to ?? DateTimeOffset.UtcNow.AddHours(1));
        if (issuer is null)
        {
            return request.CreateSelfSigned(begins.AddHours(-1), ends.AddHours(1));
        }
        // Not by the issuer as a whole, which would refuse to do what a thief does.
        using var issuersKey = issuer.GetRSAPrivateKey()!;
        var signing = X509SignatureGenerator.CreateForRSA(issuersKey, RSASignaturePadding.Pkcs1);
        byte[] serial = [1, .. RandomNumberGenerator.GetBytes(8)];
        using var bare = request.Create(issuer.SubjectName, signing, begins, ends, serial);
        return bare.CopyWithPrivateKey(key);
    }
}
