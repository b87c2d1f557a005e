using IotHub.Broker;
using IotHub.Broker.Auth;
using IotHub.Broker.Bridge;
using IotHub.Broker.Durability;
using IotHub.Broker.Sessions;
using IotHub.Core.Messages;
using IotHub.Harness;
using IotHub.Harness.Mqtt;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace IotHub.Unit.Sessions;

/// <summary>Damage inside one shard: its hubs are not served until the operator decides, the others are.</summary>
public sealed class DamagedShardTests : IDisposable
{
    private readonly TempFolder _folder = new("shards");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Hubs_of_the_damaged_shard_are_refused_and_those_of_others_are_served_until_it_is_repaired()
    {
        var (first, second) = TwoHubsApart();
        await Run(async broker =>
        {
            foreach (var hub in new[] { first, second })
            {
                var client = Connect(broker, hub, cleanStart: true);
                client.Send(Packet.Subscribe(1, true, 0, ("t", 1)));
                await Eventually.True(() => client.TakeStory() is [.., "SUBACK #1 01"] or ["SUBACK #1 01"]);
                client.Disconnect();
            }
        });
        Damage(new MqttBroker(new BrokerLimits(), new HubByName(), new NullBridge(), TimeProvider.System, 4).LaneOf(first).Index);
        await Run(async broker =>
        {
            Assert.Contains(" is damaged at offset ", broker.LaneOf(first).Damage, StringComparison.Ordinal);
            Assert.Equal(["CONNACK new 88"], Connect(broker, first, cleanStart: false).TakeStory());
            var message = new DeviceMessage(Guid.NewGuid(), "t", new byte[1], false, DateTimeOffset.UnixEpoch);
            Assert.Equal(IngestOutcome.BufferFull, await broker.Publish(first, message, null, CancellationToken.None));
            var served = Connect(broker, second, cleanStart: false);
            await Eventually.True(() => served.TakeStory() is ["CONNACK present"]);
        });
        var said = new StringWriter();
        Assert.Equal(1, RepairCommand.Run(["--data", _folder.Path], said, said));
        Assert.Equal(0, RepairCommand.Run(["--data", _folder.Path, "--apply"], said, said));
        await Run(async broker =>
        {
            Assert.Null(broker.LaneOf(first).Damage);
            var back = Connect(broker, first, cleanStart: false);
            await Eventually.True(() => back.TakeStory() is [var connAck] && connAck.StartsWith("CONNACK ", StringComparison.Ordinal));
        });
    }

    private async Task Run(Func<MqttBroker, Task> step)
    {
        var store = BrokerStore.Open(_folder.Path, shardsWhenCreated: 4);
        var broker = new MqttBroker(new BrokerLimits(), new HubByName(), new NullBridge(), TimeProvider.System, store.Shards);
        using var logs = LaneLogs.Open(broker, store, new LogOptions(), NullLogger.Instance);
        await step(broker);
    }

    private static MemoryClient Connect(MqttBroker broker, Guid hub, bool cleanStart)
    {
        var client = MemoryClient.Open(broker);
        client.Keeps = true;
        client.Send(Packet.Connect(new ConnectOptions { ClientId = $"{hub}", CleanStart = cleanStart, Properties = Packet.Property(0x11, 600u) }));
        return client;
    }

    private static (Guid First, Guid Second) TwoHubsApart()
    {
        var broker = new MqttBroker(new BrokerLimits(), new HubByName(), new NullBridge(), TimeProvider.System, 4);
        var hubs = Enumerable.Range(1, 20).Select(i => new Guid(i, 0, 0, new byte[8])).ToList();
        return (hubs[0], hubs.First(h => broker.LaneOf(h) != broker.LaneOf(hubs[0])));
    }

    /// <summary>One bit in the first record of the shard, which whole ones follow.</summary>
    private void Damage(int shard)
    {
        var file = Directory.EnumerateFiles(_folder.Combine($"shard-{shard:D2}"), "*.log").Order().First();
        var bytes = File.ReadAllBytes(file);
        bytes[64 + 48 + 10] ^= 1;
        File.WriteAllBytes(file, bytes);
    }

    /// <summary>The client id names the hub.</summary>
    private sealed class HubByName : IAuthenticator
    {
        public ValueTask<ConnectVerdict> Authenticate(ConnectAttempt attempt, CancellationToken cancel) => ValueTask.FromResult<ConnectVerdict>(
            new ConnectVerdict.Accepted(Guid.Parse(attempt.ClientId), AnonymousAuthenticator.DeviceId, attempt.ClientId, Rights.All));
    }
}
