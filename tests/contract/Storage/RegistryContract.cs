using IotHub.Core.Domain;
using IotHub.Core.Storage;
using Xunit;

namespace IotHub.Contract.Storage;

/// <summary>What every driver of the registry does.</summary>
public abstract class RegistryContract
{
    protected abstract Task<Stores> NewStores();

    [Fact]
    public async Task A_hub_comes_back_as_it_was_stored()
    {
        var registry = (await NewStores()).Registry;
        var hub = Samples.Hub();
        await registry.CreateHub(hub);
        Assert.Equal(hub, (await registry.GetHub(hub.Id))!.Value);
        Assert.Null(await registry.GetHub(Guid.NewGuid()));
    }

    [Fact]
    public async Task A_hub_id_is_taken_once()
    {
        var registry = (await NewStores()).Registry;
        var hub = Samples.Hub();
        await registry.CreateHub(hub);
        await Assert.ThrowsAsync<AlreadyExistsException>(() => registry.CreateHub(hub with { Name = "other" }));
        Assert.Equal(hub.Name, (await registry.GetHub(hub.Id))!.Value.Name);
    }

    [Fact]
    public async Task Hubs_are_listed_by_project_and_by_organization()
    {
        var registry = (await NewStores()).Registry;
        var (organization, project) = (Guid.NewGuid(), Guid.NewGuid());
        var first = Samples.Hub(project, organization);
        var second = Samples.Hub(Guid.NewGuid(), organization);
        foreach (var hub in new[] { first, second, Samples.Hub() })
        {
            await registry.CreateHub(hub);
        }
        Assert.Equal([first], await registry.HubsOfProject(project).ToList());
        Assert.Equivalent(new[] { first.Id, second.Id }, (await registry.HubsOfOrganization(organization).ToList()).Select(hub => hub.Id));
        Assert.Empty(await registry.HubsOfProject(Guid.NewGuid()).ToList());
    }

    [Fact]
    public async Task A_hub_is_replaced_only_from_the_version_that_is_stored()
    {
        var registry = (await NewStores()).Registry;
        var hub = Samples.Hub();
        await registry.CreateHub(hub);
        var read = (await registry.GetHub(hub.Id))!;
        var renamed = await registry.ReplaceHub(read with { Value = hub with { Name = "renamed" } });
        await Assert.ThrowsAsync<StaleVersionException>(() => registry.ReplaceHub(read with { Value = hub with { Name = "lost" } }));
        Assert.Equal("renamed", (await registry.GetHub(hub.Id))!.Value.Name);

        // The version that a write returns is good for the next one.
        await registry.ReplaceHub(renamed with { Value = renamed.Value with { Name = "again" } });
        Assert.Equal("again", (await registry.GetHub(hub.Id))!.Value.Name);
        await Assert.ThrowsAsync<MissingException>(() => registry.ReplaceHub(read with { Value = Samples.Hub() }));
    }

    [Fact]
    public async Task A_deleted_hub_takes_all_its_belongings_along_and_only_those()
    {
        var registry = (await NewStores()).Registry;
        var (hub, other) = (Samples.Hub(), Samples.Hub());
        await registry.CreateHub(hub);
        await registry.CreateHub(other);
        var device = Samples.Device(hub.Id, "same name", "cert-of-" + hub.Id);
        var stays = Samples.Device(other.Id, "same name", "cert-of-" + other.Id);
        var (network, route) = (Samples.Network(hub.Id), Samples.Route(hub.Id));
        await registry.CreateDevice(device);
        await registry.CreateDevice(stays);
        await registry.CreateNetwork(network);
        await registry.CreateRoute(route);
        await registry.RecordActivity([new DeviceActivity(hub.Id, device.Id, true, DateTimeOffset.UtcNow)]);

        await registry.DeleteHub(hub.Id);
        await registry.DeleteHub(hub.Id);

        Assert.Null(await registry.GetHub(hub.Id));
        Assert.Empty(await registry.HubsOfProject(hub.ProjectId).ToList());
        Assert.Empty(await registry.HubsOfOrganization(hub.OrganizationId).ToList());
        Assert.Null(await registry.GetDevice(device.Id));
        Assert.Null(await registry.FindDeviceByName(hub.Id, device.Name));
        Assert.Null(await registry.FindDeviceByCertificate(device.CertificateFingerprint));
        Assert.Empty(await registry.DevicesOfHub(hub.Id).ToList());
        Assert.Empty(await registry.ActivityOfHub(hub.Id).ToList());
        Assert.Null(await registry.GetNetwork(network.Id));
        Assert.Null(await registry.GetRoute(route.Id));
        Assert.Equal(stays.Id, (await registry.FindDeviceByCertificate(stays.CertificateFingerprint))!.Id);
        Assert.Equal(1, (await registry.GetHub(other.Id))!.Value.DeviceCount);
    }

    [Fact]
    public async Task Nothing_joins_a_hub_that_is_being_deleted()
    {
        var registry = (await NewStores()).Registry;
        var hub = Samples.Hub();
        await registry.CreateHub(hub);
        var read = (await registry.GetHub(hub.Id))!;
        await registry.ReplaceHub(read with { Value = read.Value with { Deleting = true } });
        await Assert.ThrowsAsync<MissingException>(() => registry.CreateDevice(Samples.Device(hub.Id)));
        await Assert.ThrowsAsync<MissingException>(() => registry.CreateNetwork(Samples.Network(hub.Id)));
        await Assert.ThrowsAsync<MissingException>(() => registry.CreateRoute(Samples.Route(hub.Id)));
        await registry.DeleteHub(hub.Id);
        Assert.Null(await registry.GetHub(hub.Id));
    }

    [Fact]
    public async Task Networks_are_stored_listed_and_deleted()
    {
        var registry = (await NewStores()).Registry;
        var hub = Samples.Hub();
        await registry.CreateHub(hub);
        var (first, second) = (Samples.Network(hub.Id), Samples.Network(hub.Id));
        await registry.CreateNetwork(first);
        await registry.CreateNetwork(second);
        Assert.Equal(first, await registry.GetNetwork(first.Id));
        Assert.Equivalent(new[] { first.Id, second.Id }, (await registry.NetworksOfHub(hub.Id).ToList()).Select(network => network.Id));
        await Assert.ThrowsAsync<AlreadyExistsException>(() => registry.CreateNetwork(first));
        Assert.True(await registry.DeleteNetwork(first.Id));
        Assert.False(await registry.DeleteNetwork(first.Id));
        Assert.Null(await registry.GetNetwork(first.Id));
        Assert.Equal([second], await registry.NetworksOfHub(hub.Id).ToList());
        await Assert.ThrowsAsync<MissingException>(() => registry.CreateNetwork(Samples.Network(Guid.NewGuid())));
    }

    [Fact]
    public async Task Routes_are_stored_replaced_listed_and_deleted()
    {
        var registry = (await NewStores()).Registry;
        var hub = Samples.Hub();
        await registry.CreateHub(hub);
        var database = Samples.Route(hub.Id);
        var rest = Samples.Route(hub.Id) with
        {
            Database = null,
            Rest = new RestRouteConfig(RestVerb.Put, "http://example.com", new Dictionary<string, string> { ["X-A"] = "b" }),
        };
        await registry.CreateRoute(database);
        await registry.CreateRoute(rest);
        Assert.Equal(database, (await registry.GetRoute(database.Id))!.Value);
        Assert.Equivalent(rest, (await registry.GetRoute(rest.Id))!.Value);
        Assert.Equal(2, (await registry.RoutesOfHub(hub.Id).ToList()).Count);

        var read = (await registry.GetRoute(database.Id))!;
        await registry.ReplaceRoute(read with { Value = database with { Name = "renamed" } });
        await Assert.ThrowsAsync<StaleVersionException>(() => registry.ReplaceRoute(read with { Value = database with { Name = "lost" } }));
        Assert.Equal("renamed", (await registry.GetRoute(database.Id))!.Value.Name);

        Assert.True(await registry.DeleteRoute(database.Id));
        Assert.False(await registry.DeleteRoute(database.Id));
        await Assert.ThrowsAsync<MissingException>(() => registry.ReplaceRoute(read));
        await Assert.ThrowsAsync<MissingException>(() => registry.CreateRoute(Samples.Route(Guid.NewGuid())));
    }

    [Fact]
    public async Task Every_write_is_in_the_change_feed_before_it_is_in_the_registry()
    {
        var stores = await NewStores();
        var start = DateTimeOffset.UtcNow.AddMinutes(-1);
        var hub = Samples.Hub();
        await stores.Registry.CreateHub(hub);
        var device = Samples.Device(hub.Id);
        await stores.Registry.CreateDevice(device);
        var stored = await stores.Registry.ReplaceDevice((await stores.Registry.GetDevice(device.Id))!);
        var (network, route) = (Samples.Network(hub.Id), Samples.Route(hub.Id));
        await stores.Registry.CreateNetwork(network);
        await stores.Registry.CreateRoute(route);
        await stores.Registry.ReplaceRoute((await stores.Registry.GetRoute(route.Id))!);
        await stores.Registry.DeleteRoute(route.Id);
        await stores.Registry.DeleteNetwork(network.Id);
        await stores.Registry.DeleteDevice(device.Id);
        await stores.Registry.ReplaceHub((await stores.Registry.GetHub(hub.Id))!);
        await stores.Registry.DeleteHub(hub.Id);

        (ChangedKind, Guid)[] expected =
        [
            (ChangedKind.Hub, hub.Id), (ChangedKind.Device, device.Id), (ChangedKind.Device, stored.Value.Id),
            (ChangedKind.Network, network.Id), (ChangedKind.Route, route.Id), (ChangedKind.Route, route.Id),
            (ChangedKind.Route, route.Id), (ChangedKind.Network, network.Id), (ChangedKind.Device, device.Id),
            (ChangedKind.Hub, hub.Id), (ChangedKind.Hub, hub.Id),
        ];
        var changes = await stores.Changes.ReadSince(start);
        Assert.Equal(expected, changes.Select(change => (change.Kind, change.Id)));
        Assert.All(changes, change => Assert.Equal(hub.Id, change.HubId));
    }
}
