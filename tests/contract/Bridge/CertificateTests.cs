using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using IotHub.Core.Security;
using IotHub.Harness;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Contract.Bridge;

/// <summary>Client certificates over real TLS: who is known by its chain, and who is made by it.</summary>
public sealed class CertificateTests
{
    [Fact]
    public async Task A_chain_up_to_the_customers_authority_opens_the_hub_makes_the_device_and_is_dropped_with_the_authority()
    {
        await using var running = await RunningBroker.Start();
        // An authority under a larger one: the client side of .NET sends everything but a self-signed root.
        var root = TestPki.Authority("CN=Root");
        var ca = TestPki.Authority("CN=Customer", root);
        var issuing = TestPki.Authority("CN=Issuing", ca);
        var hub = await running.AddHub(with: h => h with
        {
            HasCustomCa = true,
            CaCertificatePem = Certificates.Pem(ca),
            EnableDeviceAutoProvisioning = true,
        });
        var stored = (await running.Registry.GetHub(hub.Id))!;
        await running.Registry.ReplaceAuthority(stored, stored.Value with { CustomCaFingerprint = Certificates.Fingerprint(ca) });
        using var leaf = TestPki.Leaf("CN=serial-4711", issuing);

        await using (var stranger = await Open(running.Ports.TlsPort!.Value, leaf))
        {
            Assert.Equal(0x87, await Answer(stranger, ""));
        }
        await using var client = await Open(running.Ports.TlsPort!.Value, leaf, issuing, ca);
        Assert.Equal(0, await Answer(client, ""));
        var device = await running.Registry.FindDeviceByName(hub.Id, "serial-4711");
        Assert.False(device!.AllowInsecure);
        await using (var again = await Open(running.Ports.TlsPort!.Value, leaf, issuing, ca))
        {
            Assert.Equal(0, await Answer(again, device.Id.ToString()));
            await client.ExpectDisconnect(0x8E);
            stored = (await running.Registry.GetHub(hub.Id))!;
            var next = TestPki.Authority("CN=Next");
            await running.Registry.ReplaceAuthority(
                stored, stored.Value with { CaCertificatePem = Certificates.Pem(next), CustomCaFingerprint = Certificates.Fingerprint(next) });
            await again.ExpectDisconnect(0x87);
        }
        Assert.Equal(1, (await running.Registry.GetHub(hub.Id))!.Value.DeviceCount);
    }

    // Reference 15.3: without a certificate, every way in asks for allow_insecure.
    [Fact]
    public async Task Security_matrix_over_every_transport()
    {
        await using var running = await RunningBroker.Start();
        var hub = await running.AddHub();
        using var certificate = TestPki.Leaf("CN=own", null);
        foreach (var allowed in new[] { false, true })
        {
            var device = await running.AddDevice(hub, d => d with
            {
                AllowInsecure = allowed,
                HasCustomCertificate = true,
                CertificateFingerprint = Certificates.Fingerprint(certificate),
            });
            foreach (var via in Enum.GetValues<Via>())
            {
                await using var client = await RawClient.Open(PortOf(running, via), via);
                Assert.Equal(allowed ? 0 : 0x87, await Answer(client, device.Id.ToString()));
            }
            await using (var mutual = await Open(running.Ports.TlsPort!.Value, certificate))
            {
                Assert.Equal(0, await Answer(mutual, "any"));
            }
            await running.Registry.DeleteDevice(device.Id);
        }
    }

    // Reference 15.4: one connection evicts the other, unless the device may have several, each with a client id of its own.
    [Theory]
    [InlineData(Via.Tcp)]
    [InlineData(Via.Tls)]
    [InlineData(Via.WebSocket)]
    [InlineData(Via.SecureWebSocket)]
    public async Task One_or_several_connections(Via via)
    {
        await using var running = await RunningBroker.Start();
        var hub = await running.AddHub();
        var (one, several) = (await running.AddDevice(hub), await running.AddDevice(hub, d => d with { AllowMultipleConnections = true }));
        await using var first = await RawClient.Open(PortOf(running, via), via);
        await using var second = await RawClient.Open(PortOf(running, via), via);
        Assert.Equal(0, await Answer(first, "a", one.Id.ToString()));
        Assert.Equal(0, await Answer(second, "b", one.Id.ToString()));
        await first.ExpectDisconnect(0x8E);

        await using var third = await RawClient.Open(PortOf(running, via), via);
        await using var fourth = await RawClient.Open(PortOf(running, via), via);
        await using var fifth = await RawClient.Open(PortOf(running, via), via);
        Assert.Equal(0, await Answer(third, "a", several.Id.ToString()));
        Assert.Equal(0, await Answer(fourth, "", several.Id.ToString()));
        Assert.Equal(0, await Answer(fifth, "a", several.Id.ToString()));
        await third.ExpectDisconnect(0x8E);
        await fourth.ExpectNothing();
    }

    private static int PortOf(RunningBroker running, Via via) => via switch
    {
        Via.Tls => running.Ports.TlsPort!.Value,
        Via.WebSocket => running.Ports.WsPort!.Value,
        Via.SecureWebSocket => running.Ports.WssPort!.Value,
        _ => running.Ports.Port,
    };

    private static async Task<int> Answer(RawClient client, string clientId, string? userName = null)
    {
        client.IsV5 = true;
        await client.Send(Packet.Connect(new ConnectOptions { ClientId = clientId, UserName = userName, Level = 5 }));
        var answer = await client.Next();
        Assert.Equal(0x20, answer[0]);
        return answer[3];
    }

    private static async Task<RawClient> Open(int port, X509Certificate2 leaf, params X509Certificate2[] others)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(new IPEndPoint(IPAddress.Loopback, port));
#pragma warning disable CA5359 // The server's certificate was made a moment ago by the other half of the test.
        var tls = new SslStream(new NetworkStream(socket, ownsSocket: true), leaveInnerStreamOpen: false, (_, _, _, _) => true);
#pragma warning restore CA5359
        await tls.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
        {
            TargetHost = "localhost",
            ClientCertificateContext = SslStreamCertificateContext.Create(leaf, [.. others], offline: true),
        });
        return new RawClient(tls, socket);
    }
}
