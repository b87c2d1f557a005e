using IotHub.Broker.Bridge;
using IotHub.Harness;
using IotHub.Unit.Auth;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace IotHub.Unit.Bridge;

/// <summary>What came from the broker's log is looked up in the registry after a start.</summary>
public sealed class RestoredSessionsTests
{
    private readonly World _world = new();

    [Fact]
    public async Task What_is_gone_goes_and_what_is_there_gets_its_rights()
    {
        var hub = await _world.AddHub();
        var there = await _world.AddDevice(hub);
        var (gone, goneHub) = (Guid.NewGuid(), Guid.NewGuid());
        await LookUp(new() { [hub.Id] = [there.Id, gone], [goneHub] = [] });
        var calls = _world.Broker.Calls;
        Assert.Contains(calls, c => c is RecordingBroker.Configured && c.HubId == hub.Id);
        Assert.Equal(there.Id, Assert.Single(calls.OfType<RecordingBroker.RightsSwapped>()).DeviceId);
        var ended = Assert.Single(calls.OfType<RecordingBroker.DeviceEnded>());
        Assert.Equal((gone, true, null), (ended.DeviceId, ended.DropSessions, ended.Because));
        Assert.Equal((goneHub, true), Assert.Single(calls.OfType<RecordingBroker.HubEnded>().Select(e => (e.HubId, e.DropEverything))));
    }

    [Fact]
    public async Task A_device_of_another_hub_is_no_longer_this_hubs()
    {
        var (hub, other) = (await _world.AddHub(), await _world.AddHub());
        var moved = await _world.AddDevice(other);
        await LookUp(new() { [hub.Id] = [moved.Id] });
        Assert.True(Assert.Single(_world.Broker.Calls.OfType<RecordingBroker.DeviceEnded>()).DropSessions);
    }

    [Fact]
    public async Task A_registry_that_does_not_answer_ends_nothing_and_is_asked_again()
    {
        var hub = await _world.AddHub();
        var device = await _world.AddDevice(hub);
        _world.Registry.Fails = true;
        var looking = LookUp(new() { [hub.Id] = [device.Id] });
        await Eventually.True(() => _world.Clock.Timers > 0);
        Assert.Empty(_world.Broker.Calls.OfType<RecordingBroker.HubEnded>());
        _world.Registry.Fails = false;
        await Eventually.True(() =>
        {
            _world.Clock.Advance(TimeSpan.FromSeconds(30));
            return looking.IsCompleted;
        });
        await looking;
        Assert.Single(_world.Broker.Calls.OfType<RecordingBroker.RightsSwapped>());
    }

    private Task LookUp(Dictionary<Guid, IReadOnlyList<Guid>> restored) =>
        new RestoredSessions(_world.Directory, _world.Broker, _world.Limits, _world.Clock, NullLogger.Instance)
            .LookUp(restored, CancellationToken.None);
}
