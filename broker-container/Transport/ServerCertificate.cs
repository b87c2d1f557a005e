using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace IotHub.Broker.Transport;

/// <summary>The certificate that the server shows, with the ones between it and its root.</summary>
/// <param name="Context">Built once: building it per connection would cost a chain each.</param>
public sealed record ServerCertificate(X509Certificate2 Leaf, X509Certificate2Collection Chain, SslStreamCertificateContext Context)
{
    /// <exception cref="StartException">A file cannot be read, or certificate and key do not belong together.</exception>
    public static ServerCertificate Read(string certificateFile, string? keyFile)
    {
        foreach (var file in new[] { certificateFile, keyFile ?? certificateFile })
        {
            ReadAll(file);
        }
        try
        {
            var leaf = X509Certificate2.CreateFromPemFile(certificateFile, keyFile ?? certificateFile);
            X509Certificate2Collection chain = [];
            chain.ImportFromPemFile(certificateFile);
            chain.RemoveAt(0);
            return new ServerCertificate(leaf, chain, SslStreamCertificateContext.Create(leaf, chain, offline: true));
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new StartException(
                $"the certificate {certificateFile} and the key {keyFile ?? certificateFile} cannot be used: {e.Message.TrimEnd('.')}", e);
        }
    }

    private static void ReadAll(string file)
    {
        try
        {
            File.ReadAllBytes(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            throw new StartException($"{file} cannot be read: {e.Message.TrimEnd('.')}", e);
        }
    }
}
