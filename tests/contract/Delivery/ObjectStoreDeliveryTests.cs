using System.Text;
using IotHub.Contract.Hosting;
using IotHub.Core.Domain;
using Xunit;

namespace IotHub.Contract.Delivery;

/// <summary>Object storage routes: which objects, with what in them, whatever is repeated or comes late.</summary>
public sealed class ObjectStoreDeliveryTests
{
    private static Task<Route> S3Route(TestFunctions functions, Guid hubId, S3Strategy strategy, string prefix = "iot/messages", string bucket = "my-bucket") =>
        functions.NewRoute(hubId, route => route with { S3 = new S3RouteConfig("fr-par", bucket, prefix, strategy) });

    private static async Task<string> Read(TestFunctions functions, string key) =>
        Encoding.UTF8.GetString((await functions.Objects.Read("my-bucket", key))!);

    [Fact]
    public async Task Per_topic_keeps_the_newest_message_under_the_topic()
    {
        await using var functions = await TestFunctions.Start();
        var route = await S3Route(functions, (await functions.NewHub()).Id, S3Strategy.PerTopic);
        var first = functions.Message("hello/world", "first");
        functions.Clock.Advance(TimeSpan.FromSeconds(1));
        var second = functions.Message("hello/world", "second");
        await functions.Owe(route, first, second);
        await functions.DeliverAll();
        Assert.Equal(["iot/messages/hello/world"], functions.Objects.Keys("my-bucket"));
        Assert.Equal("second", await Read(functions, "iot/messages/hello/world"));
        // A repeat, or a batch that comes late, does not bring back the old one.
        await functions.Owe(route, first);
        await functions.DeliverAll();
        Assert.Equal("second", await Read(functions, "iot/messages/hello/world"));
    }

    [Fact]
    public async Task Per_message_writes_one_object_each_and_a_repeat_writes_none()
    {
        await using var functions = await TestFunctions.Start();
        var route = await S3Route(functions, (await functions.NewHub()).Id, S3Strategy.PerMessage);
        functions.Clock.Advance(TimeSpan.FromTicks(1_234_500));
        var first = functions.Message("t", "first");
        var sameTick = functions.Message("t", "same tick");
        functions.Clock.Advance(TimeSpan.FromSeconds(1) - TimeSpan.FromTicks(1_234_500));
        var whole = functions.Message("t", "whole second");
        for (var repeat = 0; repeat < 2; repeat++)
        {
            await functions.Owe(route, first, sameTick, whole);
            await functions.DeliverAll();
        }
        Assert.Equal(
            ["iot/messages/t/2026-01-02T03:04:05.123450001Z", "iot/messages/t/2026-01-02T03:04:05.12345Z", "iot/messages/t/2026-01-02T03:04:06Z"],
            functions.Objects.Keys("my-bucket"));
        Assert.Equal("first", await Read(functions, "iot/messages/t/2026-01-02T03:04:05.12345Z"));
        Assert.Equal("same tick", await Read(functions, "iot/messages/t/2026-01-02T03:04:05.123450001Z"));
    }

    [Theory]
    [InlineData("payloads")]
    [InlineData("dead-letters")]
    [InlineData("azure-webjobs-hosts")]
    [InlineData("$web")]
    [InlineData("Not_A_Bucket")]
    public async Task A_bucket_that_cannot_be_a_routes_ends_in_the_dead_letters_with_an_event(string bucket)
    {
        await using var functions = await TestFunctions.Start();
        var route = await S3Route(functions, (await functions.NewHub()).Id, S3Strategy.PerTopic, bucket: bucket);
        await functions.Owe(route, functions.Message("t"));
        await functions.DeliverAll();
        Assert.Empty(functions.Objects.Keys(bucket));
        Assert.Equal(1, functions.DeadLetters.Count);
        Assert.StartsWith($"'{bucket}' s3 bucket write failed. Error ", EventText(functions), StringComparison.Ordinal);
    }

    private static string EventText(TestFunctions functions) =>
        System.Text.Json.JsonDocument.Parse(Assert.Single(functions.Broker.Received).Body).RootElement.GetProperty("msg").GetString()!;
}
