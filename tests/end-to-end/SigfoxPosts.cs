using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Azure.Storage.Blobs;
using IotHub.EndToEnd.Clients;
using IotHub.EndToEnd.Support;
using IotHub.Harness;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace IotHub.EndToEnd;

/// <summary>A post as Sigfox's backend sends it: to the MQTT subscriber, the object store route and the REST route.</summary>
[Collection(HubCollection.Name)]
public sealed class SigfoxPosts(HubFixture fixture)
{
    private const string Body = """{"data":"ABCDEF01","id":"A1234B"}""";

    [Theory]
    [InlineData("sigfox")]
    [InlineData("rest")]
    public async Task A_post_reaches_the_subscriber_the_object_store_and_the_REST_target(string type)
    {
        await using var target = await TestHttpServer.Start();
        await using var hub = await fixture.Api.NewHub("plan_shared");
        await using var clients = new MqttClients();
        var bucket = await NewBucket();
        await hub.NewObjectRoute("myapp/#", bucket.Name, "per_topic", "latest");
        await hub.NewObjectRoute("myapp/#", bucket.Name, "per_message", "all");
        await hub.NewRestRoute("myapp/+/payload", new Uri(target.Url, "hook?a=1"), "put", new JsonObject { ["X-My-Header"] = "Tutorial" });
        var network = await hub.NewNetwork(type, "myapp");
        var hearing = await clients.OfNewDevice(hub);
        await hearing.Subscribe("#");

        var answer = await network.Post("A1234B/payload", Body);
        var heard = await hearing.Next();
        var call = await Eventually.Get(() => Task.FromResult(target.Accepted.SingleOrDefault()), TimeSpan.FromSeconds(30));
        var objects = await Eventually.Get(async () => await TwoObjects(bucket), TimeSpan.FromSeconds(30));

        Assert.Equal((HttpStatusCode.OK, ""), (answer.Status, answer.Body));
        Assert.Equal(("myapp/A1234B/payload", Body, 0, false), (heard.Topic, heard.Text, heard.Qos, heard.Retain));
        Assert.Equal(("PUT", "/hook?a=1", Body), (call.Method, call.Target, call.Text));
        Assert.Equal("myapp/A1234B/payload", call.Header("X-Mqtt-Topic"));
        Assert.Equal("false", call.Header("X-Mqtt-Retain"));
        Assert.Equal("Tutorial", call.Header("X-My-Header"));
        Assert.False(string.IsNullOrEmpty(call.Header("Idempotency-Key")));
        Assert.Matches(
            new Regex(@"^all/myapp/A1234B/payload/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$"),
            objects.Single(name => name.StartsWith("all/", StringComparison.Ordinal)));
        Assert.Contains("latest/myapp/A1234B/payload", objects);
        foreach (var name in objects)
        {
            Assert.Equal(Body, (await bucket.GetBlobClient(name).DownloadContentAsync()).Value.Content.ToString());
        }
    }

    [Fact]
    public async Task One_object_per_topic_holds_the_latest_message_and_one_per_message_holds_each()
    {
        await using var hub = await fixture.Api.NewHub("plan_shared");
        var bucket = await NewBucket();
        await hub.NewObjectRoute("#", bucket.Name, "per_topic", "latest");
        await hub.NewObjectRoute("#", bucket.Name, "per_message", "all");
        var network = await hub.NewNetwork("sigfox");

        foreach (var body in new[] { "first", "second", "third" })
        {
            Assert.Equal(HttpStatusCode.OK, (await network.Post("t", body)).Status);
        }

        await Eventually.True(async () => (await Names(bucket, "all/t/")).Count == 3, TimeSpan.FromSeconds(30));
        await Eventually.True(
            async () => (await bucket.GetBlobClient("latest/t").DownloadContentAsync()).Value.Content.ToString() == "third");
        var bodies = new List<string>();
        foreach (var name in await Names(bucket, "all/t/"))
        {
            bodies.Add((await bucket.GetBlobClient(name).DownloadContentAsync()).Value.Content.ToString());
        }
        Assert.Equal(["first", "second", "third"], bodies);
        Assert.Single(await Names(bucket, "latest/"));
    }

    [Fact]
    public async Task A_message_that_a_device_publishes_takes_the_same_routes()
    {
        await using var target = await TestHttpServer.Start();
        await using var hub = await fixture.Api.NewHub();
        await using var clients = new MqttClients();
        await hub.NewRestRoute("from/devices/#", target.Url);
        var saying = await clients.OfNewDevice(hub);

        await saying.Publish("from/nobody", "not routed", 1);
        await saying.Publish("from/devices/1", "quality 0", 0);
        await saying.Publish("from/devices/1", "quality 1", 1);
        await saying.Publish("from/devices/1", "quality 2", 2, retain: true);

        await Eventually.True(() => target.Accepted.Count == 3, TimeSpan.FromSeconds(30), () => fixture.Local.Logs);
        Assert.Equal(
            [("quality 0", "false"), ("quality 1", "false"), ("quality 2", "true")],
            target.Accepted.Select(call => (call.Text, call.Header("X-Mqtt-Retain")!)).Order());
    }

    [Fact]
    public async Task A_reply_with_a_topic_is_published_back()
    {
        await using var target = await TestHttpServer.Start();
        await using var hub = await fixture.Api.NewHub();
        await using var clients = new MqttClients();
        target.Answers(async context =>
        {
            context.Response.Headers["X-Mqtt-Topic"] = "answers/1";
            await context.Response.WriteAsync("the answer");
        });
        await hub.NewRestRoute("#", target.Url);
        var hearing = await clients.OfNewDevice(hub);
        await hearing.Subscribe("answers/#");

        await (await hub.NewNetwork("rest")).Post("questions/1", "the question");

        Assert.Equal(("answers/1", "the answer"), await hearing.Next() is var reply ? (reply.Topic, reply.Text) : default);
        Assert.Equal("the question", Assert.Single(target.Accepted).Text);
    }

    [Fact]
    public async Task What_is_refused_gets_the_right_status_a_clear_body_and_is_not_published()
    {
        await using var hub = await fixture.Api.NewHub("plan_shared");
        await using var clients = new MqttClients();
        var network = await hub.NewNetwork("sigfox", "myapp");
        var rest = await hub.NewNetwork("rest", "myapp");
        var hearing = await clients.OfNewDevice(hub);
        await hearing.Subscribe("#");

        var wrongKey = rest.Secret[..^8] + "AAAAAAA9";
        Refused(HttpStatusCode.Unauthorized, "denied_authentication", await network.Post("t", Body, wrongKey));
        Refused(HttpStatusCode.Unauthorized, "denied_authentication", await network.Post("t", Body, rest.Secret));
        Refused(HttpStatusCode.Unauthorized, "denied_authentication", await network.Post("t", Body, secret: "not a secret"));
        Refused(HttpStatusCode.Unauthorized, "denied_authentication", await network.Post("t", Body, secret: ""));
        Refused(HttpStatusCode.BadRequest, "invalid_arguments", await network.Post(null, Body));
        Refused(HttpStatusCode.BadRequest, "invalid_arguments", await network.Post("", Body));
        Refused(HttpStatusCode.BadRequest, "invalid_arguments", await network.Post("a/+/b", Body));
        Refused(HttpStatusCode.BadRequest, "invalid_arguments", await network.Post("a/#", Body));
        Refused(HttpStatusCode.RequestEntityTooLarge, null, await network.Post("t", new byte[4 * 1024 * 1024 + 1]));

        var largest = new byte[4 * 1024 * 1024];
        Random.Shared.NextBytes(largest);
        Assert.Equal(HttpStatusCode.OK, (await network.Post("large", largest)).Status);
        Assert.Equal(HttpStatusCode.OK, (await network.Post("good", Body)).Status);
        var first = await hearing.Next();
        var second = await hearing.Next();
        Assert.Equal("myapp/large", first.Topic);
        Assert.Equal(largest, first.Payload);
        Assert.Equal(("myapp/good", Body), (second.Topic, second.Text));
    }

    private static void Refused(HttpStatusCode status, string? type, IngestAnswer answer)
    {
        Assert.Equal(status, answer.Status);
        Assert.Equal("application/json", answer.ContentType);
        Assert.NotEmpty(answer.Error("message")!);
        if (type is not null)
        {
            Assert.Equal(type, answer.Error("type"));
        }
    }

    private async Task<BlobContainerClient> NewBucket()
    {
        var bucket = new BlobContainerClient(fixture.Endpoints.StorageConnectionString, $"bucket-{Guid.NewGuid():N}");
        await bucket.CreateAsync();
        return bucket;
    }

    private static async Task<List<string>?> TwoObjects(BlobContainerClient bucket) =>
        await Names(bucket, "") is { Count: 2 } names ? names : null;

    private static async Task<List<string>> Names(BlobContainerClient bucket, string prefix)
    {
        var names = new List<string>();
        await foreach (var blob in bucket.GetBlobsAsync(new() { Prefix = prefix }))
        {
            names.Add(blob.Name);
        }
        return names;
    }
}
