using IotHub.Contract.Hosting;
using IotHub.Contract.Storage;
using IotHub.Core.Messages;
using IotHub.Core.Queues;
using IotHub.Core.Security;
using IotHub.Functions.Twins;
using IotHub.Harness;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace IotHub.Contract.Delivery;

/// <summary>Values of twins on their way to a Graphite target: what is tried again, and what is not.</summary>
public sealed class TwinPushTests
{
    [Theory]
    [InlineData(200, false)]
    [InlineData(204, false)]
    [InlineData(400, false)]
    [InlineData(401, false)]
    [InlineData(302, false)]
    [InlineData(408, true)]
    [InlineData(429, true)]
    [InlineData(500, true)]
    [InlineData(503, true)]
    public async Task A_target_that_says_not_now_is_asked_again_and_one_that_says_no_is_not(int status, bool again)
    {
        await using var functions = await TestFunctions.Start();
        await using var target = await TestHttpServer.Start();
        target.Answers(context =>
        {
            context.Response.StatusCode = status;
            context.Response.Headers.Location = "/elsewhere";
            return Task.CompletedTask;
        });
        await Push(functions, target.Url.AbsoluteUri);
        Assert.Equal("/", Assert.Single(target.Received).Target);
        var waiting = await Waiting(functions);
        Assert.Equal(again ? [1] : [], waiting.Select(envelope => envelope.Attempt));
    }

    [Fact]
    public async Task A_target_that_is_gone_is_given_up_after_the_last_attempt()
    {
        await using var functions = await TestFunctions.Start();
        var nobody = $"http://127.0.0.1:{FreePorts.Take()}/";
        await Push(functions, nobody, attempt: PushFunction.MaximumAttempts - 2);
        Assert.Equal(PushFunction.MaximumAttempts - 1, Assert.Single(await Waiting(functions)).Attempt);
        await Push(functions, nobody, attempt: PushFunction.MaximumAttempts - 1);
        Assert.Empty(await Waiting(functions));
    }

    [Fact]
    public async Task An_address_inside_our_network_is_not_reached()
    {
        await using var functions = await TestFunctions.Start(settings: settings => settings with { RouteAllowedNetworks = [] });
        await using var target = await TestHttpServer.Start();
        await Push(functions, target.Url.AbsoluteUri);
        Assert.Empty(target.Received);
        Assert.Empty(await Waiting(functions));
    }

    [Fact]
    public async Task Values_of_a_hub_without_a_target_are_dropped()
    {
        await using var functions = await TestFunctions.Start();
        await Push(functions, null);
        Assert.Empty(await Waiting(functions));
    }

    private static async Task Push(TestFunctions functions, string? uri, int attempt = 0)
    {
        var hub = Samples.Hub();
        hub = hub with
        {
            SealedTwinsGraphitePushUri = uri is null ? null : functions.Get<Sealer>().Seal(uri, SealPurposes.Graphite(hub.Id)),
        };
        await functions.Registry.CreateHub(hub);
        var envelope = new TwinPushEnvelope
        {
            HubId = hub.Id,
            TwinId = Guid.NewGuid(),
            DocumentName = "current",
            At = functions.Clock.GetUtcNow(),
            Attempt = attempt,
            Values = [new TwinValue("a.b", 1.5, new Dictionary<string, string>())],
        };
        await functions.Get<PushFunction>().Run(EnvelopeJson.Write(envelope), default);
    }

    private static async Task<List<TwinPushEnvelope>> Waiting(TestFunctions functions)
    {
        functions.Clock.Advance(TimeSpan.FromMinutes(10));
        var queue = functions.Get<IServiceProvider>().GetRequiredKeyedService<IMessageQueue>(StorageNames.TwinPushesQueue);
        var waiting = new List<TwinPushEnvelope>();
        foreach (var message in await queue.Receive(32, TimeSpan.FromDays(1)))
        {
            waiting.Add(EnvelopeJson.Read<TwinPushEnvelope>(message.Body!.Value.Span));
            await queue.Delete(message);
        }
        return waiting;
    }
}
