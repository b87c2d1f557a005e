using System.Net;
using IotHub.EndToEnd.Clients;
using IotHub.EndToEnd.Support;
using IotHub.Harness;
using Xunit;

namespace IotHub.EndToEnd;

/// <summary>With the route's target down nothing is lost: it arrives after the target is back.</summary>
[Collection(HubCollection.Name)]
public sealed class RouteTargetDown(HubFixture fixture)
{
    /// <summary>Back-off between attempts is part of what is waited for.</summary>
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(90);

    [Fact]
    public async Task Messages_arrive_after_a_target_that_was_gone_is_back()
    {
        await using var target = await TestHttpServer.Start();
        await using var hub = await fixture.Api.NewHub();
        await using var clients = new MqttClients();
        await hub.NewRestRoute("#", target.Url);
        var network = await hub.NewNetwork("sigfox");
        var saying = await clients.OfNewDevice(hub);

        await target.GoDown();
        Assert.Equal(HttpStatusCode.OK, (await network.Post("t", "posted")).Status);
        await saying.Publish("t", "published", 1);
        Assert.Empty(target.Received);
        await target.ComeBack();

        await Eventually.True(() => target.Accepted.Count >= 2, Deadline, () => fixture.Local.Logs);
        Assert.Equal(["posted", "published"], target.Accepted.Select(call => call.Text).Distinct().Order());
    }

    [Fact]
    public async Task Messages_are_tried_again_while_the_target_answers_with_errors()
    {
        await using var target = await TestHttpServer.Start();
        await using var hub = await fixture.Api.NewHub();
        target.Answers(503);
        await hub.NewRestRoute("#", target.Url);
        var network = await hub.NewNetwork("sigfox");

        await network.Post("t", "first");
        await network.Post("t", "second");
        await Eventually.True(() => target.Received.Count >= 2, Deadline, () => fixture.Local.Logs);
        target.Answers(204);

        await Eventually.True(
            () => target.Accepted.Select(call => call.Text).Distinct().Count() == 2, Deadline, () => fixture.Local.Logs);
        Assert.Equal(["first", "second"], target.Accepted.Select(call => call.Text).Distinct().Order());
        var keys = target.Received.ToLookup(call => call.Text, call => call.Header("Idempotency-Key"));
        Assert.All(keys, ofOneMessage => Assert.Single(ofOneMessage.Distinct()));
        Assert.NotEqual(keys["first"].First(), keys["second"].First());
    }
}
