using IotHub.Core;
using IotHub.Core.Domain;
using IotHub.Core.Queues;
using IotHub.Core.Security;
using IotHub.Core.Storage;
using IotHub.Functions.Api;

namespace IotHub.Functions.Hubs;

/// <summary>The authority of a hub's device certificates: read it, or replace it by one's own (Scaleway IoT reference, 14.3).</summary>
internal sealed class HubCa(ApiRegistry registry, BrokerClient broker, Sealer sealer, FunctionsSettings settings)
{
    public async Task<Outcome<HubCaAnswer>> Get(ApiRequest request) =>
        (await registry.Hub(request, request.Id("hub_id"))).Get(out var hub, out var problem)
            ? new HubCaAnswer(hub.Value.CaCertificatePem)
            : problem;

    /// <summary>
    /// There is no way back: the generated authority's key is dropped, and with it all certificates that were issued under it. A repeat
    /// of the same call finishes what was interrupted.
    /// </summary>
    public async Task<Outcome<HubAnswer>> Set(ApiRequest request)
    {
        if (!(await request.Body<SetCaRequest>()).Get(out var body, out var problem))
        {
            return problem;
        }
        var hubId = request.Id("hub_id");
        Check(request.Checks, hubId, body);
        if (request.Checks.Problem is { } wrong)
        {
            return wrong;
        }
        var changed = await registry.ChangeHub(request, hubId, hub => Task.FromResult<Outcome<Hub>>(
            hub.StatusAt(registry.Now) is HubStatus.Enabling or HubStatus.Disabling
                ? registry.Transient(hub)
                : hub with
                {
                    CaCertificatePem = body.CaCertPem!,
                    SealedCaKey = null,
                    HasCustomCa = true,
                    CustomCaFingerprint = Certificates.Fingerprint(body.CaCertPem!),
                    UpdatedAt = registry.After(hub.UpdatedAt),
                }));
        if (!changed.Get(out var stored, out problem))
        {
            return problem;
        }
        await DropGeneratedCertificates(request, hubId);
        var connected = await registry.Store.CountConnected(hubId, request.Cancel);
        return HubAnswers.Of(stored, connected, registry.Now, settings.MqttEndpoint, sealer);
    }

    private static void Check(Checks checks, Guid hubId, SetCaRequest body)
    {
        using var ca = checks.Certificate("ca_cert_pem", body.CaCertPem);
        using var challenge = checks.Certificate("challenge_cert_pem", body.ChallengeCertPem);
        if (ca is not null)
        {
            checks.Require(Certificates.IsAuthority(ca), "ca_cert_pem", "must be a certificate authority (basic constraints CA:TRUE)");
        }
        if (challenge is not null)
        {
            var isOurs = Certificates.CommonName(challenge) == hubId.ToString("D");
            checks.Require(isOurs, "challenge_cert_pem", "its common name must be the id of the hub");
        }
        if (ca is not null && challenge is not null)
        {
            var isSigned = Certificates.IsSignedBy(challenge, ca);
            checks.Require(isSigned, "challenge_cert_pem", "must be signed with the key of the certificate authority");
        }
    }

    private async Task DropGeneratedCertificates(ApiRequest request, Guid hubId)
    {
        await foreach (var device in registry.Store.DevicesOfHub(hubId, request.Cancel))
        {
            if (device.HasCustomCertificate || device.CertificatePem.Length == 0)
            {
                continue;
            }
            await registry.ChangeDevice(request, device.Id, found => Task.FromResult<Outcome<Device>>(
                found.Device.Value.HasCustomCertificate
                    ? found.Device.Value
                    : found.Device.Value with { CertificatePem = "", CertificateFingerprint = "" }));
        }
        await broker.Nudge(hubId, ChangedKind.Hub, hubId);
    }
}
