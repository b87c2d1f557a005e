using System.Globalization;
using System.Net.Security;
using System.Numerics;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using IotHub.Core.Security;
using Xunit;

namespace IotHub.Unit.Security;

public sealed class CertificateAuthorityTests
{
    private readonly CertificateAuthority _authority = new(TimeProvider.System);

    [Fact]
    public void A_device_certificate_has_the_form_of_the_original_service()
    {
        var ca = _authority.NewHubCa();
        var issued = _authority.IssueDevice(ca, "my device, \"quoted\" = é");
        using var authority = X509Certificate2.CreateFromPem(ca.CertificatePem);
        using var certificate = X509Certificate2.CreateFromPem(issued.CertificatePem, issued.KeyPem);

        var serial = new BigInteger(Convert.FromHexString(certificate.SerialNumber), isUnsigned: true, isBigEndian: true);
        (string, string)[] subject =
        [
            ("2.5.4.6", "FR"), ("2.5.4.8", "IDF"), ("2.5.4.7", "Paris"), ("2.5.4.10", authority.Thumbprint),
            ("2.5.4.3", "my device, \"quoted\" = é"), ("2.5.4.5", serial.ToString(CultureInfo.InvariantCulture)),
        ];
        Assert.Equal(subject, Parts(certificate.SubjectName));
        Assert.Equal(authority.SubjectName.RawData, certificate.IssuerName.RawData);
        Assert.Equal(32, certificate.SerialNumber.Length);
        Assert.Equal("sha256RSA", certificate.SignatureAlgorithm.FriendlyName);
        Assert.Equal(2048, certificate.GetRSAPublicKey()!.KeySize);
        Assert.InRange(certificate.NotBefore.ToUniversalTime(), DateTime.UtcNow.AddDays(-1).AddMinutes(-1), DateTime.UtcNow.AddDays(-1));
        Assert.Equal(certificate.NotBefore.AddYears(10), certificate.NotAfter);

        var extensions = certificate.Extensions.Select(extension => (extension.Oid!.Value!, extension.Critical));
        Assert.Equivalent(
            new[] { ("2.5.29.15", true), ("2.5.29.37", false), ("2.5.29.19", true), ("2.5.29.35", false) }, extensions, strict: true);
        var usage = certificate.Extensions.OfType<X509KeyUsageExtension>().Single();
        Assert.Equal(X509KeyUsageFlags.DigitalSignature | X509KeyUsageFlags.KeyEncipherment, usage.KeyUsages);
        Assert.False(certificate.Extensions.OfType<X509BasicConstraintsExtension>().Single().CertificateAuthority);
    }

    [Fact]
    public void Pem_texts_are_a_single_block_with_a_final_newline()
    {
        var issued = _authority.IssueDevice(_authority.NewHubCa(), "device");
        Assert.StartsWith("-----BEGIN CERTIFICATE-----\n", issued.CertificatePem, StringComparison.Ordinal);
        Assert.EndsWith("\n-----END CERTIFICATE-----\n", issued.CertificatePem, StringComparison.Ordinal);
        Assert.StartsWith("-----BEGIN RSA PRIVATE KEY-----\n", issued.KeyPem, StringComparison.Ordinal);
        Assert.EndsWith("\n-----END RSA PRIVATE KEY-----\n", issued.KeyPem, StringComparison.Ordinal);
        Assert.Equal(64, issued.CertificatePem.Split('\n')[1].Length);
        Assert.Equal(2, issued.CertificatePem.Split("-----BEGIN").Length);
    }

    [Fact]
    public void A_device_certificate_verifies_under_its_hub_authority_only()
    {
        var (ca, other) = (_authority.NewHubCa(), _authority.NewHubCa());
        using var certificate = X509Certificate2.CreateFromPem(_authority.IssueDevice(ca, "device").CertificatePem);
        using var authority = X509Certificate2.CreateFromPem(ca.CertificatePem);
        using var stranger = X509Certificate2.CreateFromPem(other.CertificatePem);
        Assert.True(Certificates.IsAuthority(authority));
        Assert.False(Certificates.IsAuthority(certificate));
        Assert.True(Certificates.IsSignedBy(certificate, authority));
        Assert.False(Certificates.IsSignedBy(certificate, stranger));
        Assert.Equal("device", Certificates.CommonName(certificate));
    }

    [Theory]
    [InlineData("rsa")]
    [InlineData("ecdsa")]
    public void A_signature_of_a_namesake_is_not_taken_for_the_authoritys(string algorithm)
    {
        var real = SelfSigned(algorithm, "CN=Customer CA", isAuthority: true);
        var namesake = SelfSigned(algorithm, "CN=Customer CA", isAuthority: true);
        using var forged = Signed(namesake, "CN=hub");
        using var proper = Signed(real, "CN=hub");
        Assert.True(Certificates.IsSignedBy(proper, real));
        Assert.False(Certificates.IsSignedBy(forged, real));
        using var unrelated = SelfSigned(algorithm, "CN=hub", isAuthority: false);
        Assert.False(Certificates.IsSignedBy(unrelated, real));
    }

    [Fact]
    public void An_intermediate_authority_counts_like_a_root()
    {
        var root = SelfSigned("ecdsa", "CN=Root", isAuthority: true);
        using var intermediate = Signed(root, "CN=Intermediate", isAuthority: true);
        using var leaf = Signed(intermediate, "CN=hub");
        Assert.True(Certificates.IsAuthority(intermediate));
        Assert.True(Certificates.IsSignedBy(leaf, intermediate));
        Assert.False(Certificates.IsSignedBy(leaf, root));
    }

    [Fact]
    public void A_server_certificate_is_accepted_for_its_names_and_addresses()
    {
        var ca = _authority.NewServerCa();
        var issued = _authority.IssueServer(ca, ["localhost", "127.0.0.1", "::1"]);
        using var certificate = X509Certificate2.CreateFromPem(issued.CertificatePem, issued.KeyPem);
        using var authority = X509Certificate2.CreateFromPem(ca.CertificatePem);
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(authority);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid("1.3.6.1.5.5.7.3.1"));
        Assert.True(chain.Build(certificate));
        Assert.All(["localhost", "127.0.0.1", "::1"], host => Assert.True(certificate.MatchesHostname(host)));
        Assert.False(certificate.MatchesHostname("example.com"));
        Assert.True(SslStreamCertificateContext.Create(certificate, null, offline: true).IntermediateCertificates.Count == 0);
    }

    [Fact]
    public void What_is_not_a_certificate_is_told_from_one()
    {
        Assert.Null(Certificates.TryRead(""));
        Assert.Null(Certificates.TryRead("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
        Assert.Null(Certificates.TryRead(_authority.NewHubCa().KeyPem));
    }

    private static List<(string, string)> Parts(X500DistinguishedName name) =>
        [.. name.EnumerateRelativeDistinguishedNames(reversed: false).Select(
            part => (part.GetSingleElementType().Value!, part.GetSingleElementValue()!))];

    private static CertificateRequest Request(string algorithm, string subject, out AsymmetricAlgorithm key)
    {
        if (algorithm == "rsa")
        {
            var rsa = RSA.Create(2048);
            key = rsa;
            return new CertificateRequest(subject, rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        }
        var ecdsa = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        key = ecdsa;
        return new CertificateRequest(subject, ecdsa, HashAlgorithmName.SHA256);
    }

    private static X509Certificate2 SelfSigned(string algorithm, string subject, bool isAuthority)
    {
        var request = Request(algorithm, subject, out _);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(isAuthority, false, 0, true));
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddYears(1));
    }

    private static X509Certificate2 Signed(X509Certificate2 by, string subject, bool isAuthority = false)
    {
        var request = Request(by.GetRSAPublicKey() is null ? "ecdsa" : "rsa", subject, out var key);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(isAuthority, false, 0, true));
        var certificate = request.Create(by, DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddDays(1), [1, 2, 3, 4]);
        return key is RSA rsa ? certificate.CopyWithPrivateKey(rsa) : certificate.CopyWithPrivateKey((ECDsa)key);
    }
}
