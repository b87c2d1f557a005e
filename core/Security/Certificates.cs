using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace IotHub.Core.Security;

/// <summary>Reading and comparing certificates.</summary>
public static class Certificates
{
    /// <summary>The first certificate of a PEM text, or null when there is none that can be read.</summary>
    public static X509Certificate2? TryRead(string pem)
    {
        try
        {
            return X509Certificate2.CreateFromPem(pem);
        }
        catch (CryptographicException)
        {
            return null;
        }
    }

    /// <summary>SHA-256 of the DER bytes, lower-case hex.</summary>
    public static string Fingerprint(X509Certificate2 certificate) =>
        Convert.ToHexStringLower(SHA256.HashData(certificate.RawDataMemory.Span));

    /// <exception cref="CryptographicException">It is no certificate.</exception>
    public static string Fingerprint(string pem)
    {
        using var certificate = X509Certificate2.CreateFromPem(pem);
        return Fingerprint(certificate);
    }

    /// <summary>64 columns and a final newline.</summary>
    public static string Pem(X509Certificate2 certificate) => certificate.ExportCertificatePem() + "\n";

    public static bool IsAuthority(X509Certificate2 certificate) =>
        certificate.Extensions.OfType<X509BasicConstraintsExtension>().Any(constraints => constraints.CertificateAuthority)
        && certificate.Extensions.OfType<X509KeyUsageExtension>().All(usage => usage.KeyUsages.HasFlag(X509KeyUsageFlags.KeyCertSign));

    /// <summary>The one common name of the subject, or null.</summary>
    public static string? CommonName(X509Certificate2 certificate)
    {
        var names = certificate.SubjectName.EnumerateRelativeDistinguishedNames()
            .Where(part => !part.HasMultipleElements && part.GetSingleElementType().Value == "2.5.4.3")
            .Select(part => part.GetSingleElementValue())
            .ToList();
        return names.Count == 1 ? names[0] : null;
    }

    /// <summary>
    /// Is <paramref name="leaf"/> signed by <paramref name="authority"/>, directly or through some of <paramref name="others"/>, all of
    /// them valid at that moment? Only that authority counts, whatever the machine trusts; it need not be a root itself.
    /// </summary>
    public static bool IsUnder(
        X509Certificate2 leaf, IEnumerable<X509Certificate2> others, X509Certificate2 authority, DateTimeOffset at)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(authority);
        chain.ChainPolicy.ExtraStore.Add(authority);
        foreach (var other in others)
        {
            chain.ChainPolicy.ExtraStore.Add(other);
        }
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.VerificationFlags = X509VerificationFlags.AllowUnknownCertificateAuthority;
        chain.ChainPolicy.VerificationTime = at.UtcDateTime;
        return chain.Build(leaf) && chain.ChainElements.Skip(1).Any(element =>
            element.Certificate.RawDataMemory.Span.SequenceEqual(authority.RawDataMemory.Span));
    }

    /// <summary>
    /// Was <paramref name="certificate"/> signed with the key of <paramref name="authority"/>? Neither trust nor dates matter.
    /// </summary>
    public static bool IsSignedBy(X509Certificate2 certificate, X509Certificate2 authority)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(authority);
        chain.ChainPolicy.ExtraStore.Add(authority);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.Build(certificate);
        return chain.ChainElements.Count > 1
            && chain.ChainElements[1].Certificate.RawDataMemory.Span.SequenceEqual(authority.RawDataMemory.Span)
            && !chain.ChainElements[0].ChainElementStatus.Any(status =>
                (status.Status & (X509ChainStatusFlags.NotSignatureValid | X509ChainStatusFlags.Cyclic)) != 0);
    }
}
