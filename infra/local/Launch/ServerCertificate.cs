using IotHub.Core.Security;

namespace IotHub.Local.Launch;

/// <summary>The certificate of the local MQTT and WebSocket addresses, from an authority of this data folder.</summary>
/// <param name="CaFile">What clients have to trust.</param>
public sealed record ServerCertificate(string CaFile, string CertificateFile, string KeyFile)
{
    private static readonly string[] Hosts = ["localhost", "127.0.0.1", "::1"];
    private static readonly TimeSpan RenewBefore = TimeSpan.FromDays(30);

    /// <summary>Made at the first start; the authority stays, the server's own certificate is renewed before it ends.</summary>
    public static ServerCertificate Prepare(string folder, TimeProvider time)
    {
        var files = new ServerCertificate(
            Path.Combine(folder, "server-ca.pem"), Path.Combine(folder, "server.pem"), Path.Combine(folder, "server-key.pem"));
        var caKeyFile = Path.Combine(folder, "server-ca-key.pem");
        var authority = new CertificateAuthority(time);
        IssuedCertificate ca;
        if (File.Exists(files.CaFile) && File.Exists(caKeyFile))
        {
            ca = new IssuedCertificate(File.ReadAllText(files.CaFile), File.ReadAllText(caKeyFile));
        }
        else
        {
            ca = authority.NewServerCa();
            DataFolder.WriteWhole(caKeyFile, ca.KeyPem);
            DataFolder.WriteWhole(files.CaFile, ca.CertificatePem);
            File.Delete(files.CertificateFile);
        }
        if (!IsGood(files, time))
        {
            var server = authority.IssueServer(ca, Hosts);
            DataFolder.WriteWhole(files.KeyFile, server.KeyPem);
            DataFolder.WriteWhole(files.CertificateFile, server.CertificatePem);
        }
        return files;
    }

    private static bool IsGood(ServerCertificate files, TimeProvider time)
    {
        if (!File.Exists(files.CertificateFile) || !File.Exists(files.KeyFile))
        {
            return false;
        }
        using var certificate = Certificates.TryRead(File.ReadAllText(files.CertificateFile));
        return certificate is not null && certificate.NotAfter - time.GetUtcNow() > RenewBefore;
    }
}
