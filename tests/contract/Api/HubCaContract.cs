using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json.Nodes;
using Xunit;
using static IotHub.Contract.Api.ApiConventions;

namespace IotHub.Contract.Api;

/// <summary>Certificate authorities of hubs over the API, on every driver of the registry.</summary>
public abstract class HubCaContract : IAsyncLifetime
{
    private TestApi _api = null!;

    protected abstract Task<TestApi> NewApi();

    public async Task InitializeAsync() => _api = await NewApi();

    public async Task DisposeAsync() => await _api.DisposeAsync();

    [Fact]
    public async Task The_generated_authority_signs_the_certificates_of_its_devices()
    {
        var hub = await _api.NewHub();
        var answer = (await _api.Get($"hubs/{hub["id"]}/ca")).Ok;
        Assert.Equal(["ca_cert_pem"], TestApi.Members(answer));
        using var ca = X509Certificate2.CreateFromPem((string)answer["ca_cert_pem"]!);
        var created = (await _api.Post("devices", $$"""{"name":"d","hub_id":"{{hub["id"]}}"}""")).Ok;
        using var device = X509Certificate2.CreateFromPem((string)created["certificate"]!["crt"]!, (string)created["certificate"]!["key"]!);
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(ca);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        Assert.True(chain.Build(device));
        Assert.DoesNotContain("PRIVATE", (await _api.Registry.GetHub(Id(hub)))!.Value.SealedCaKey, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_authority_of_ones_own_replaces_the_generated_one_for_ever()
    {
        var hub = await _api.NewHub();
        var generated = await _api.NewDevice(hub, "generated");
        var custom = await _api.NewDevice(hub, "custom");
        var (ca, other) = (NewAuthority("CN=Mine"), NewAuthority("CN=Custom"));
        (await _api.Send(HttpMethod.Put, $"devices/{custom["id"]}/certificate", Body(("certificate_pem", Pem(other))))).Ok.ToString();

        var answer = (await SetCa(hub, Pem(ca), Challenge(ca, $"{hub["id"]}"))).Ok;

        Assert.True((bool)answer["has_custom_ca"]!);
        Assert.Equal(Pem(ca), (string)(await _api.Get($"hubs/{hub["id"]}/ca")).Ok["ca_cert_pem"]!);
        Assert.Null((await _api.Registry.GetHub(Id(hub)))!.Value.SealedCaKey);
        Assert.Equal("", (string)(await _api.Get($"devices/{generated["id"]}/certificate")).Ok["certificate_pem"]!);
        Assert.Equal(Pem(other), (string)(await _api.Get($"devices/{custom["id"]}/certificate")).Ok["certificate_pem"]!);
        (await _api.Post($"devices/{generated["id"]}/renew-certificate")).Problem(412, "precondition_failed");
        var created = (await _api.Post("devices", $$"""{"name":"later","hub_id":"{{hub["id"]}}"}""")).Ok;
        AssertJson("""{"crt":"","key":""}""", created["certificate"]!);
        var provisioning = (await _api.Patch($"hubs/{hub["id"]}", """{"enable_device_auto_provisioning":true}""")).Ok;
        Assert.True((bool)provisioning["enable_device_auto_provisioning"]!);
    }

    [Fact]
    public async Task A_challenge_proves_that_the_authoritys_key_is_at_hand()
    {
        var hub = await _api.NewHub();
        var id = $"{hub["id"]}";
        var (ca, namesake) = (NewAuthority("CN=Mine"), NewAuthority("CN=Mine"));
        var challenge = Challenge(ca, id);
        (string, string, string, string)[] cases =
        [
            ("", challenge, "ca_cert_pem", "required"),
            ("x", challenge, "ca_cert_pem", "format"),
            (Pem(ca), "x", "challenge_cert_pem", "format"),
            (Pem(ca), Challenge(ca, Guid.NewGuid().ToString()), "challenge_cert_pem", "constraint"),
            (Pem(ca), Challenge(namesake, id), "challenge_cert_pem", "constraint"),
            (Pem(ca) + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", challenge, "ca_cert_pem", "constraint"),
        ];
        foreach (var (caPem, challengePem, argument, reason) in cases)
        {
            Assert.Equal((argument, reason), Assert.Single((await SetCa(hub, caPem, challengePem)).WrongArguments()));
        }
        Assert.Equal(2, (await SetCa(hub, challenge, challenge)).WrongArguments().Count());
        Assert.False((bool)(await _api.Get($"hubs/{id}")).Ok["has_custom_ca"]!);
        await _api.Post($"hubs/{id}/disable");
        (await SetCa(hub, Pem(ca), challenge)).Problem(409, "transient_state");
        _api.Settle();
        Assert.Equal(200, (await SetCa(hub, Pem(ca), challenge)).Status);
    }

    [Fact]
    public async Task An_authority_belongs_to_one_hub_until_it_is_replaced_or_the_hub_is_deleted()
    {
        var (first, second) = (await _api.NewHub("first"), await _api.NewHub("second"));
        var (ca, next) = (NewAuthority("CN=Mine"), NewAuthority("CN=Next"));
        Assert.Equal(200, (await SetCa(first, Pem(ca), Challenge(ca, $"{first["id"]}"))).Status);
        Assert.Equal(200, (await SetCa(first, Pem(ca), Challenge(ca, $"{first["id"]}"))).Status);
        var taken = (await SetCa(second, Pem(ca), Challenge(ca, $"{second["id"]}"))).Problem(409, "already_exists");
        Assert.Equal(("hub", $"{first["id"]}"), ((string)taken["resource"]!, (string)taken["resource_id"]!));
        Assert.False((bool)(await _api.Get($"hubs/{second["id"]}")).Ok["has_custom_ca"]!);

        Assert.Equal(200, (await SetCa(first, Pem(next), Challenge(next, $"{first["id"]}"))).Status);
        Assert.Equal(200, (await SetCa(second, Pem(ca), Challenge(ca, $"{second["id"]}"))).Status);
        Assert.Equal(204, (await _api.Delete($"hubs/{second["id"]}")).Status);
        Assert.Equal(200, (await SetCa(first, Pem(ca), Challenge(ca, $"{first["id"]}"))).Status);
    }

    [Fact]
    public async Task Whose_the_authority_is_stays_hidden_from_strangers()
    {
        var mine = await _api.NewHub();
        var (stranger, organization) = (Guid.NewGuid(), Guid.NewGuid());
        var secret = await _api.NewKey(IotHub.Core.Domain.ApiRole.Administrator, organization: organization);
        var theirs = (await _api.Post("hubs", $$"""{"name":"theirs","project_id":"{{stranger}}"}""", secret)).Ok;
        _api.Settle();
        var ca = NewAuthority("CN=Mine");
        Assert.Equal(200, (await SetCa(mine, Pem(ca), Challenge(ca, $"{mine["id"]}"))).Status);
        var body = Body(("ca_cert_pem", Pem(ca)), ("challenge_cert_pem", Challenge(ca, $"{theirs["id"]}")));
        var taken = (await _api.Post($"hubs/{theirs["id"]}/ca", body, secret)).Problem(409, "already_exists");
        Assert.Equal("", (string)taken["resource_id"]!);
    }

    private static Guid Id(JsonNode json) => Guid.Parse((string)json["id"]!);

    private static string Body(params (string Name, string Value)[] members) =>
        new JsonObject(members.Select(member => KeyValuePair.Create(member.Name, (JsonNode?)member.Value))).ToJsonString();

    private Task<ApiAnswer> SetCa(JsonNode hub, string ca, string challenge) =>
        _api.Post($"hubs/{hub["id"]}/ca", Body(("ca_cert_pem", ca), ("challenge_cert_pem", challenge)));

    private static string Pem(X509Certificate2 certificate) => certificate.ExportCertificatePem() + "\n";

    private static X509Certificate2 NewAuthority(string subject)
    {
        var request = new CertificateRequest(subject, ECDsa.Create(ECCurve.NamedCurves.nistP256), HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddYears(1));
    }

    private static string Challenge(X509Certificate2 ca, string commonName)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=" + commonName, key, HashAlgorithmName.SHA256);
        return Pem(request.Create(ca, DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddDays(1), [1, 2, 3]));
    }
}
