using System.Formats.Asn1;
using System.Globalization;
using System.Net;
using System.Numerics;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace IotHub.Core.Security;

/// <summary>A certificate and its unencrypted private key, both PEM with a final newline.</summary>
public sealed record IssuedCertificate(string CertificatePem, string KeyPem)
{
    /// <summary>Without the key, so that a log line cannot give it away.</summary>
    public override string ToString() => "certificate " + Certificates.Fingerprint(CertificatePem);
}

/// <summary>
/// Makes the authorities and certificates of a hub. Device certificates have the form of the original service (Scaleway IoT
/// reference, generated device certificate); what a hub's own authority is called is ours.
/// </summary>
public sealed class CertificateAuthority(TimeProvider time)
{
    private const int RsaKeyBits = 2048;
    private const int SerialBytes = 16;
    private const string SerialNumberOid = "2.5.4.5";
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";
    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";
    private const int DeviceYears = 10;
    private const int AuthorityYears = 30;

    /// <summary>Clients refuse server certificates that live much longer.</summary>
    private const int ServerDays = 825;

    /// <summary>A new authority for the devices of one hub.</summary>
    public IssuedCertificate NewHubCa()
    {
        using var key = RSA.Create(RsaKeyBits);
        var serial = NewSerial();
        var request = new CertificateRequest(HubCaName(serial), key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        using var certificate = SelfSigned(request, X509SignatureGenerator.CreateForRSA(key, RSASignaturePadding.Pkcs1), serial);
        return new IssuedCertificate(Certificates.Pem(certificate), key.ExportRSAPrivateKeyPem() + "\n");
    }

    /// <summary>A certificate for a device; its key is not kept anywhere.</summary>
    /// <param name="hubCa">What <see cref="NewHubCa"/> made.</param>
    public IssuedCertificate IssueDevice(IssuedCertificate hubCa, string deviceName)
    {
        using var authority = X509Certificate2.CreateFromPem(hubCa.CertificatePem);
        using var authorityKey = RSA.Create();
        authorityKey.ImportFromPem(hubCa.KeyPem);
        using var key = RSA.Create(RsaKeyBits);
        var serial = NewSerial();
        var name = DeviceName(deviceName, authority.Thumbprint, serial);
        var request = new CertificateRequest(name, key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        request.CertificateExtensions.Add(
            new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature | X509KeyUsageFlags.KeyEncipherment, critical: true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(ClientAuthentication)], critical: false));
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, critical: true));
        request.CertificateExtensions.Add(KeyIdentifierOf(authority));
        var from = Yesterday();
        using var certificate = request.Create(
            authority.SubjectName,
            X509SignatureGenerator.CreateForRSA(authorityKey, RSASignaturePadding.Pkcs1),
            from,
            from.AddYears(DeviceYears),
            serial);
        return new IssuedCertificate(Certificates.Pem(certificate), key.ExportRSAPrivateKeyPem() + "\n");
    }

    /// <summary>A new authority for the addresses that devices connect to.</summary>
    public IssuedCertificate NewServerCa()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=IoT Root CA,OU=IoT,O=Open IoT Hub", key, HashAlgorithmName.SHA256);
        using var certificate = SelfSigned(request, X509SignatureGenerator.CreateForECDsa(key), NewSerial());
        return new IssuedCertificate(Certificates.Pem(certificate), key.ExportPkcs8PrivateKeyPem() + "\n");
    }

    /// <summary>A certificate for a server that is reached by these host names and addresses.</summary>
    /// <param name="serverCa">What <see cref="NewServerCa"/> made.</param>
    public IssuedCertificate IssueServer(IssuedCertificate serverCa, IReadOnlyList<string> hosts)
    {
        if (hosts.Count == 0)
        {
            throw new ArgumentException("a server certificate needs at least one host name or address", nameof(hosts));
        }
        using var authority = X509Certificate2.CreateFromPem(serverCa.CertificatePem);
        using var authorityKey = ECDsa.Create();
        authorityKey.ImportFromPem(serverCa.KeyPem);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var name = new X500DistinguishedNameBuilder();
        name.AddCommonName(hosts[0]);
        var request = new CertificateRequest(name.Build(), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(ServerAuthentication)], critical: false));
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, critical: true));
        request.CertificateExtensions.Add(AlternativeNames(hosts));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        request.CertificateExtensions.Add(KeyIdentifierOf(authority));
        var from = Yesterday();
        using var certificate = request.Create(
            authority.SubjectName, X509SignatureGenerator.CreateForECDsa(authorityKey), from, from.AddDays(ServerDays), NewSerial());
        return new IssuedCertificate(Certificates.Pem(certificate), key.ExportPkcs8PrivateKeyPem() + "\n");
    }

    // The builder encodes its parts last to first.
    private static X500DistinguishedName HubCaName(byte[] serial)
    {
        var name = new X500DistinguishedNameBuilder();
        name.Add(SerialNumberOid, Decimal(serial), UniversalTagNumber.PrintableString);
        name.AddCommonName("IoT Hub Certificate");
        name.AddOrganizationalUnitName("IoT");
        name.AddOrganizationName("Open IoT Hub");
        name.AddLocalityName("Paris");
        name.AddStateOrProvinceName("France");
        name.AddCountryOrRegion("FR");
        return name.Build();
    }

    private static X500DistinguishedName DeviceName(string deviceName, string hubMark, byte[] serial)
    {
        var name = new X500DistinguishedNameBuilder();
        name.Add(SerialNumberOid, Decimal(serial), UniversalTagNumber.PrintableString);
        name.AddCommonName(deviceName);
        name.AddOrganizationName(hubMark);
        name.AddLocalityName("Paris");
        name.AddStateOrProvinceName("IDF");
        name.AddCountryOrRegion("FR");
        return name.Build();
    }

    private static X509AuthorityKeyIdentifierExtension KeyIdentifierOf(X509Certificate2 authority) =>
        X509AuthorityKeyIdentifierExtension.CreateFromCertificate(authority, includeKeyIdentifier: true, includeIssuerAndSerial: false);

    private X509Certificate2 SelfSigned(CertificateRequest request, X509SignatureGenerator generator, byte[] serial)
    {
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, critical: true));
        request.CertificateExtensions.Add(
            new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, critical: true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        var from = Yesterday();
        return request.Create(request.SubjectName, generator, from, from.AddYears(AuthorityYears), serial);
    }

    private static X509Extension AlternativeNames(IReadOnlyList<string> hosts)
    {
        var names = new SubjectAlternativeNameBuilder();
        foreach (var host in hosts)
        {
            if (IPAddress.TryParse(host, out var address))
            {
                names.AddIpAddress(address);
            }
            else
            {
                names.AddDnsName(host);
            }
        }
        return names.Build();
    }

    private DateTimeOffset Yesterday() => time.GetUtcNow().AddDays(-1);

    /// <summary>128 random bits with the first one 0 and the second one 1: positive, and always of one length.</summary>
    private static byte[] NewSerial()
    {
        var serial = RandomNumberGenerator.GetBytes(SerialBytes);
        serial[0] = (byte)((serial[0] & 0x7F) | 0x40);
        return serial;
    }

    private static string Decimal(byte[] serial) =>
        new BigInteger(serial, isUnsigned: true, isBigEndian: true).ToString(CultureInfo.InvariantCulture);
}
