using IotHub.Core.Domain;
using IotHub.Core.Storage;
using Xunit;

namespace IotHub.Contract.Storage;

/// <summary>What every driver of the registry does with devices.</summary>
public abstract class DeviceContract
{
    protected abstract Task<Stores> NewStores();

    [Fact]
    public async Task A_device_is_found_by_id_name_and_certificate()
    {
        var (registry, hub) = await WithHub();
        var device = Samples.Device(hub.Id, fingerprint: "f1");
        await registry.CreateDevice(device);
        Assert.Equivalent(device, (await registry.GetDevice(device.Id))!.Value);
        Assert.Equivalent(device, await registry.FindDeviceByName(hub.Id, device.Name));
        Assert.Equivalent(device, await registry.FindDeviceByCertificate("f1"));
        Assert.Null(await registry.GetDevice(Guid.NewGuid()));
        Assert.Null(await registry.FindDeviceByName(Guid.NewGuid(), device.Name));
        Assert.Null(await registry.FindDeviceByCertificate("f2"));
        Assert.Null(await registry.FindDeviceByCertificate(""));
    }

    [Fact]
    public async Task A_name_is_taken_once_in_a_hub()
    {
        var (registry, hub) = await WithHub();
        var device = Samples.Device(hub.Id, "name");
        await registry.CreateDevice(device);
        var second = Samples.Device(hub.Id, "name", "f2");
        var refusal = await Assert.ThrowsAsync<AlreadyExistsException>(() => registry.CreateDevice(second));
        Assert.Equal((device.Id, "name"), (refusal.ResourceId, refusal.What));
        Assert.Null(await registry.GetDevice(second.Id));
        Assert.Equal(1, await DeviceCount(registry, hub));

        // What was refused holds nothing, neither its name nor its certificate.
        await registry.CreateDevice(Samples.Device(hub.Id, "other", "f2"));
    }

    [Fact]
    public async Task Several_devices_are_stored_at_once_or_none_of_them()
    {
        var (registry, hub) = await WithHub();
        var first = Enumerable.Range(0, IRegistry.DevicesAtOnce).Select(i => Samples.Device(hub.Id, $"d{i}", $"f{i}")).ToList();
        Assert.True(await registry.CreateDevices(hub.Id, first));
        Assert.Equal(first.Count, await DeviceCount(registry, hub));
        Assert.Equal(first[48].Id, (await registry.FindDeviceByName(hub.Id, "d48"))!.Id);
        Assert.Equal(first[7].Id, (await registry.FindDeviceByCertificate("f7"))!.Id);

        foreach (var taken in new[] { Samples.Device(hub.Id, "d3"), Samples.Device(hub.Id, "free", "f3") })
        {
            var other = Samples.Device(hub.Id, "other", "other");
            Assert.False(await registry.CreateDevices(hub.Id, [other, taken]));
            Assert.Null(await registry.GetDevice(other.Id));
            Assert.Null(await registry.FindDeviceByCertificate("other"));
            Assert.Equal(first.Count, await DeviceCount(registry, hub));
        }
        Assert.False(await registry.CreateDevices(hub.Id, [Samples.Device(hub.Id, "one", "same"), Samples.Device(hub.Id, "two", "same")]));
        Assert.Null(await registry.FindDeviceByCertificate("same"));
        Assert.True(await registry.CreateDevices(hub.Id, [Samples.Device(hub.Id, "other", "other"), Samples.Device(hub.Id, "free")]));
        await Assert.ThrowsAsync<MissingException>(() => registry.CreateDevices(Guid.NewGuid(), [Samples.Device(hub.Id, "x")]));
    }

    [Fact]
    public async Task A_hub_takes_as_many_devices_as_its_quota_and_no_more_however_they_come()
    {
        var (registry, other) = await WithHub();
        var hub = Samples.Hub() with { DeviceCount = Quotas.DevicesOfHub - 2 };
        await registry.CreateHub(hub);
        var moving = Samples.Device(other.Id, fingerprint: "moving");
        await registry.CreateDevice(moving);
        var many = Enumerable.Range(0, 3).Select(i => Samples.Device(hub.Id, $"d{i}", $"f{i}")).ToList();
        var refusal = await Assert.ThrowsAsync<HubFullException>(() => registry.CreateDevices(hub.Id, many));
        Assert.Equal((hub.Id, Quotas.DevicesOfHub - 2), (refusal.HubId, refusal.Devices));
        Assert.Null(await registry.GetDevice(many[0].Id));
        // All at the same time: two come in.
        var creations = many.Select(device => Record.ExceptionAsync(() => registry.CreateDevice(device))).ToList();
        Assert.IsType<HubFullException>(Assert.Single(await Task.WhenAll(creations), failure => failure is not null));
        Assert.Equal(Quotas.DevicesOfHub, await DeviceCount(registry, hub));

        var read = (await registry.GetDevice(moving.Id))!;
        await Assert.ThrowsAsync<HubFullException>(
            () => registry.ReplaceDevice(read with { Value = moving with { HubId = hub.Id } }));
        Assert.Equal(other.Id, (await registry.GetDevice(moving.Id))!.Value.HubId);
        Assert.Equal(Quotas.DevicesOfHub, await DeviceCount(registry, hub));

        // What was refused holds nothing, and a place that gets free is taken.
        var refused = Assert.Single(await Task.WhenAll(many.Select(async device => (device, await registry.GetDevice(device.Id)))), both => both.Item2 is null);
        await registry.DeleteDevice(many.First(device => device != refused.device).Id);
        await registry.CreateDevice(Samples.Device(hub.Id, refused.device.Name, refused.device.CertificateFingerprint));
        Assert.Equal(Quotas.DevicesOfHub, await DeviceCount(registry, hub));
    }

    [Fact]
    public async Task A_certificate_is_taken_once_in_all_hubs()
    {
        var (registry, hub) = await WithHub();
        var other = Samples.Hub();
        await registry.CreateHub(other);
        var device = Samples.Device(hub.Id, fingerprint: "f1");
        await registry.CreateDevice(device);
        var refusal = await Assert.ThrowsAsync<AlreadyExistsException>(
            () => registry.CreateDevice(Samples.Device(other.Id, fingerprint: "f1")));
        Assert.Equal((device.Id, "certificate"), (refusal.ResourceId, refusal.What));
        var second = Samples.Device(other.Id, fingerprint: "f2");
        await registry.CreateDevice(second);
        var read = (await registry.GetDevice(second.Id))!;
        await Assert.ThrowsAsync<AlreadyExistsException>(
            () => registry.ReplaceDevice(read with { Value = second with { CertificateFingerprint = "f1" } }));
        Assert.Equal(second.Id, (await registry.FindDeviceByCertificate("f2"))!.Id);
    }

    [Fact]
    public async Task Devices_without_a_certificate_do_not_collide()
    {
        var (registry, hub) = await WithHub();
        await registry.CreateDevice(Samples.Device(hub.Id));
        await registry.CreateDevice(Samples.Device(hub.Id));
        Assert.Equal(2, await DeviceCount(registry, hub));
    }

    [Fact]
    public async Task A_device_needs_a_hub()
    {
        var (registry, _) = await WithHub();
        var device = Samples.Device(Guid.NewGuid(), fingerprint: "f1");
        await Assert.ThrowsAsync<MissingException>(() => registry.CreateDevice(device));
        Assert.Null(await registry.GetDevice(device.Id));
    }

    [Fact]
    public async Task Devices_that_come_and_go_at_the_same_time_are_all_counted()
    {
        var (registry, hub) = await WithHub();
        var devices = Enumerable.Range(0, 20).Select(_ => Samples.Device(hub.Id)).ToList();
        await Task.WhenAll(devices.Select(device => registry.CreateDevice(device)));
        Assert.Equal(20, await DeviceCount(registry, hub));
        var deleted = await Task.WhenAll(devices.Take(12).Select(device => registry.DeleteDevice(device.Id)));
        Assert.All(deleted, Assert.True);
        Assert.Equal(8, await DeviceCount(registry, hub));
        var left = await registry.DevicesOfHub(hub.Id).ToList();
        Assert.Equivalent(devices.Skip(12).Select(device => device.Id), left.Select(device => device.Id));
    }

    [Fact]
    public async Task Of_creations_with_one_name_at_the_same_time_one_succeeds()
    {
        var (registry, hub) = await WithHub();
        var attempts = Enumerable.Range(0, 6).Select(_ => registry.CreateDevice(Samples.Device(hub.Id, "contested"))).ToList();
        await Task.WhenAll(attempts.Select(attempt => attempt.ContinueWith(_ => { }, TaskScheduler.Default)));
        Assert.Equal(1, attempts.Count(attempt => attempt.IsCompletedSuccessfully));
        Assert.All(
            attempts.Where(attempt => attempt.IsFaulted),
            attempt => Assert.IsType<AlreadyExistsException>(attempt.Exception!.InnerException));
        Assert.Equal(1, await DeviceCount(registry, hub));
    }

    [Fact]
    public async Task A_device_is_replaced_only_from_the_version_that_is_stored()
    {
        var (registry, hub) = await WithHub();
        var device = Samples.Device(hub.Id);
        await registry.CreateDevice(device);
        var read = (await registry.GetDevice(device.Id))!;
        var changed = await registry.ReplaceDevice(read with { Value = device with { Description = "changed" } });
        await Assert.ThrowsAsync<StaleVersionException>(
            () => registry.ReplaceDevice(read with { Value = device with { Description = "lost" } }));
        await registry.ReplaceDevice(changed with { Value = changed.Value with { AllowInsecure = false } });
        var stored = (await registry.GetDevice(device.Id))!.Value;
        Assert.Equal(("changed", false), (stored.Description, stored.AllowInsecure));
        var latest = (await registry.GetDevice(device.Id))!;
        await Assert.ThrowsAsync<ArgumentException>(() => registry.ReplaceDevice(latest with { Value = device with { Name = "other" } }));
        await registry.DeleteDevice(device.Id);
        await Assert.ThrowsAsync<MissingException>(() => registry.ReplaceDevice(changed));
    }

    [Fact]
    public async Task A_new_certificate_drops_the_old_one()
    {
        var (registry, hub) = await WithHub();
        var device = Samples.Device(hub.Id, fingerprint: "old");
        await registry.CreateDevice(device);
        var read = (await registry.GetDevice(device.Id))!;
        await registry.ReplaceDevice(read with { Value = device with { CertificateFingerprint = "new" } });
        Assert.Null(await registry.FindDeviceByCertificate("old"));
        Assert.Equal(device.Id, (await registry.FindDeviceByCertificate("new"))!.Id);
        await registry.CreateDevice(Samples.Device(hub.Id, fingerprint: "old"));
    }

    [Fact]
    public async Task A_device_moves_to_another_hub_with_its_certificate()
    {
        var (registry, from) = await WithHub();
        var to = Samples.Hub();
        await registry.CreateHub(to);
        var device = Samples.Device(from.Id, "mover", "f1");
        await registry.CreateDevice(device);
        var read = (await registry.GetDevice(device.Id))!;
        var moved = await registry.ReplaceDevice(read with { Value = device with { HubId = to.Id } });
        Assert.Equal(to.Id, (await registry.GetDevice(device.Id))!.Value.HubId);
        Assert.Equal(to.Id, (await registry.FindDeviceByCertificate("f1"))!.HubId);
        Assert.Null(await registry.FindDeviceByName(from.Id, "mover"));
        Assert.Equal(device.Id, (await registry.FindDeviceByName(to.Id, "mover"))!.Id);
        Assert.Empty(await registry.DevicesOfHub(from.Id).ToList());
        Assert.Equal((0, 1), (await DeviceCount(registry, from), await DeviceCount(registry, to)));
        await registry.ReplaceDevice(moved with { Value = moved.Value with { Description = "settled" } });
        Assert.Equal("settled", (await registry.GetDevice(device.Id))!.Value.Description);
        await registry.CreateDevice(Samples.Device(from.Id, "mover"));
    }

    [Fact]
    public async Task A_move_to_a_hub_where_the_name_is_taken_changes_nothing()
    {
        var (registry, from) = await WithHub();
        var to = Samples.Hub();
        await registry.CreateHub(to);
        var device = Samples.Device(from.Id, "name");
        await registry.CreateDevice(device);
        await registry.CreateDevice(Samples.Device(to.Id, "name"));
        var read = (await registry.GetDevice(device.Id))!;
        await Assert.ThrowsAsync<AlreadyExistsException>(() => registry.ReplaceDevice(read with { Value = device with { HubId = to.Id } }));
        var nowhere = read with { Value = device with { HubId = Guid.NewGuid() } };
        await Assert.ThrowsAsync<MissingException>(() => registry.ReplaceDevice(nowhere));
        Assert.Equal(from.Id, (await registry.GetDevice(device.Id))!.Value.HubId);
        Assert.Equal((1, 1), (await DeviceCount(registry, from), await DeviceCount(registry, to)));
        Assert.True(await registry.DeleteDevice(device.Id));
    }

    [Fact]
    public async Task A_deleted_device_is_gone_with_its_name_certificate_and_activity()
    {
        var (registry, hub) = await WithHub();
        var device = Samples.Device(hub.Id, "name", "f1");
        await registry.CreateDevice(device);
        await registry.RecordActivity([new DeviceActivity(hub.Id, device.Id, true, DateTimeOffset.UtcNow)]);
        Assert.True(await registry.DeleteDevice(device.Id));
        Assert.False(await registry.DeleteDevice(device.Id));
        Assert.Null(await registry.GetDevice(device.Id));
        Assert.Null(await registry.FindDeviceByName(hub.Id, "name"));
        Assert.Null(await registry.FindDeviceByCertificate("f1"));
        Assert.Equal(0, await DeviceCount(registry, hub));
        await registry.CreateDevice(Samples.Device(hub.Id, "name", "f1"));

        // A report that comes late leaves nothing behind.
        await registry.RecordActivity([new DeviceActivity(hub.Id, device.Id, true, DateTimeOffset.UtcNow)]);
        Assert.Empty(await registry.ActivityOfHub(hub.Id).ToList());
    }

    [Fact]
    public async Task The_newest_report_of_activity_wins()
    {
        var (registry, hub) = await WithHub();
        var (one, two) = (Samples.Device(hub.Id), Samples.Device(hub.Id));
        await registry.CreateDevice(one);
        await registry.CreateDevice(two);
        Assert.Equal(DeviceActivity.Never(hub.Id, one.Id), await registry.GetActivity(hub.Id, one.Id));
        var at = new DateTimeOffset(2026, 1, 2, 3, 4, 5, 678, TimeSpan.Zero);
        await registry.RecordActivity([new(hub.Id, one.Id, true, at), new(hub.Id, two.Id, true, at)]);
        Assert.Equal(2, await registry.CountConnected(hub.Id));
        await registry.RecordActivity([new(hub.Id, one.Id, false, at.AddSeconds(2)), new(hub.Id, one.Id, true, at.AddSeconds(1))]);
        await registry.RecordActivity([new(hub.Id, one.Id, true, at.AddSeconds(1))]);
        Assert.Equal(new DeviceActivity(hub.Id, one.Id, false, at.AddSeconds(2)), await registry.GetActivity(hub.Id, one.Id));
        Assert.Equal(1, await registry.CountConnected(hub.Id));
        Assert.Equal(2, (await registry.ActivityOfHub(hub.Id).ToList()).Count);
    }

    [Fact]
    public async Task A_device_with_the_largest_filters_comes_back_whole()
    {
        var (registry, hub) = await WithHub();
        List<string> topics =
            [new('a', 65_535), new('b', 65_535), new('c', 65_535), string.Concat(Enumerable.Repeat("😀é\"", 9_000))];
        var device = Samples.Device(hub.Id) with
        {
            Filters = new MessageFilters(new MessageFilterRule(MessageFilterPolicy.Accept, topics), MessageFilterRule.RejectNothing),
        };
        await registry.CreateDevice(device);
        Assert.Equal(topics, (await registry.GetDevice(device.Id))!.Value.Filters.Publish.Topics);
        Assert.Equal(topics, Assert.Single(await registry.DevicesOfHub(hub.Id).ToList()).Filters.Publish.Topics);
    }

    private static async Task<long> DeviceCount(IRegistry registry, Hub hub) => (await registry.GetHub(hub.Id))!.Value.DeviceCount;

    private async Task<(IRegistry Registry, Hub Hub)> WithHub()
    {
        var registry = (await NewStores()).Registry;
        var hub = Samples.Hub();
        await registry.CreateHub(hub);
        return (registry, hub);
    }
}
