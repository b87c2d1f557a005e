using IotHub.Broker.Auth;
using IotHub.Broker.Bridge;
using IotHub.Broker.Protocol;
using IotHub.Core.Domain;
using IotHub.Core.Storage;
using IotHub.Harness;
using IotHub.Unit.Auth;
using Xunit;

namespace IotHub.Unit.Bridge;

/// <summary>A change of the registry reaches live connections, with the event texts of the reference, whoever notices it first.</summary>
public sealed class ChangeFeedTests
{
    private readonly World _world = new();

    [Fact]
    public async Task A_disabled_device_is_cut_off()
    {
        var device = await ConnectedDevice();
        await _world.Change(device, d => d with { Status = DeviceStatus.Disabled });
        await _world.Follow();
        var ended = Ended(device, "device is not enabled");
        Assert.Equal((ReasonCode.AdministrativeAction, false), (ended.Reason, ended.DropSessions));
    }

    [Fact]
    public async Task A_deleted_device_is_cut_off_and_its_sessions_go()
    {
        var device = await ConnectedDevice();
        await _world.Registry.DeleteDevice(device.Id);
        await _world.Follow();
        Assert.True(Ended(device, "device is deleted").DropSessions);
    }

    [Fact]
    public async Task A_deleted_device_that_nobody_remembers_loses_its_sessions_too()
    {
        var hub = await _world.AddHub();
        var device = await _world.AddDevice(hub);
        await _world.Registry.DeleteDevice(device.Id);
        await _world.Follow();
        Assert.True(Ended(device, "device is deleted").DropSessions);
    }

    [Fact]
    public async Task A_new_certificate_asks_for_authentication()
    {
        var device = await ConnectedDevice();
        await _world.Change(device, d => d with { CertificateFingerprint = new string('a', 64) });
        await _world.Follow();
        var ended = Ended(device, "device security has changed, requires authentication");
        Assert.Equal((ReasonCode.NotAuthorized, false, false), (ended.Reason, ended.DropSessions, ended.ExceptCertified));
    }

    [Fact]
    public async Task Tightened_security_spares_connections_with_a_certificate()
    {
        var device = await ConnectedDevice();
        await _world.Change(device, d => d with { AllowInsecure = false });
        await _world.Follow();
        Assert.True(Ended(device, "device security has changed, requires authentication").ExceptCertified);
    }

    [Fact]
    public async Task Loosened_security_ends_nothing()
    {
        var device = await ConnectedDevice(d => d with { Description = "x" });
        await _world.Change(device, d => d with { AllowMultipleConnections = true, Description = "y" });
        await _world.Follow();
        Assert.DoesNotContain(_world.Broker.Calls, call => call is RecordingBroker.DeviceEnded or RecordingBroker.HubEnded);
    }

    [Fact]
    public async Task A_device_that_may_no_longer_connect_twice_starts_anew()
    {
        var device = await ConnectedDevice(d => d with { AllowMultipleConnections = true });
        await _world.Change(device, d => d with { AllowMultipleConnections = false });
        await _world.Follow();
        Assert.True(Ended(device, "device security has changed, requires authentication").DropSessions);
    }

    [Fact]
    public async Task A_moved_device_leaves_its_old_hub()
    {
        var device = await ConnectedDevice();
        var other = await _world.AddHub();
        await _world.Change(device, d => d with { HubId = other.Id });
        await _world.Follow();
        var ended = Assert.Single(_world.Broker.Calls.OfType<RecordingBroker.DeviceEnded>());
        Assert.Equal((device.HubId, device.Id, true), (ended.HubId, ended.DeviceId, ended.DropSessions));
    }

    [Fact]
    public async Task Changed_filters_swap_the_rights_and_end_nothing()
    {
        var device = await ConnectedDevice();
        var filters = new MessageFilters(new MessageFilterRule(MessageFilterPolicy.Accept, ["{{ device.name }}/#"]), MessageFilterRule.RejectNothing);
        await _world.Change(device, d => d with { Filters = filters });
        await _world.Follow();
        var swapped = Assert.IsType<RecordingBroker.RightsSwapped>(Assert.Single(_world.Broker.Calls));
        Assert.Equal((device.HubId, device.Id), (swapped.HubId, swapped.DeviceId));
        Assert.True(swapped.Rights.MayPublish($"{device.Name}/x"));
        Assert.False(swapped.Rights.MayPublish("other"));
    }

    [Fact]
    public async Task A_disabled_hub_drops_its_clients()
    {
        var device = await ConnectedDevice();
        await Change(device.HubId, h => h with { Enabled = false });
        var ended = HubEnded(device.HubId, "hub is not ready");
        Assert.Equal((ReasonCode.AdministrativeAction, false), (ended.Reason, ended.DropEverything));
    }

    [Fact]
    public async Task A_deleted_hub_drops_everything()
    {
        var device = await ConnectedDevice();
        await _world.Registry.DeleteDevice(device.Id);
        await _world.Registry.DeleteHub(device.HubId);
        await _world.Follow();
        Assert.True(HubEnded(device.HubId, "hub is deleted").DropEverything);
    }

    [Fact]
    public async Task A_deleted_hub_that_nobody_remembers_drops_everything_too()
    {
        var hub = await _world.AddHub();
        await _world.Registry.DeleteHub(hub.Id);
        await _world.Follow();
        Assert.True(HubEnded(hub.Id, "hub is deleted").DropEverything);
    }

    [Fact]
    public async Task A_changed_plan_makes_clients_connect_again()
    {
        var device = await ConnectedDevice();
        await Change(device.HubId, h => h with { Plan = ProductPlan.PlanShared });
        Assert.False(HubEnded(device.HubId, "hub product plan has changed").DropEverything);
    }

    [Fact]
    public async Task A_replaced_authority_makes_clients_connect_again()
    {
        var device = await ConnectedDevice();
        await Change(device.HubId, h => h with { CaCertificatePem = "authority two" });
        HubEnded(device.HubId, "device security has changed, requires authentication");
    }

    [Fact]
    public async Task A_renamed_hub_fills_its_new_name_into_filters()
    {
        var rule = new MessageFilterRule(MessageFilterPolicy.Accept, ["{{ hub.name }}/#"]);
        var device = await ConnectedDevice(d => d with { Filters = new MessageFilters(rule, rule) });
        await Change(device.HubId, h => h with { Name = "Other" });
        var swapped = Assert.Single(_world.Broker.Calls.OfType<RecordingBroker.RightsSwapped>());
        Assert.True(swapped.Rights.MayPublish("Other/x"));
    }

    [Fact]
    public async Task Routes_and_event_settings_are_told_when_they_change_and_only_then()
    {
        var device = await ConnectedDevice();
        var hub = (await _world.Registry.GetHub(device.HubId))!.Value;
        var route = Guid.NewGuid();
        await _world.AddRoute(hub, route, "a/+");
        await _world.Follow();
        await _world.Registry.DeleteRoute(route);
        await _world.Follow();
        await Change(hub.Id, h => h with { DisableEvents = true });
        await Change(hub.Id, h => h with { DeviceCount = 7 });
        var told = _world.Broker.Calls.Cast<RecordingBroker.Configured>().Select(c => (c.Settings.EventsTopicPrefix, c.Settings.Routes.Count));
        Assert.Equal([("$SCW/events", 1), ("$SCW/events", 0), (null, 0)], told);
    }

    [Fact]
    public async Task A_hub_that_has_no_clients_here_is_not_configured()
    {
        var hub = await _world.AddHub();
        await _world.AddRoute(hub, Guid.NewGuid(), "#");
        await _world.Follow();
        Assert.Empty(_world.Broker.Calls);
    }

    [Fact]
    public async Task A_change_that_another_connection_finds_first_is_carried_out_all_the_same()
    {
        var device = await ConnectedDevice(d => d with { AllowInsecure = true });
        await _world.Change(device, d => d with { CertificateFingerprint = new string('b', 64) });
        using var wrong = _world.NewCertificate();
        await _world.Connect(device.Id.ToString(), certificate: wrong);
        Ended(device, "device security has changed, requires authentication");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(60)]
    public async Task A_writer_that_is_slow_is_noticed_after(int seconds)
    {
        var device = await ConnectedDevice();
        await _world.Changes.Append(device.HubId, ChangedKind.Device, device.Id);
        await _world.Follow();
        foreach (var earlier in new[] { 1, 5, 60 }.Where(s => s < seconds))
        {
            _world.Clock.Advance(_world.Clock.GetUtcNow() < Start + TimeSpan.FromSeconds(earlier) ? TimeSpan.FromSeconds(earlier) : default);
            await _world.Feed.Look(default);
        }
        await WriteWithoutAnnouncing(device, d => d with { Status = DeviceStatus.Disabled });
        _world.Clock.Advance(Start + TimeSpan.FromSeconds(seconds) - _world.Clock.GetUtcNow());
        await _world.Feed.Look(default);
        Ended(device, "device is not enabled");
    }

    [Fact]
    public async Task After_the_last_look_nothing_is_pending()
    {
        await ConnectedDevice();
        for (var second = 0; second <= 61; second++)
        {
            await _world.Follow();
            _world.Clock.Advance(TimeSpan.FromSeconds(1));
        }
        Assert.Equal(0, _world.Feed.PendingLooks);
    }

    [Fact]
    public async Task A_look_that_fails_is_repeated_until_it_succeeds()
    {
        var device = await ConnectedDevice();
        await _world.Change(device, d => d with { Status = DeviceStatus.Disabled });
        _world.Registry.Fails = true;
        for (var i = 0; i < 5; i++)
        {
            await _world.Follow();
            _world.Clock.Advance(_world.Limits.FeedInterval);
        }
        Assert.Empty(_world.Broker.Calls);
        _world.Registry.Fails = false;
        await _world.Follow();
        Ended(device, "device is not enabled");
    }

    [Fact]
    public async Task Changes_that_cannot_be_looked_at_for_long_put_new_connections_off()
    {
        var device = await ConnectedDevice();
        await _world.Change(device, d => d with { Description = "x" });
        _world.Registry.Fails = true;
        for (var i = 0; i < 30; i++)
        {
            await _world.Follow();
            _world.Clock.Advance(TimeSpan.FromSeconds(1));
        }
        Assert.False(_world.Directory.IsCurrent);
        _world.Registry.Fails = false;
        await _world.Follow();
        await _world.Follow();
        Assert.True(_world.Directory.IsCurrent);
    }

    [Fact]
    public async Task A_nudge_is_looked_at_without_reading_the_feed()
    {
        var device = await ConnectedDevice();
        await _world.Change(device, d => d with { Status = DeviceStatus.Disabled });
        _world.Feed.Nudge(device.HubId, ChangedKind.Device, device.Id);
        await _world.Feed.Look(default);
        Ended(device, "device is not enabled");
    }

    [Fact]
    public async Task A_change_written_by_a_clock_that_is_behind_is_found()
    {
        var device = await ConnectedDevice();
        for (var i = 0; i < 40; i++)
        {
            await _world.Follow();
            _world.Clock.Advance(TimeSpan.FromSeconds(1));
        }
        var late = new LateFeed(_world.Changes) { Behind = _world.Limits.FeedClockSkew - TimeSpan.FromSeconds(1) };
        var feed = new ChangeFeed(late, _world.Directory, _world.Clock, _world.Limits, Logging.None<ChangeFeed>());
        await feed.Poll(default);
        _world.Clock.Advance(TimeSpan.FromMilliseconds(500));
        await WriteWithoutAnnouncing(device, d => d with { Status = DeviceStatus.Disabled });
        await late.Append(device.HubId, ChangedKind.Device, device.Id);
        await feed.Poll(default);
        await feed.Look(default);
        Ended(device, "device is not enabled");
    }

    [Fact]
    public async Task A_reading_that_began_before_the_change_is_not_remembered()
    {
        var device = await _world.AddDevice(await _world.AddHub());
        var release = _world.Registry.Hold();
        var connecting = _world.Connect(device.Id.ToString());
        await Eventually.True(() => _world.Registry.Reads == 1);
        _world.Registry.Pass = true;
        await WriteWithoutAnnouncing(device, d => d with { Status = DeviceStatus.Disabled });
        var looking = _world.Directory.LookAgain(device.HubId, ChangedKind.Device, device.Id, default);
        release();
        await looking;
        Assert.IsType<ConnectVerdict.Refused>(await connecting);
    }

    [Fact]
    public async Task A_device_that_connects_while_its_own_making_is_looked_at_is_left_alone()
    {
        var device = await _world.AddDevice(await _world.AddHub());
        var release = _world.Registry.Hold();
        var looking = _world.Directory.LookAgain(device.HubId, ChangedKind.Device, device.Id, default);
        await Eventually.True(() => _world.Registry.Reads == 1);
        _world.Registry.Pass = true;
        Assert.IsType<ConnectVerdict.Accepted>(await _world.Connect("mine", device.Id.ToString()));
        release();
        await looking;
        Assert.DoesNotContain(_world.Broker.Calls, call => call is RecordingBroker.DeviceEnded);
    }

    [Fact]
    public async Task Running_it_takes_changes_within_a_second_of_its_clock_and_nudges_at_once()
    {
        var device = await ConnectedDevice();
        using var stop = new CancellationTokenSource();
        var running = _world.Feed.Run(stop.Token);
        await Eventually.True(() => _world.Clock.Timers >= 2);
        await _world.Change(device, d => d with { AllowInsecure = false });
        _world.Clock.Advance(TimeSpan.FromSeconds(1));
        await Eventually.True(() => _world.Broker.Calls.OfType<RecordingBroker.DeviceEnded>().Any(call => call.ExceptCertified));
        await WriteWithoutAnnouncing(device, d => d with { Status = DeviceStatus.Disabled });
        _world.Feed.Nudge(device.HubId, ChangedKind.Device, device.Id);
        await Eventually.True(() => _world.Broker.Calls.OfType<RecordingBroker.DeviceEnded>().Any(
            call => call.Because!.Message == "device is not enabled"));
        await stop.CancelAsync();
        await running;
    }

    private static DateTimeOffset Start => new ManualTime().GetUtcNow();

    private async Task<Device> ConnectedDevice(Func<Device, Device>? with = null)
    {
        var device = await _world.AddDevice(await _world.AddHub(), with);
        Assert.IsType<ConnectVerdict.Accepted>(await _world.Connect("mine", device.Id.ToString()));
        _world.Broker.Connected[device.HubId] = [device.Id];
        _world.Broker.Forget();
        return device;
    }

    private async Task Change(Guid hubId, Func<Hub, Hub> with)
    {
        await _world.Change((await _world.Registry.GetHub(hubId))!.Value, with);
        await _world.Follow();
    }

    private async Task WriteWithoutAnnouncing(Device device, Func<Device, Device> with)
    {
        _world.Changes.Swallows = true;
        await _world.Change(device, with);
        _world.Changes.Swallows = false;
    }

    private RecordingBroker.DeviceEnded Ended(Device device, string because)
    {
        // It may be told again at each look, always the same.
        var ended = Assert.Single(_world.Broker.Calls.OfType<RecordingBroker.DeviceEnded>().DistinctBy(call => call with { Because = null }));
        Assert.Equal((device.HubId, device.Id), (ended.HubId, ended.DeviceId));
        Assert.Equal(("device", device.Id.ToString(), because), (ended.Because!.ObjectType, ended.Because.ObjectId, ended.Because.Message));
        return ended;
    }

    private RecordingBroker.HubEnded HubEnded(Guid hubId, string because)
    {
        var ended = Assert.Single(_world.Broker.Calls.OfType<RecordingBroker.HubEnded>());
        Assert.Equal((hubId, "hub", hubId.ToString(), because), (ended.HubId, ended.Because!.ObjectType, ended.Because.ObjectId, ended.Because.Message));
        return ended;
    }
}
