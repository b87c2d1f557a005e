using IotHub.Broker.Bridge;
using IotHub.Broker.Protocol;
using IotHub.Core.Domain;
using IotHub.Core.Messages;

namespace IotHub.Broker.Auth;

/// <summary>
/// What a change of the registry does to live connections, sessions and routes (Scaleway IoT reference, state machines and side effects).
/// Told of every difference between two readings; every call on the broker may be repeated without harm.
/// </summary>
public sealed class LiveChanges(TimeProvider clock, bool severityFirst)
{
    private IBrokerControl? _control;
    private Func<Guid, IEnumerable<Device>> _rememberedDevicesOf = _ => [];

    private IBrokerControl Control => _control ?? throw new InvalidOperationException("the broker is not attached yet");

    /// <summary>Joins the broker, which is made after those that its authenticator needs. Before the registry is first read.</summary>
    public void Attach(IBrokerControl control, HubDirectory directory)
    {
        _rememberedDevicesOf = directory.RememberedDevicesOf;
        _control = control;
    }

    internal bool HasConnections(Guid hubId) => Control.ConnectedDevices(hubId).Count > 0;

    internal void HubChanged(Guid hubId, HubEntry? before, HubEntry? now)
    {
        if (now is null)
        {
            HubIsGone(hubId);
            return;
        }
        var settings = SettingsOf(now);
        if (before is null || !Same(SettingsOf(before), settings))
        {
            Control.Configure(hubId, settings);
        }
        if (!now.Hub.Enabled)
        {
            EndConnections(hubId, ReasonCode.AdministrativeAction, EventTexts.HubNotReady);
        }
        if (before is null)
        {
            return;
        }
        if (before.Hub.Plan != now.Hub.Plan)
        {
            EndConnections(hubId, ReasonCode.AdministrativeAction, EventTexts.PlanChanged);
        }
        if (before.AuthorityHash != now.AuthorityHash)
        {
            EndConnections(hubId, ReasonCode.NotAuthorized, EventTexts.SecurityChanged);
        }
        if (before.Hub.Name != now.Hub.Name)
        {
            foreach (var device in _rememberedDevicesOf(hubId).Where(device => FilterTemplates.Uses(device.Filters)))
            {
                Control.RightsChanged(hubId, device.Id, RightsOf(now, device));
            }
        }
    }

    internal void HubIsGone(Guid hubId) => Control.DisconnectHub(
        hubId, ReasonCode.AdministrativeAction, HubEvents.OfHub(hubId, EventTexts.HubDeleted, clock), dropEverything: true);

    internal void DeviceChanged(Device? before, Device? now, HubEntry? hub)
    {
        if (before is null)
        {
            return;
        }
        if (now is null)
        {
            End(before.HubId, before.Id, EventTexts.DeviceDeleted, dropSessions: true);
            return;
        }
        if (now.HubId != before.HubId)
        {
            EndForSecurity(before.HubId, before.Id, dropSessions: true);
            return;
        }
        if (hub is not null && !SameRights(before, now))
        {
            Control.RightsChanged(now.HubId, now.Id, RightsOf(hub, now));
            if (!Same(before.Filters.Publish, now.Filters.Publish) || !Same(before.Filters.Subscribe, now.Filters.Subscribe))
            {
                foreach (var warning in TemplateWarnings(hub, now, clock))
                {
                    Control.Raise(now.HubId, warning);
                }
            }
        }
        if (now.Status != DeviceStatus.Enabled)
        {
            End(now.HubId, now.Id, EventTexts.DeviceNotEnabled, dropSessions: false);
        }
        if (before.CertificateFingerprint != now.CertificateFingerprint)
        {
            EndForSecurity(now.HubId, now.Id);
        }
        else if (before.AllowMultipleConnections && !now.AllowMultipleConnections)
        {
            // Sessions under client ids of their own can never be reached again.
            EndForSecurity(now.HubId, now.Id, dropSessions: true);
        }
        else if (before.AllowInsecure && !now.AllowInsecure)
        {
            EndForSecurity(now.HubId, now.Id, exceptCertified: true);
        }
    }

    /// <summary>
    /// A device changed that is not remembered. If it has a connection nevertheless, nobody knows what was true when it was let in.
    /// </summary>
    internal void ForgottenDeviceChanged(Guid hubId, Guid deviceId, Device? now, HubEntry? hub)
    {
        if (now is null)
        {
            End(hubId, deviceId, EventTexts.DeviceDeleted, dropSessions: true);
        }
        else if (now.HubId != hubId)
        {
            EndForSecurity(hubId, deviceId, dropSessions: true);
        }
        else
        {
            if (hub is not null)
            {
                Control.RightsChanged(hubId, deviceId, RightsOf(hub, now));
            }
            if (now.Status != DeviceStatus.Enabled)
            {
                End(hubId, deviceId, EventTexts.DeviceNotEnabled, dropSessions: false);
            }
            EndForSecurity(hubId, deviceId);
        }
    }

    /// <summary>What a device of this hub may do.</summary>
    internal static Rights RightsOf(HubEntry hub, Device device)
    {
        var plan = PlanRules.Of(hub.Hub.Plan);
        return new Rights(FilterTemplates.Fill(device.Filters, hub.Hub, device), plan, MayConnectTwice(hub, device));
    }

    /// <summary>One warning for each entry of the device's filters whose template cannot be read.</summary>
    internal static IReadOnlyList<HubEvent> TemplateWarnings(HubEntry hub, Device device, TimeProvider clock) =>
        FilterTemplates.Uses(device.Filters)
            ? [.. FilterTemplates.Unreadable(device.Filters, hub.Hub, device).Select(entry =>
                HubEvents.Warning(EventSource.Device, device.Id, $"cannot read the template in message filter {entry}", clock))]
            : [];

    /// <summary>Several connections are a matter of dedicated plans.</summary>
    internal static bool MayConnectTwice(HubEntry hub, Device device) =>
        device.AllowMultipleConnections && hub.Hub.Plan != ProductPlan.PlanShared;

    private void End(Guid hubId, Guid deviceId, string because, bool dropSessions) => Control.DisconnectDevice(
        hubId, deviceId, ReasonCode.AdministrativeAction, HubEvents.OfDevice(deviceId, because, clock), dropSessions);

    private void EndForSecurity(Guid hubId, Guid deviceId, bool dropSessions = false, bool exceptCertified = false)
    {
        var because = HubEvents.OfDevice(deviceId, EventTexts.SecurityChanged, clock);
        Control.DisconnectDevice(hubId, deviceId, ReasonCode.NotAuthorized, because, dropSessions, exceptCertified);
    }

    private void EndConnections(Guid hubId, ReasonCode reason, string because) =>
        Control.DisconnectHub(hubId, reason, HubEvents.OfHub(hubId, because, clock), dropEverything: false);

    private static bool SameRights(Device a, Device b) =>
        a.AllowMultipleConnections == b.AllowMultipleConnections && a.Name == b.Name
        && Same(a.Filters.Publish, b.Filters.Publish) && Same(a.Filters.Subscribe, b.Filters.Subscribe);

    private static bool Same(MessageFilterRule a, MessageFilterRule b) => a.Policy == b.Policy && a.Topics.SequenceEqual(b.Topics);

    private HubSettings SettingsOf(HubEntry entry) =>
        new(entry.Hub.DisableEvents ? null : entry.Hub.EventsTopicPrefix, severityFirst, entry.Routes);

    private static bool Same(HubSettings a, HubSettings b) =>
        a.EventsTopicPrefix == b.EventsTopicPrefix && a.SeverityFirst == b.SeverityFirst && a.Routes.SequenceEqual(b.Routes);
}
