using IotHub.Broker.Protocol;
using IotHub.Core.Domain;
using IotHub.Core.Security;

namespace IotHub.Broker.Auth;

/// <content>
/// Certificates that are known by who signed them (Scaleway IoT reference, authentication by certificate and auto-provisioning): only
/// under an authority of the hub's customer. What a generated authority issued is known one by one, or a renewed one would still work.
/// </content>
public sealed partial class RegistryAuthenticator
{
    /// <summary>
    /// The hub under whose authority the client claims to be: by the authority that it sent along, else by the device that it names.
    /// </summary>
    /// <returns>The hub, and whether the client's certificate is under its authority.</returns>
    private async Task<(HubEntry Hub, bool IsUnder)?> AuthorityOf(
        ConnectAttempt attempt, Device? named, Reader reader, CancellationToken cancel)
    {
        if (attempt.ClientCertificate is not { } leaf)
        {
            return null;
        }
        foreach (var shown in attempt.ClientChain.Where(Certificates.IsAuthority))
        {
            var fingerprint = Certificates.Fingerprint(shown);
            if (await _directory.HubByAuthority(fingerprint, cancel) is { } hubId
                && await reader.Hub(hubId, cancel) is { Authority: not null } hub && hub.Hub.CustomCaFingerprint == fingerprint)
            {
                return (hub, IsUnder(hub));
            }
        }
        return named is not null && await reader.Hub(named.HubId, cancel) is { Authority: not null } own && IsUnder(own) ? (own, true) : null;

        bool IsUnder(HubEntry hub) => Certificates.IsUnder(leaf, attempt.ClientChain, hub.Authority!, _clock.GetUtcNow());
    }

    private async Task<ConnectVerdict> DecideByChain(
        ConnectAttempt attempt, HubEntry hub, bool isUnder, Device? named, Reader reader, CancellationToken cancel)
    {
        if (!isUnder)
        {
            return RefuseUnknown(attempt, hub, EventTexts.InvalidDeviceCertificate);
        }
        if (Certificates.CommonName(attempt.ClientCertificate!) is not { Length: > 0 } name)
        {
            return RefuseUnknown(attempt, hub, EventTexts.CommonNameEmpty);
        }
        // Who names an existing device must be that one, and nothing is made for an impostor.
        if (named is not null && (named.Name != name || named.HubId != hub.Hub.Id))
        {
            return RefuseUnknown(attempt, hub, EventTexts.InvalidDeviceCertificate);
        }
        var (device, isNew) = await DeviceNamed(attempt, hub, name, reader, cancel);
        if (device is null)
        {
            return hub.Hub.EnableDeviceAutoProvisioning && hub.Hub.StatusAt(_clock.GetUtcNow()) != HubStatus.Ready
                ? NotReady(attempt, hub)
                : RefuseUnknown(attempt, hub, EventTexts.CouldNotIdentify);
        }
        if (device.HasCustomCertificate || await NamesAnother(attempt, device, reader, cancel))
        {
            return Refuse(attempt, device, ReasonCode.NotAuthorized, EventTexts.InvalidDeviceCertificate);
        }
        var verdict = Admit(attempt, hub, device);
        return isNew && verdict is ConnectVerdict.Accepted accepted
            ? accepted with { Provisioned = HubEvents.Provisioned(device, Address(attempt), _clock) }
            : verdict;
    }

    /// <summary>The hub's device of that name; made now, when the hub wants that.</summary>
    private async Task<(Device? Device, bool IsNew)> DeviceNamed(
        ConnectAttempt attempt, HubEntry hub, string name, Reader reader, CancellationToken cancel)
    {
        if (await Known() is { } known)
        {
            return (known, false);
        }
        if (!hub.Hub.EnableDeviceAutoProvisioning || hub.Hub.StatusAt(_clock.GetUtcNow()) != HubStatus.Ready || !ResourceName.IsValid(name))
        {
            return (null, false);
        }
        var now = _clock.GetUtcNow().DownTo(TimeSpan.FromMilliseconds(1));
        var device = new Device
        {
            Id = Guid.NewGuid(),
            HubId = hub.Hub.Id,
            Name = name,
            Description = $"Auto-provisioned for a connection from {Address(attempt)}",
            CreatedAt = now,
            UpdatedAt = now,
        };
        return await _directory.Provision(device, cancel) switch
        {
            true => (await reader.Device(device.Id, cancel), true),
            // Another connection of the same device was faster.
            false => (await Known(), false),
            null => (null, false),
        };

        async Task<Device?> Known() =>
            await _directory.DeviceByName(hub.Hub.Id, name, cancel) is { } id
            && await reader.Device(id, cancel) is { } found && found.HubId == hub.Hub.Id && found.Name == name
                ? found
                : null;
    }

    private static string Address(ConnectAttempt attempt) => attempt.RemoteAddress?.ToString() ?? "an unknown address";

    private ConnectVerdict.Refused RefuseUnknown(ConnectAttempt attempt, HubEntry hub, string text) =>
        new(ReasonCode.NotAuthorized, hub.Hub.Id, HubEvents.OfUnknownDevice(text, _clock, attempt.PacketText));
}
