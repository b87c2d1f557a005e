using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Core.Queues;
using IotHub.Core.Storage;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace IotHub.Contract.Hosting;

/// <summary>Token posts of REST and Sigfox networks, with a real HTTP server in the broker's place.</summary>
public sealed class IngestTests
{
    private static HttpRequestMessage Post(string path, string? secret, string? topic, byte[] body, params (string Name, string Value)[] more)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri(path, UriKind.Relative)) { Content = new ByteArrayContent(body) };
        foreach (var (name, value) in more.Append(("X-Secret", secret!)).Append(("X-Topic", topic!)).Where(header => header.Item2 is not null))
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }
        return request;
    }

    private static Task<HttpResponseMessage> Post(TestFunctions functions, string token, string topic, byte[] body) =>
        functions.Http.SendAsync(Post("/ingest/rest", token, topic, body));

    private static async Task<JsonElement> Error(HttpResponseMessage answer)
    {
        Assert.Equal("application/json", answer.Content.Headers.ContentType?.ToString());
        return JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement;
    }

    private static async Task IsDenied(HttpResponseMessage answer)
    {
        Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
        Assert.Equal(
            """{"message":"authentication is denied","method":"api_key","reason":"not_found","type":"denied_authentication"}""",
            (await Error(answer)).GetRawText());
    }

    private static async Task IsInvalid(HttpResponseMessage answer, string argument, HttpStatusCode status = HttpStatusCode.BadRequest)
    {
        Assert.Equal(status, answer.StatusCode);
        var error = await Error(answer);
        Assert.Equal("invalid_arguments", error.GetProperty("type").GetString());
        Assert.Equal(argument, error.GetProperty("details")[0].GetProperty("argument_name").GetString());
        Assert.NotEqual("", error.GetProperty("details")[0].GetProperty("help_message").GetString());
    }

    private static void NothingPublished(TestFunctions functions)
    {
        Assert.Empty(functions.Broker.Received);
        Assert.Equal(0, functions.Ingress.Count);
    }

    [Theory]
    [InlineData("", "A1234B/payload", "A1234B/payload")]
    [InlineData("myapp", "A1234B/payload", "myapp/A1234B/payload")]
    [InlineData("myapp/", "a", "myapp/a")]
    [InlineData("myapp", "/a", "myapp/a")]
    [InlineData("", "/a/ b", "/a/ b")]
    public async Task A_post_reaches_the_broker_with_prefix_id_time_and_payload(string prefix, string topic, string full)
    {
        await using var functions = await TestFunctions.Start();
        var hub = await functions.NewHub();
        var (network, token) = await functions.NewNetwork(hub.Id, prefix: prefix);
        var payload = Enumerable.Range(0, 256).Select(i => (byte)i).ToArray();

        var answer = await Post(functions, token, topic, payload);

        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Empty(await answer.Content.ReadAsByteArrayAsync());
        var published = Assert.Single(functions.Broker.Received);
        Assert.Equal("POST", published.Method);
        Assert.Equal($"/internal/hubs/{hub.Id}/messages", published.Target);
        Assert.Equal(full, Uri.UnescapeDataString(published.Header("X-Topic")!));
        Assert.Equal(network.Id.ToString(), published.Header("X-Source"));
        Assert.Equal(TestFunctions.BrokerKey, published.Header("X-Broker-Key"));
        Assert.NotEqual(Guid.Empty, Guid.Parse(published.Header("X-Message-Id")!));
        Assert.Equal(functions.Clock.GetUtcNow(), DateTimeOffset.Parse(published.Header("X-Received-At")!, System.Globalization.CultureInfo.InvariantCulture));
        Assert.Null(published.Header("X-Except-Route"));
        Assert.Equal(payload, published.Body);
        Assert.Equal(0, functions.Ingress.Count);
    }

    [Fact]
    public async Task A_sigfox_callback_is_published_as_it_comes()
    {
        await using var functions = await TestFunctions.Start();
        var hub = await functions.NewHub();
        var (_, token) = await functions.NewNetwork(hub.Id, NetworkType.Sigfox, "myapp");
        var request = Post("/ingest/sigfox", token, "A1234B/payload", """{"data":"ABCDEF01","id":"A1234B"}"""u8.ToArray());
        request.Content!.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        Assert.Equal(HttpStatusCode.OK, (await functions.Http.SendAsync(request)).StatusCode);
        var published = Assert.Single(functions.Broker.Received);
        Assert.Equal("""{"data":"ABCDEF01","id":"A1234B"}""", published.Text);
        Assert.Equal("myapp/A1234B/payload", Uri.UnescapeDataString(published.Header("X-Topic")!));
    }

    [Fact]
    public async Task A_wrong_key_an_unknown_network_and_the_other_entrance_are_denied_alike()
    {
        await using var functions = await TestFunctions.Start();
        var hub = await functions.NewHub();
        var (network, token) = await functions.NewNetwork(hub.Id);
        var wrongKey = Convert.ToBase64String(Encoding.ASCII.GetBytes($$"""{"NetID":"{{network.Id}}","NetKey":"{{Guid.NewGuid()}}"}"""));
        var unknown = Convert.ToBase64String(Encoding.ASCII.GetBytes($$"""{"NetID":"{{Guid.NewGuid()}}","NetKey":"{{Guid.NewGuid()}}"}"""));
        foreach (var secret in new[] { wrongKey, unknown, "", "not base64!", "e30=", null, new string('A', 4000) })
        {
            await IsDenied(await functions.Http.SendAsync(Post("/ingest/rest", secret, "t", [1])));
        }
        await IsDenied(await functions.Http.SendAsync(Post("/ingest/sigfox", token, "t", [1])));
        NothingPublished(functions);
    }

    [Fact]
    public async Task A_secret_is_asked_for_before_anything_is_said_about_the_rest()
    {
        await using var functions = await TestFunctions.Start();
        await IsDenied(await functions.Http.SendAsync(Post("/ingest/rest", null, "a/#", new byte[5 * 1024 * 1024])));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("a/+/b")]
    [InlineData("a/#")]
    [InlineData("#")]
    public async Task A_topic_that_cannot_be_published_on_is_refused(string? topic)
    {
        await using var functions = await TestFunctions.Start();
        var (_, token) = await functions.NewNetwork((await functions.NewHub()).Id);
        await IsInvalid(await functions.Http.SendAsync(Post("/ingest/rest", token, topic, [1])), "X-Topic");
        NothingPublished(functions);
    }

    [Fact]
    public async Task Two_topics_are_refused()
    {
        await using var functions = await TestFunctions.Start();
        var (_, token) = await functions.NewNetwork((await functions.NewHub()).Id);
        var answer = await RawHttp.Send(functions.Port, $"""
            POST /ingest/rest HTTP/1.1
            Host: 127.0.0.1:{functions.Port}
            X-Secret: {token}
            X-Topic: a
            X-Topic: b
            Content-Length: 0
            """, []);
        Assert.Equal(400, answer.Status);
        Assert.Contains("once", answer.Text, StringComparison.Ordinal);
        NothingPublished(functions);
    }

    [Fact]
    public async Task A_topic_is_UTF_8_and_bytes_that_are_not_are_refused_with_a_reason()
    {
        await using var functions = await TestFunctions.Start();
        var (_, token) = await functions.NewNetwork((await functions.NewHub()).Id);
        string Head(byte[] topic) => $"""
            POST /ingest/rest HTTP/1.1
            Host: 127.0.0.1:{functions.Port}
            X-Secret: {token}
            X-Topic: {Encoding.Latin1.GetString(topic)}
            Content-Length: 1
            """;
        Assert.Equal(200, (await RawHttp.Send(functions.Port, Head(Encoding.UTF8.GetBytes("küche/温度")), [1])).Status);
        Assert.Equal("küche/温度", Uri.UnescapeDataString(Assert.Single(functions.Broker.Received).Header("X-Topic")!));

        var refused = await RawHttp.Send(functions.Port, Head([(byte)'a', 0xC3, 0x28]), [1]);
        Assert.Equal(400, refused.Status);
        Assert.Contains("UTF-8", refused.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Four_MiB_are_taken_and_a_byte_more_is_refused_with_a_length_and_chunked()
    {
        await using var functions = await TestFunctions.Start();
        var (_, token) = await functions.NewNetwork((await functions.NewHub()).Id);
        var largest = new byte[4 * 1024 * 1024];
        Assert.Equal(HttpStatusCode.OK, (await Post(functions, token, "t", largest)).StatusCode);
        Assert.Equal(largest.Length, Assert.Single(functions.Broker.Received).Body.Length);

        await IsInvalid(await Post(functions, token, "t", [.. largest, 1]), "body", HttpStatusCode.RequestEntityTooLarge);
        var chunked = Post("/ingest/rest", token, "t", [.. largest, 1]);
        chunked.Headers.TransferEncodingChunked = true;
        await IsInvalid(await functions.Http.SendAsync(chunked), "body", HttpStatusCode.RequestEntityTooLarge);
        Assert.Single(functions.Broker.Received);
    }

    [Fact]
    public async Task A_claimed_length_is_refused_before_a_byte_of_the_body_is_read()
    {
        await using var functions = await TestFunctions.Start();
        var (_, token) = await functions.NewNetwork((await functions.NewHub()).Id);
        var answer = await RawHttp.Send(functions.Port, $"""
            POST /ingest/rest HTTP/1.1
            Host: 127.0.0.1:{functions.Port}
            X-Secret: {token}
            X-Topic: t
            Content-Length: 90000000
            """, [1, 2, 3]);
        Assert.Equal(413, answer.Status);
    }

    [Fact]
    public async Task An_empty_body_is_a_message_too()
    {
        await using var functions = await TestFunctions.Start();
        var (_, token) = await functions.NewNetwork((await functions.NewHub()).Id);
        Assert.Equal(HttpStatusCode.OK, (await Post(functions, token, "t", [])).StatusCode);
        Assert.Empty(Assert.Single(functions.Broker.Received).Body);
    }

    [Theory]
    [InlineData("Idempotency-Key")]
    [InlineData("X-Message-Id")]
    public async Task A_sender_may_fix_the_message_id(string header)
    {
        await using var functions = await TestFunctions.Start();
        var (_, token) = await functions.NewNetwork((await functions.NewHub()).Id);
        var id = Guid.NewGuid();
        await functions.Http.SendAsync(Post("/ingest/rest", token, "t", [1], (header, id.ToString())));
        Assert.Equal(id.ToString(), Assert.Single(functions.Broker.Received).Header("X-Message-Id"));
        await IsInvalid(await functions.Http.SendAsync(Post("/ingest/rest", token, "t", [1], (header, "not-a-uuid"))), header);
    }

    [Fact]
    public async Task With_the_broker_down_the_message_waits_on_the_queue_under_the_same_id()
    {
        await using var functions = await TestFunctions.Start();
        var hub = await functions.NewHub();
        var (network, token) = await functions.NewNetwork(hub.Id, prefix: "p");
        await functions.Broker.GoDown();
        var id = Guid.NewGuid();
        var answer = await functions.Http.SendAsync(Post("/ingest/rest", token, "t", [0, 1, 2], ("X-Message-Id", id.ToString())));
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        var queued = Assert.Single(await functions.Ingress.Receive(32, TimeSpan.FromMinutes(1)));
        var envelope = EnvelopeJson.Read<IngressEnvelope>(queued.Body!.Value.Span);
        Assert.Equal((hub.Id, network.Id, id, "p/t"), (envelope.HubId, envelope.SourceId, envelope.Message.Id, envelope.Message.Topic));
        Assert.Equal([0, 1, 2], envelope.Message.Payload);
        Assert.Equal(functions.Clock.GetUtcNow(), envelope.Message.ReceivedAt);
    }

    [Fact]
    public async Task A_broker_that_does_not_answer_is_waited_for_two_seconds_and_then_left_to_the_queue()
    {
        await using var functions = await TestFunctions.Start();
        var (_, token) = await functions.NewNetwork((await functions.NewHub()).Id);
        functions.Broker.Stall();
        var watch = System.Diagnostics.Stopwatch.StartNew();
        Assert.Equal(HttpStatusCode.OK, (await Post(functions, token, "t", [1])).StatusCode);
        Assert.InRange(watch.Elapsed, BrokerClient.PublishTimeLimit - TimeSpan.FromMilliseconds(100), BrokerClient.PublishTimeLimit * 5);
        Assert.Equal(1, functions.Ingress.Count);
    }

    [Theory]
    [InlineData(503)]
    [InlineData(500)]
    [InlineData(401)]
    [InlineData(302)]
    public async Task A_broker_that_cannot_take_it_now_leaves_it_to_the_queue(int status)
    {
        await using var functions = await TestFunctions.Start();
        var (_, token) = await functions.NewNetwork((await functions.NewHub()).Id);
        functions.Broker.Answers(status);
        Assert.Equal(HttpStatusCode.OK, (await Post(functions, token, "t", [1])).StatusCode);
        Assert.Equal(1, functions.Ingress.Count);
    }

    [Fact]
    public async Task A_payload_too_large_for_the_queue_goes_to_a_blob_first()
    {
        await using var functions = await TestFunctions.Start();
        var (_, token) = await functions.NewNetwork((await functions.NewHub()).Id);
        await functions.Broker.GoDown();
        var payload = new byte[4 * 1024 * 1024];
        new Random(1).NextBytes(payload);
        Assert.Equal(HttpStatusCode.OK, (await Post(functions, token, "t", payload)).StatusCode);
        var queued = Assert.Single(await functions.Ingress.Receive(32, TimeSpan.FromMinutes(1)));
        var message = EnvelopeJson.Read<IngressEnvelope>(queued.Body!.Value.Span).Message;
        Assert.Null(message.Payload);
        Assert.Equal(payload, await functions.Payloads.Get(message.PayloadBlob!, payload.Length));
    }

    [Theory]
    [InlineData(400, HttpStatusCode.BadRequest)]
    [InlineData(404, HttpStatusCode.ServiceUnavailable)]
    [InlineData(409, HttpStatusCode.ServiceUnavailable)]
    [InlineData(413, HttpStatusCode.RequestEntityTooLarge)]
    public async Task What_the_broker_refuses_is_refused_and_not_queued(int broker, HttpStatusCode expected)
    {
        await using var functions = await TestFunctions.Start();
        var (_, token) = await functions.NewNetwork((await functions.NewHub()).Id);
        functions.Broker.Answers(broker);
        var answer = await Post(functions, token, "t", [1]);
        Assert.Equal(expected, answer.StatusCode);
        await Error(answer);
        Assert.Equal(0, functions.Ingress.Count);
    }

    [Fact]
    public async Task A_hub_that_is_not_ready_takes_nothing()
    {
        await using var functions = await TestFunctions.Start();
        var hub = await functions.NewHub(hub => hub with { Enabled = false });
        var (_, token) = await functions.NewNetwork(hub.Id);
        var answer = await Post(functions, token, "t", [1]);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
        var error = await Error(answer);
        Assert.Equal("transient_state", error.GetProperty("type").GetString());
        Assert.Equal("disabled", error.GetProperty("current_state").GetString());
        NothingPublished(functions);
    }

    [Fact]
    public async Task With_neither_broker_nor_queue_the_sender_is_told_to_come_again()
    {
        await using var functions = await TestFunctions.Start(services =>
            services.AddKeyedSingleton<IMessageQueue>(StorageNames.IngressQueue, new DeadQueue()));
        var (_, token) = await functions.NewNetwork((await functions.NewHub()).Id);
        await functions.Broker.GoDown();
        var answer = await Post(functions, token, "t", [1]);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
        Assert.Equal("unavailable", (await Error(answer)).GetProperty("type").GetString());
    }

    [Fact]
    public async Task With_a_registry_that_does_not_answer_the_sender_is_told_to_come_again()
    {
        await using var functions = await TestFunctions.Start(services =>
            services.AddSingleton<IRegistry>(new IotHub.Core.Storage.Tables.TableRegistry(
                StorageAccount.At("AccountName=a;AccountKey=AAAA;QueueEndpoint=http://127.0.0.1:1/a;BlobEndpoint=http://127.0.0.1:1/a;TableEndpoint=http://127.0.0.1:1/a;").Tables(),
                new IotHub.Core.Storage.Memory.MemoryChangeFeed(TimeProvider.System), TimeProvider.System)));
        var token = IotHub.Core.Security.NetworkSecret.New(Guid.NewGuid()).ToToken();
        var answer = await Post(functions, token, "t", [1]);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
        Assert.Equal("unavailable", (await Error(answer)).GetProperty("type").GetString());
        NothingPublished(functions);
    }

    [Fact]
    public async Task Both_ways_of_passing_through_are_understood()
    {
        await using var functions = await TestFunctions.Start();
        var (_, token) = await functions.NewNetwork((await functions.NewHub()).Id);
        // enableForwardingHttpRequest: the caller's Host, the host's headers added, a length, content headers dropped.
        var forwarded = await RawHttp.Send(functions.Port, $"""
            POST /ingest/rest HTTP/1.1
            Host: hub.example.com
            User-Agent: curl/8.5.0 Azure-Functions-Host/4.1052.200.0
            Accept: */*
            X-Secret: {token}
            X-Topic: by/forwarding
            X-Azure-Functions-HostVersion: 4.1052.200.0
            X-Azure-Functions-InvocationId: 06d5e1b8-829f-43ab-8ed4-5f6071829304
            Content-Length: 2
            Content-Type: application/x-www-form-urlencoded
            """, "ab"u8.ToArray());
        // enableProxyingHttpRequest: our own Host, X-Forwarded-* set, bodies may be chunked.
        var proxied = await RawHttp.Send(functions.Port, $"""
            POST /ingest/rest HTTP/1.1
            Host: 127.0.0.1:{functions.Port}
            User-Agent: curl/8.5.0
            X-Secret: {token}
            X-Topic: by/proxying
            X-Azure-Functions-HostVersion: 4.1052.200.0
            X-Azure-Functions-InvocationId: 06d5e1b8-829f-43ab-8ed4-5f6071829304
            x-ms-invocation-id: 06d5e1b8-829f-43ab-8ed4-5f6071829304
            X-Forwarded-For: 203.0.113.7
            X-Forwarded-Host: hub.example.com
            X-Forwarded-Proto: https
            Transfer-Encoding: chunked
            Content-Encoding: gzip
            """, RawHttp.Chunked("cd", 1));
        Assert.Equal((200, 200), (forwarded.Status, proxied.Status));
        Assert.Equal("0", proxied.Headers["Content-Length"]);
        Assert.Equal(
            [("by/forwarding", "ab"), ("by/proxying", "cd")],
            functions.Broker.Received.Select(request => (Uri.UnescapeDataString(request.Header("X-Topic")!), request.Text)));
    }

    private sealed class DeadQueue : IMessageQueue
    {
        public Task Send(ReadOnlyMemory<byte> body, TimeSpan delay = default, CancellationToken cancel = default) => throw Dead();

        public Task<IReadOnlyList<QueuedMessage>> Receive(int maximum, TimeSpan hideFor, CancellationToken cancel = default) => throw Dead();

        public Task Delete(QueuedMessage message, CancellationToken cancel = default) => throw Dead();

        public Task Return(QueuedMessage message, TimeSpan delay, CancellationToken cancel = default) => throw Dead();

        private static QueueUnavailableException Dead() => new("queue ingress: no answer in time", new IOException("timeout"));
    }
}
