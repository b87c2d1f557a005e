using IotHub.Broker.Auth;
using IotHub.Broker.Bridge;
using IotHub.Broker.Protocol;
using IotHub.Core.Domain;
using Xunit;

namespace IotHub.Unit.Auth;

/// <summary>Who is let in: the identity rules, the security matrix, the event texts and what is said when the registry is silent.</summary>
public sealed class RegistryAuthenticatorTests
{
    private readonly World _world = new();

    [Fact]
    public async Task The_client_id_names_the_device()
    {
        var device = await _world.AddDevice(await _world.AddHub());
        var accepted = Accepted(await _world.Connect(device.Id.ToString()));
        Assert.Equal((device.HubId, device.Id, device.Id.ToString()), (accepted.HubId, accepted.DeviceId, accepted.ClientId));
    }

    [Theory]
    [InlineData("esp8266")]
    [InlineData("")]
    [InlineData("11111111-2222-4333-8444-555555555555")]
    public async Task The_user_name_names_the_device_when_the_client_id_names_none(string clientId)
    {
        var device = await _world.AddDevice(await _world.AddHub());
        var accepted = Accepted(await _world.Connect(clientId, device.Id.ToString()));
        Assert.Equal(device.Id.ToString(), accepted.ClientId);
    }

    [Fact]
    public async Task The_client_id_goes_before_the_user_name()
    {
        var hub = await _world.AddHub();
        var (first, second) = (await _world.AddDevice(hub), await _world.AddDevice(hub));
        Assert.Equal(first.Id, Accepted(await _world.Connect(first.Id.ToString(), second.Id.ToString())).DeviceId);
    }

    [Fact]
    public async Task Upper_case_ids_name_the_same_device_and_session()
    {
        var device = await _world.AddDevice(await _world.AddHub());
        Assert.Equal(device.Id.ToString(), Accepted(await _world.Connect(device.Id.ToString().ToUpperInvariant())).ClientId);
    }

    [Theory]
    [InlineData("", null)]
    [InlineData("sensor", "me")]
    [InlineData("11111111-2222-4333-8444-555555555555", "11111111-2222-4333-8444-666666666666")]
    public async Task Nobody_that_is_known_is_refused_without_an_event(string clientId, string? userName)
    {
        await _world.AddDevice(await _world.AddHub());
        var refused = Refused(await _world.Connect(clientId, userName));
        Assert.Equal((ReasonCode.NotAuthorized, (Guid?)null, null), (refused.Reason, refused.HubId, refused.Event));
    }

    // Security matrix: method, allow_insecure, allowed?
    [Theory]
    [InlineData(true, true, false, true)]
    [InlineData(true, true, true, true)]
    [InlineData(false, true, false, false)]
    [InlineData(false, true, true, true)]
    [InlineData(false, false, false, false)]
    [InlineData(false, false, true, true)]
    public async Task Security_matrix(bool mutual, bool encrypted, bool allowInsecure, bool allowed)
    {
        using var certificate = _world.NewCertificate();
        var device = await _world.AddDevice(
            await _world.AddHub(), d => d with { AllowInsecure = allowInsecure, CertificateFingerprint = World.FingerprintOf(certificate) });
        var verdict = await _world.Connect(device.Id.ToString(), certificate: mutual ? certificate : null, encrypted: encrypted);
        if (allowed)
        {
            Assert.Equal(device.Id, Accepted(verdict).DeviceId);
        }
        else
        {
            Says(verdict, ReasonCode.NotAuthorized, "device", device.Id, "mutual TLS authentication is required");
        }
    }

    [Fact]
    public async Task A_certificate_alone_names_the_device()
    {
        using var certificate = _world.NewCertificate();
        var hub = await _world.AddHub();
        var device = await _world.AddDevice(hub, d => d with { AllowInsecure = false, CertificateFingerprint = World.FingerprintOf(certificate) });
        Assert.Equal(device.Id, Accepted(await _world.Connect("", certificate: certificate)).DeviceId);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_certificate_of_another_device_than_the_one_named_is_refused(bool byClientId)
    {
        using var certificate = _world.NewCertificate();
        var hub = await _world.AddHub();
        var owner = await _world.AddDevice(hub, d => d with { CertificateFingerprint = World.FingerprintOf(certificate) });
        var other = (await _world.AddDevice(hub)).Id.ToString();
        var verdict = await _world.Connect(byClientId ? other : "x", byClientId ? null : other, certificate);
        Says(verdict, ReasonCode.NotAuthorized, "device", owner.Id, "invalid device certificate");
    }

    [Fact]
    public async Task An_unknown_certificate_is_refused_even_when_the_device_could_come_without_one()
    {
        using var certificate = _world.NewCertificate();
        var device = await _world.AddDevice(await _world.AddHub());
        var verdict = await _world.Connect(device.Id.ToString(), certificate: certificate);
        Says(verdict, ReasonCode.NotAuthorized, "device", device.Id, "invalid device certificate");
    }

    [Theory]
    [InlineData(1, 2)]
    [InlineData(-3, -1)]
    public async Task A_certificate_outside_its_time_is_refused(int from, int to)
    {
        using var certificate = _world.NewCertificate(from, to);
        var device = await _world.AddDevice(await _world.AddHub(), d => d with { CertificateFingerprint = World.FingerprintOf(certificate) });
        var verdict = await _world.Connect(device.Id.ToString(), certificate: certificate);
        Says(verdict, ReasonCode.NotAuthorized, "device", device.Id, "invalid device certificate");
    }

    [Fact]
    public async Task A_replaced_certificate_is_refused_once_the_feed_was_read()
    {
        using var old = _world.NewCertificate();
        using var renewed = _world.NewCertificate();
        var device = await _world.AddDevice(await _world.AddHub(), d => d with { CertificateFingerprint = World.FingerprintOf(old) });
        Accepted(await _world.Connect(device.Id.ToString(), certificate: old));
        await _world.Change(device, d => d with { CertificateFingerprint = World.FingerprintOf(renewed) });
        await _world.Follow();
        Refused(await _world.Connect(device.Id.ToString(), certificate: old));
        Accepted(await _world.Connect(device.Id.ToString(), certificate: renewed));
    }

    [Fact]
    public async Task A_hub_that_is_not_ready_puts_its_devices_off()
    {
        var hub = await _world.AddHub(h => h with { EnabledChangedAt = _world.Clock.GetUtcNow() });
        var device = await _world.AddDevice(hub);
        Says(await _world.Connect(device.Id.ToString()), ReasonCode.ServerUnavailable, "hub", hub.Id, "hub is not ready");
        _world.Clock.Advance(Hub.TransitionTime);
        Accepted(await _world.Connect(device.Id.ToString()));
    }

    [Fact]
    public async Task A_disabled_hub_is_not_ready()
    {
        var hub = await _world.AddHub(h => h with { Enabled = false });
        var device = await _world.AddDevice(hub);
        Says(await _world.Connect(device.Id.ToString()), ReasonCode.ServerUnavailable, "hub", hub.Id, "hub is not ready");
    }

    [Theory]
    [InlineData(DeviceStatus.Disabled)]
    [InlineData(DeviceStatus.Error)]
    public async Task A_device_that_is_not_enabled_is_refused(DeviceStatus status)
    {
        var device = await _world.AddDevice(await _world.AddHub(), d => d with { Status = status });
        Says(await _world.Connect(device.Id.ToString()), ReasonCode.NotAuthorized, "device", device.Id, "device is not enabled");
    }

    [Fact]
    public async Task A_shared_hub_wants_clean_sessions()
    {
        var device = await _world.AddDevice(await _world.AddHub(h => h with { Plan = ProductPlan.PlanShared }));
        Says(
            await _world.Connect(device.Id.ToString(), cleanStart: false), ReasonCode.NotAuthorized, "device", device.Id,
            "service level: \"clean session\" flag is mandatory to connect to a shared hub");
        Assert.Equal(PlanRules.Shared, Accepted(await _world.Connect(device.Id.ToString())).Rights.Plan);
    }

    [Fact]
    public async Task A_dedicated_hub_takes_any_session()
    {
        var device = await _world.AddDevice(await _world.AddHub());
        Assert.Equal(PlanRules.None, Accepted(await _world.Connect(device.Id.ToString(), cleanStart: false)).Rights.Plan);
    }

    [Theory]
    [InlineData(ProductPlan.PlanDedicated, "mine", "mine")]
    [InlineData(ProductPlan.PlanHa, "", "")]
    [InlineData(ProductPlan.PlanShared, "mine", null)]
    public async Task Several_connections_keep_their_own_client_ids_where_the_plan_allows_it(ProductPlan plan, string clientId, string? session)
    {
        var device = await _world.AddDevice(await _world.AddHub(h => h with { Plan = plan }), d => d with { AllowMultipleConnections = true });
        var accepted = Accepted(await _world.Connect(clientId, device.Id.ToString()));
        Assert.Equal(session ?? device.Id.ToString(), accepted.ClientId);
        Assert.Equal(plan != ProductPlan.PlanShared, accepted.Rights.AllowMultipleConnections);
    }

    [Fact]
    public async Task A_registry_that_does_not_answer_is_never_a_yes()
    {
        var device = await _world.AddDevice(await _world.AddHub());
        _world.Registry.Fails = true;
        Assert.Equal(new ConnectVerdict.Refused(ReasonCode.ServerUnavailable), await _world.Connect(device.Id.ToString()));
        _world.Registry.Fails = false;
        Accepted(await _world.Connect(device.Id.ToString()));
    }

    [Fact]
    public async Task What_is_remembered_is_believed_for_ten_seconds_without_the_feed()
    {
        var device = await _world.AddDevice(await _world.AddHub());
        await _world.Follow();
        Accepted(await _world.Connect(device.Id.ToString()));
        _world.Changes.Fails = true;
        _world.Clock.Advance(TimeSpan.FromSeconds(10));
        await _world.Follow();
        Accepted(await _world.Connect(device.Id.ToString()));
        _world.Clock.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal(new ConnectVerdict.Refused(ReasonCode.ServerUnavailable), await _world.Connect(device.Id.ToString()));
        _world.Changes.Fails = false;
        await _world.Follow();
        Accepted(await _world.Connect(device.Id.ToString()));
    }

    [Fact]
    public async Task A_yes_comes_from_memory_and_a_no_never_does()
    {
        var device = await _world.AddDevice(await _world.AddHub(), d => d with { Status = DeviceStatus.Disabled });
        Refused(await _world.Connect(device.Id.ToString()));
        await _world.Change(device, d => d with { Status = DeviceStatus.Enabled });
        Accepted(await _world.Connect(device.Id.ToString()));
        var reads = _world.Registry.Reads;
        Accepted(await _world.Connect(device.Id.ToString()));
        Assert.Equal(reads, _world.Registry.Reads);
    }

    [Fact]
    public async Task A_device_created_after_it_was_refused_comes_in_at_once()
    {
        var hub = await _world.AddHub();
        var id = Guid.NewGuid();
        Refused(await _world.Connect(id.ToString()));
        await _world.AddDevice(hub, d => d with { Id = id });
        Accepted(await _world.Connect(id.ToString()));
    }

    [Fact]
    public async Task A_verdict_stands_until_the_device_or_its_hub_is_read_anew()
    {
        var hub = await _world.AddHub();
        var device = await _world.AddDevice(hub);
        var accepted = Accepted(await _world.Connect(device.Id.ToString()));
        Assert.True(accepted.StillStands!());
        await _world.Directory.FreshHub(hub.Id, default);
        Assert.False(accepted.StillStands());

        accepted = Accepted(await _world.Connect(device.Id.ToString()));
        await _world.Change(device, d => d with { Status = DeviceStatus.Disabled });
        await _world.Follow();
        Assert.False(accepted.StillStands!());
    }

    [Fact]
    public async Task Too_many_at_once_are_told_that_the_server_is_busy()
    {
        var world = new World(new BridgeLimits { ConcurrentAuthentications = 1 });
        var device = await world.AddDevice(await world.AddHub());
        var release = world.Registry.Hold();
        var first = world.Connect(device.Id.ToString());
        Assert.Equal(new ConnectVerdict.Refused(ReasonCode.ServerBusy), await world.Connect(device.Id.ToString()));
        release();
        Accepted(await first);
        Accepted(await world.Connect(device.Id.ToString()));
    }

    [Fact]
    public async Task A_hub_is_configured_before_its_first_device_comes_in()
    {
        var hub = await _world.AddHub(h => h with { EventsTopicPrefix = "ev" });
        var device = await _world.AddDevice(hub);
        var route = Guid.NewGuid();
        await _world.AddRoute(hub, route, "a/#");
        Accepted(await _world.Connect(device.Id.ToString()));
        Accepted(await _world.Connect(device.Id.ToString()));
        var configured = Assert.IsType<Harness.RecordingBroker.Configured>(Assert.Single(_world.Broker.Calls));
        Assert.Equal("ev", configured.Settings.EventsTopicPrefix);
        Assert.Equal([new RouteSubscription(route, "a/#")], configured.Settings.Routes);
    }

    [Fact]
    public async Task A_hub_is_configured_before_an_event_of_a_refusal_is_raised_on_it()
    {
        var strict = await _world.AddDevice(await _world.AddHub(), d => d with { AllowInsecure = false });
        using var unknown = _world.NewCertificate();
        var other = await _world.AddDevice(await _world.AddHub());
        Refused(await _world.Connect(strict.Id.ToString()));
        Refused(await _world.Connect(other.Id.ToString(), certificate: unknown));
        Assert.Equal([strict.HubId, other.HubId], _world.Broker.Calls.OfType<Harness.RecordingBroker.Configured>().Select(call => call.HubId));
    }

    private static ConnectVerdict.Accepted Accepted(ConnectVerdict verdict) => Assert.IsType<ConnectVerdict.Accepted>(verdict);

    private static ConnectVerdict.Refused Refused(ConnectVerdict verdict) => Assert.IsType<ConnectVerdict.Refused>(verdict);

    private static void Says(ConnectVerdict verdict, ReasonCode reason, string objectType, Guid objectId, string text)
    {
        var refused = Refused(verdict);
        Assert.Equal(reason, refused.Reason);
        Assert.NotNull(refused.HubId);
        Assert.Equal(
            ("error", objectType, objectId.ToString(), text, World.PacketText),
            (refused.Event!.Severity, refused.Event.ObjectType, refused.Event.ObjectId, refused.Event.Message, refused.Event.Packet!));
    }
}
