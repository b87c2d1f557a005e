using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace IotHub.Harness.Mqtt;

/// <summary>The ways to a broker.</summary>
public enum Via { Tcp, Tls }

/// <summary>The client's half of each transport, over a connected socket.</summary>
public static class Transports
{
    public static async Task<Stream> Speak(Stream socket, Via via)
    {
        if (via == Via.Tcp)
        {
            return socket;
        }
#pragma warning disable CA5359 // The certificate was made a moment ago by the other half of the test.
        var tls = new SslStream(socket, leaveInnerStreamOpen: false, (_, _, _, _) => true);
#pragma warning restore CA5359
        await tls.AuthenticateAsClientAsync("localhost");
        return tls;
    }
}

/// <summary>A certificate that no one trusts, for one broker of a test.</summary>
public static class TestCertificate
{
    public static SslStreamCertificateContext Create()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256);
        var now = DateTimeOffset.UtcNow;
        var certificate = request.CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
        return SslStreamCertificateContext.Create(certificate, additionalCertificates: null, offline: true);
    }
}
