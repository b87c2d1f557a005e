using IotHub.Broker.Auth;
using IotHub.Broker.Telemetry;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Unit.Telemetry;

public sealed class SysTopicsTests
{
    [Fact]
    public async Task Figures_are_retained_under_SYS_and_nobody_else_may_write_there()
    {
        await using var broker = TestBroker.Start();
        using var stop = new CancellationTokenSource();
        var running = new SysTopics(broker.Broker, AnonymousAuthenticator.HubId, TimeProvider.System).Run(TimeSpan.FromHours(1), stop.Token);
        await using var client = await broker.Connect("reader");
        await client.Subscribe("$SYS/broker/subscriptions/count", 0);
        var figure = await client.NextPublish();
        Assert.Equal(("0", true), (figure.Payload, figure.Retain));
        await client.Send(Packet.Publish("$SYS/broker/subscriptions/count", "forged", 1, 1));
        Assert.Equal(0x87, (await client.Next())[4]);
        await client.ExpectNothing();
        await stop.CancelAsync();
        await running;
    }

    [Fact]
    public async Task A_wildcard_does_not_see_them()
    {
        await using var broker = TestBroker.Start();
        await using var client = await broker.Connect("reader");
        await client.Subscribe("#", 0);
        broker.Broker.PublishText(AnonymousAuthenticator.HubId, "$SYS/broker/uptime", [49], retain: true);
        await client.ExpectNothing();
    }
}
