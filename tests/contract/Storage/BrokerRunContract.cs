using IotHub.Core.Domain;
using IotHub.Core.Storage;
using Xunit;

namespace IotHub.Contract.Storage;

/// <summary>Whether a device is connected, when the broker that said so is gone without a word.</summary>
public abstract class BrokerRunContract
{
    private readonly ShiftedTime _time = new();

    protected abstract Task<Stores> NewStores(TimeProvider time);

    [Fact]
    public async Task A_broker_that_fell_silent_has_no_connected_devices()
    {
        var run = Guid.NewGuid();
        var (registry, device) = await Connected(run);
        await registry.RecordBroker("broker", run);
        await AssertConnected(registry, device, true);
        _time.Shift += TimeSpan.FromSeconds(50);
        await registry.RecordBroker("broker", run);
        _time.Shift += TimeSpan.FromSeconds(50);
        await AssertConnected(registry, device, true);
        _time.Shift += TimeSpan.FromSeconds(11);
        await AssertConnected(registry, device, false);
        Assert.Equal(_time.GetUtcNow().AddSeconds(-111), (await registry.GetActivity(device.HubId, device.Id)).LastActivityAt);
        await registry.RecordBroker("broker", run);
        _time.Shift += TimeSpan.FromSeconds(6);
        await AssertConnected(registry, device, true);
    }

    [Fact]
    public async Task A_new_run_of_a_broker_ends_the_one_before_and_not_those_of_others()
    {
        var (killed, next, other) = (Guid.NewGuid(), Guid.NewGuid(), Guid.NewGuid());
        var (registry, device) = await Connected(killed);
        await registry.RecordBroker("broker", killed);
        await registry.RecordBroker("other", other);
        await AssertConnected(registry, device, true);
        await registry.RecordBroker("broker", next);
        _time.Shift += TimeSpan.FromSeconds(6);
        await AssertConnected(registry, device, false);
        await registry.RecordActivity([new DeviceActivity(device.HubId, device.Id, true, _time.GetUtcNow(), other)]);
        await AssertConnected(registry, device, true);
    }

    [Fact]
    public async Task A_report_that_names_no_run_is_believed()
    {
        var (registry, device) = await Connected(null);
        await AssertConnected(registry, device, true);
    }

    private async Task<(IRegistry Registry, Device Device)> Connected(Guid? run)
    {
        var registry = (await NewStores(_time)).Registry;
        var hub = Samples.Hub();
        await registry.CreateHub(hub);
        var device = Samples.Device(hub.Id);
        await registry.CreateDevice(device);
        await registry.RecordActivity([new DeviceActivity(hub.Id, device.Id, true, _time.GetUtcNow(), run)]);
        return (registry, device);
    }

    private static async Task AssertConnected(IRegistry registry, Device device, bool isConnected)
    {
        Assert.Equal(isConnected, (await registry.GetActivity(device.HubId, device.Id)).IsConnected);
        Assert.Equal(isConnected, Assert.Single(await registry.ActivityOfHub(device.HubId).ToList()).IsConnected);
        Assert.Equal(isConnected ? 1 : 0, await registry.CountConnected(device.HubId));
    }
}

public sealed class MemoryBrokerRunTests : BrokerRunContract
{
    protected override Task<Stores> NewStores(TimeProvider time) => Task.FromResult(Stores.InMemory(time));
}

public sealed class TableBrokerRunTests : BrokerRunContract
{
    protected override async Task<Stores> NewStores(TimeProvider time) => Stores.InTables(await Stores.NewAccount(), time);
}
