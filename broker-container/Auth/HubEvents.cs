using IotHub.Core.Domain;
using IotHub.Core.Messages;

namespace IotHub.Broker.Auth;

/// <summary>The exact texts of hub events about who may connect (Scaleway IoT reference, message texts).</summary>
/// <remarks>
/// The reference also has <c>hub is locked</c>. It cannot arise here: there a lock is what the platform does to a hub whose owner does
/// not pay. Nothing here takes a hub away from its owner but the owner's own disable and delete, which have texts of their own, and
/// who exceeds a quota is refused the one thing that would exceed it.
/// </remarks>
public static class EventTexts
{
    /// <summary>
    /// The client was gone before all that was being sent to it had left. Not always told over WebSocket: Kestrel takes bytes for a client
    /// that it knows to be gone.
    /// </summary>
    public const string CannotWrite = "cannot write MQTT packet";
    public const string InvalidDeviceCertificate = "invalid device certificate";
    public const string CommonNameEmpty = "certificate common name cannot be empty";
    public const string CouldNotIdentify = "could not identify device";
    public const string AutoProvisioned = "device was auto-provisioned";
    public const string MutualTlsRequired = "mutual TLS authentication is required";
    public const string HubNotReady = "hub is not ready";
    public const string HubDeleted = "hub is deleted";
    public const string DeviceDeleted = "device is deleted";
    public const string DeviceNotEnabled = "device is not enabled";
    public const string PlanChanged = "hub product plan has changed";
    public const string SecurityChanged = "device security has changed, requires authentication";
    public const string CleanSessionMandatory = "service level: \"clean session\" flag is mandatory to connect to a shared hub";
}

/// <summary>Makes hub events. Times are whole seconds, as the original has them.</summary>
public static class HubEvents
{
    public static HubEvent OfDevice(Guid deviceId, string text, TimeProvider clock, string? packet = null) =>
        Of(EventSource.Device, deviceId, text, clock, packet);

    public static HubEvent OfHub(Guid hubId, string text, TimeProvider clock, string? packet = null) =>
        Of(EventSource.Hub, hubId, text, clock, packet);

    /// <summary>About a device that could not be determined.</summary>
    public static HubEvent OfUnknownDevice(string text, TimeProvider clock, string? packet = null) =>
        Of(EventSource.Device, Guid.Empty, text, clock, packet) with { ObjectId = "unknown" };

    public static HubEvent Provisioned(Device device, string sourceAddress, TimeProvider clock) =>
        Of(EventSource.Device, device.Id, EventTexts.AutoProvisioned, clock, null) with
        {
            Severity = "info",
            ObjectName = device.Name,
            SourceAddress = sourceAddress,
        };

    /// <summary>Severity warning, about a hub or a device.</summary>
    public static HubEvent Warning(EventSource source, Guid id, string text, TimeProvider clock) =>
        Of(source, id, text, clock, null) with { Severity = "warning" };

    private static HubEvent Of(EventSource source, Guid id, string text, TimeProvider clock, string? packet) => new()
    {
        Time = clock.GetUtcNow().DownTo(TimeSpan.FromSeconds(1)),
        Severity = "error",
        ObjectType = source == EventSource.Hub ? "hub" : "device",
        ObjectId = id.ToString(),
        Message = text,
        Packet = packet,
    };
}
