using System.Security.Cryptography.X509Certificates;
using IotHub.Broker.Auth;
using IotHub.Broker.Protocol;
using IotHub.Core.Domain;
using IotHub.Core.Security;
using IotHub.Harness;
using Xunit;

namespace IotHub.Unit.Auth;

/// <summary>Certificates under an authority of the hub's customer, and the devices that they make (reference 14.4, 14.5).</summary>
public sealed class ChainAuthenticationTests
{
    private readonly World _world = new();
    private readonly X509Certificate2 _ca = TestPki.Authority("CN=Customer", null);

    public ChainAuthenticationTests()
    {
        _world.Clock.Advance(DateTimeOffset.UtcNow - _world.Clock.GetUtcNow());
        _world.Directory.MarkCurrent(_world.Clock.GetTimestamp());
    }

    [Fact]
    public async Task A_certificate_under_the_customers_authority_is_the_device_of_its_common_name()
    {
        var device = await _world.AddDevice(await AddHub(), d => d with { Name = "sensor", AllowInsecure = false });
        var issuing = TestPki.Authority("CN=Issuing", _ca);
        using var leaf = TestPki.Leaf("CN=sensor", issuing);
        Assert.Equal(device.Id, Accepted(await _world.Connect("any", certificate: leaf, chain: [issuing, _ca])).DeviceId);
        Assert.Equal(device.Id, Accepted(await _world.Connect(certificate: leaf, chain: [_ca, issuing])).DeviceId);
    }

    [Fact]
    public async Task Without_the_authority_in_the_chain_the_device_must_be_named()
    {
        var device = await _world.AddDevice(await AddHub(), d => d with { Name = "sensor", AllowInsecure = false });
        using var leaf = TestPki.Leaf("CN=sensor", _ca);
        Assert.Equal(ReasonCode.NotAuthorized, Refused(await _world.Connect("any", certificate: leaf)).Reason);
        Assert.Equal(device.Id, Accepted(await _world.Connect(device.Id.ToString(), certificate: leaf)).DeviceId);
    }

    [Fact]
    public async Task What_another_key_of_the_same_name_signed_is_invalid()
    {
        var device = await _world.AddDevice(await AddHub(), d => d with { Name = "sensor", AllowInsecure = false });
        var namesake = TestPki.Authority("CN=Customer");
        using var leaf = TestPki.Leaf("CN=sensor", namesake);
        foreach (var chain in new X509Certificate2[][] { [_ca], [namesake, _ca], [_ca, namesake] })
        {
            SaysOfUnknown(await _world.Connect("any", certificate: leaf, chain: chain), "invalid device certificate");
            Refused(await _world.Connect(device.Id.ToString(), certificate: leaf, chain: chain));
        }
        using var own = TestPki.Leaf("CN=sensor", null);
        SaysOfUnknown(await _world.Connect("any", certificate: own, chain: [_ca]), "invalid device certificate");
    }

    [Fact]
    public async Task Expired_and_early_certificates_are_invalid_also_in_the_middle()
    {
        await _world.AddDevice(await AddHub(), d => d with { Name = "sensor" });
        var now = DateTimeOffset.UtcNow;
        using var expired = TestPki.Leaf("CN=sensor", _ca, now.AddHours(-1), now.AddMinutes(-1));
        using var early = TestPki.Leaf("CN=sensor", _ca, now.AddMinutes(1), now.AddMinutes(2));
        SaysOfUnknown(await _world.Connect("any", certificate: expired, chain: [_ca]), "invalid device certificate");
        SaysOfUnknown(await _world.Connect("any", certificate: early, chain: [_ca]), "invalid device certificate");
        _world.Clock.Advance(TimeSpan.FromSeconds(90));
        _world.Directory.MarkCurrent(_world.Clock.GetTimestamp());
        Accepted(await _world.Connect("any", certificate: early, chain: [_ca]));
    }

    [Fact]
    public async Task A_device_certificate_cannot_sign_another()
    {
        await _world.AddDevice(await AddHub(), d => d with { Name = "victim" });
        using var thief = TestPki.Leaf("CN=thief", _ca);
        using var forged = TestPki.Leaf("CN=victim", thief);
        SaysOfUnknown(await _world.Connect("any", certificate: forged, chain: [thief, _ca]), "invalid device certificate");
    }

    [Fact]
    public async Task Refusals_have_the_texts_of_the_original()
    {
        var hub = await AddHub();
        using var nameless = TestPki.Leaf("O=nobody", _ca);
        using var unknown = TestPki.Leaf("CN=unknown", _ca);
        SaysOfUnknown(await _world.Connect("any", certificate: nameless, chain: [_ca]), "certificate common name cannot be empty");
        SaysOfUnknown(await _world.Connect("any", certificate: unknown, chain: [_ca]), "could not identify device");
        Assert.Equal(0, (await _world.Registry.GetHub(hub.Id))!.Value.DeviceCount);
    }

    [Fact]
    public async Task A_device_with_a_certificate_of_its_own_is_known_by_that_alone()
    {
        using var own = TestPki.Leaf("CN=whatever", null);
        using var leaf = TestPki.Leaf("CN=sensor", _ca);
        var device = await _world.AddDevice(await AddHub(), d => d with
        {
            Name = "sensor",
            HasCustomCertificate = true,
            CertificateFingerprint = World.FingerprintOf(own),
        });
        var refused = Refused(await _world.Connect("any", certificate: leaf, chain: [_ca]));
        Assert.Equal((device.Id.ToString(), "invalid device certificate"), (refused.Event!.ObjectId, refused.Event.Message));
        Assert.Equal(device.Id, Accepted(await _world.Connect("any", certificate: own)).DeviceId);
    }

    [Fact]
    public async Task A_generated_authority_knows_its_certificates_one_by_one()
    {
        var hub = await _world.AddHub(h => h with { CaCertificatePem = Certificates.Pem(_ca) });
        await _world.AddDevice(hub, d => d with { Name = "sensor" });
        using var leaf = TestPki.Leaf("CN=sensor", _ca);
        Assert.Null(Refused(await _world.Connect("any", certificate: leaf, chain: [_ca])).Event);
    }

    [Fact]
    public async Task Auto_provisioning_makes_the_device_once_and_says_so()
    {
        var hub = await AddHub(h => h with { EnableDeviceAutoProvisioning = true });
        using var leaf = TestPki.Leaf("CN=serial-0815", _ca);
        var first = Accepted(await _world.Connect("any", certificate: leaf, chain: [_ca]));
        var second = Accepted(await _world.Connect("any", certificate: leaf, chain: [_ca]));
        Assert.Equal(first.DeviceId, second.DeviceId);
        Assert.Null(second.Provisioned);
        Assert.Equal(
            ("info", "device", first.DeviceId.ToString(), "device was auto-provisioned", "serial-0815", "127.0.0.1:1"),
            (first.Provisioned!.Severity, first.Provisioned.ObjectType, first.Provisioned.ObjectId, first.Provisioned.Message,
                first.Provisioned.ObjectName, first.Provisioned.SourceAddress));
        var device = (await _world.Registry.GetDevice(first.DeviceId))!.Value;
        Assert.Equal(("serial-0815", false, false, hub.Id), (device.Name, device.AllowInsecure, device.AllowMultipleConnections, device.HubId));
        Assert.Contains("127.0.0.1:1", device.Description, StringComparison.Ordinal);
        Assert.True(device.Filters.Publish.AllowsEverything && device.Filters.Subscribe.AllowsEverything);
    }

    [Fact]
    public async Task Nothing_is_made_for_who_names_another_device_or_on_a_hub_that_is_not_ready()
    {
        var hub = await AddHub(h => h with { EnableDeviceAutoProvisioning = true });
        var other = await _world.AddDevice(hub);
        using var leaf = TestPki.Leaf("CN=new", _ca);
        SaysOfUnknown(await _world.Connect(other.Id.ToString(), certificate: leaf, chain: [_ca]), "invalid device certificate");
        await _world.Change(hub, h => h with { Enabled = false });
        await _world.Follow();
        Assert.Equal("hub is not ready", Refused(await _world.Connect("any", certificate: leaf, chain: [_ca])).Event!.Message);
        Assert.Equal(1, (await _world.Registry.GetHub(hub.Id))!.Value.DeviceCount);
    }

    [Fact]
    public async Task A_replaced_authority_opens_nothing()
    {
        var hub = await AddHub(h => h with { EnableDeviceAutoProvisioning = true });
        using var leaf = TestPki.Leaf("CN=sensor", _ca);
        Accepted(await _world.Connect("any", certificate: leaf, chain: [_ca]));
        var next = TestPki.Authority("CN=Next");
        var stored = (await _world.Registry.GetHub(hub.Id))!;
        await _world.Registry.ReplaceAuthority(stored, Under(stored.Value, next));
        await _world.Follow();
        Refused(await _world.Connect("any", certificate: leaf, chain: [_ca]));
        using var renewed = TestPki.Leaf("CN=sensor", next);
        Accepted(await _world.Connect("any", certificate: renewed, chain: [next]));
    }

    private Task<Hub> AddHub(Func<Hub, Hub>? with = null) =>
        _world.AddHub(hub => with is null ? Under(hub, _ca) : with(Under(hub, _ca)));

    private static Hub Under(Hub hub, X509Certificate2 ca) => hub with
    {
        HasCustomCa = true,
        CaCertificatePem = Certificates.Pem(ca),
        CustomCaFingerprint = Certificates.Fingerprint(ca),
    };

    private static ConnectVerdict.Accepted Accepted(ConnectVerdict verdict) => Assert.IsType<ConnectVerdict.Accepted>(verdict);

    private static ConnectVerdict.Refused Refused(ConnectVerdict verdict) => Assert.IsType<ConnectVerdict.Refused>(verdict);

    private static void SaysOfUnknown(ConnectVerdict verdict, string text)
    {
        var refused = Refused(verdict);
        Assert.Equal(
            (ReasonCode.NotAuthorized, "unknown", text), (refused.Reason, refused.Event?.ObjectId, refused.Event?.Message));
    }
}
