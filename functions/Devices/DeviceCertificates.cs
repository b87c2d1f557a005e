using IotHub.Core;
using IotHub.Core.Domain;
using IotHub.Core.Security;
using IotHub.Functions.Api;

namespace IotHub.Functions.Devices;

/// <summary>Issues a device's certificate under its hub's own authority.</summary>
internal sealed class DeviceIssuer(CertificateAuthority authority, Sealer sealer)
{
    /// <summary>
    /// The device with its new certificate, and what its owner is given once. Where the customer issues certificates nothing can be
    /// issued: both texts are empty then, since clients crash without them.
    /// </summary>
    public (Device Device, IssuedAnswer Given) Issue(Device device, Hub hub)
    {
        if (hub.HasCustomCa || hub.SealedCaKey is not { } key)
        {
            return (device, new IssuedAnswer("", ""));
        }
        var ca = new IssuedCertificate(hub.CaCertificatePem, sealer.Open(key, SealPurposes.HubCa(hub.Id)));
        var issued = authority.IssueDevice(ca, device.Name);
        var certified = device with
        {
            CertificatePem = issued.CertificatePem,
            CertificateFingerprint = Certificates.Fingerprint(issued.CertificatePem),
        };
        return (certified, new IssuedAnswer(issued.CertificatePem, issued.KeyPem));
    }
}

/// <summary>A certificate that the owner of a device has issued, kept byte for byte.</summary>
internal sealed record OwnCertificate(string Pem, string Fingerprint)
{
    /// <summary>The certificate, or null when something is wrong with it.</summary>
    public static OwnCertificate? Of(string argument, string? pem, Checks checks)
    {
        using var certificate = checks.Certificate(argument, pem);
        return certificate is null ? null : new OwnCertificate(pem!, Certificates.Fingerprint(certificate));
    }

    public Device On(Device device) =>
        device with { CertificatePem = Pem, CertificateFingerprint = Fingerprint, HasCustomCertificate = true };
}

/// <summary>Read, renew and replace the certificate of a device. The broker drops its connections through the change feed.</summary>
internal sealed class DeviceCertificates(ApiRegistry registry, DeviceAnswers answers, DeviceIssuer issuer)
{
    public async Task<Outcome<DeviceCertificateAnswer>> Get(ApiRequest request) =>
        (await registry.Device(request, request.Id("device_id"))).Get(out var found, out var problem)
            ? new DeviceCertificateAnswer(found.Device.Value.CertificatePem, await answers.Of(found.Device.Value, request.Cancel))
            : problem;

    public async Task<Outcome<DeviceWithKeyAnswer>> Renew(ApiRequest request)
    {
        var given = new IssuedAnswer("", "");
        var changed = await registry.ChangeDevice(request, request.Id("device_id"), found =>
        {
            if (found.Hub.HasCustomCa || found.Device.Value.HasCustomCertificate)
            {
                return Task.FromResult<Outcome<Device>>(new Problem.PreconditionFailed(
                    "unknown_precondition",
                    found.Hub.HasCustomCa
                        ? "the hub has a certificate authority of your own: issue the certificate with it"
                        : "the device has a certificate of your own: replace it by another one"));
            }
            (var device, given) = issuer.Issue(found.Device.Value, found.Hub);
            return Task.FromResult<Outcome<Device>>(device with { UpdatedAt = registry.After(device.UpdatedAt) });
        });
        return changed.Get(out var renewed, out var problem)
            ? new DeviceWithKeyAnswer(await answers.Of(renewed, request.Cancel), given)
            : problem;
    }

    /// <summary>Any certificate will do, as long as no other device of any hub has it; it is kept byte for byte.</summary>
    public async Task<Outcome<DeviceCertificateAnswer>> Set(ApiRequest request)
    {
        if (!(await request.Body<SetCertificateRequest>()).Get(out var body, out var problem))
        {
            return problem;
        }
        if (OwnCertificate.Of("certificate_pem", body.CertificatePem, request.Checks) is not { } own)
        {
            return request.Checks.Problem!;
        }
        var changed = await registry.ChangeDevice(request, request.Id("device_id"), found => Task.FromResult<Outcome<Device>>(
            own.On(found.Device.Value) with { UpdatedAt = registry.After(found.Device.Value.UpdatedAt) }));
        return changed.Get(out var device, out problem)
            ? new DeviceCertificateAnswer(device.CertificatePem, await answers.Of(device, request.Cancel))
            : problem;
    }
}
