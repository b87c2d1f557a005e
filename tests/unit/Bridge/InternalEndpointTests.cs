using System.Net;
using System.Text;
using IotHub.Broker.Bridge;
using IotHub.Broker.Transport;
using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Core.Queues;
using IotHub.Harness;
using IotHub.Unit.Auth;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace IotHub.Unit.Bridge;

/// <summary>The broker's HTTP side for the functions, asked by the client that the functions use and by worse ones.</summary>
public sealed class InternalEndpointTests : IAsyncLifetime, IDisposable
{
    private const string Key = "a shared secret";

    private readonly World _world = new(new BridgeLimits { PostedBytes = 5_000_000 });
    private readonly HttpClient _http = new();
    private string? _notServing;
    private HttpListenerHost? _host;

    private Uri Address => new($"http://127.0.0.1:{_host!.Ports[0]}/");

    public async Task InitializeAsync()
    {
        var inbound = new InboundBridge(_world.Directory, _world.Broker, _world.Clock, Logging.None<InboundBridge>());
        _host = await InternalEndpoint.Start(
            new IPEndPoint(IPAddress.Loopback, 0), inbound, _world.Feed, () => _notServing, Key, _world.Limits, NullLoggerFactory.Instance);
    }

    public async Task DisposeAsync() => await _host!.DisposeAsync();

    public void Dispose() => _http.Dispose();

    [Fact]
    public async Task A_message_is_published_as_it_was_sent()
    {
        var hub = await _world.AddHub();
        var route = Guid.NewGuid();
        var payload = new byte[] { 0, 1, 255 };
        var message = new DeviceMessage(Guid.NewGuid(), "täst/ä b%/x", payload, false, _world.Clock.GetUtcNow());
        using var broker = new BrokerClient(Address, Key);
        Assert.Equal(BrokerAnswer.Accepted, await broker.Publish(new IncomingMessage(hub.Id, Guid.NewGuid(), message, route)));
        Assert.Equal(BrokerAnswer.Accepted, await broker.Publish(new IncomingMessage(hub.Id, Guid.NewGuid(), message, route)));
        var published = Assert.Single(_world.Broker.Messages);
        Assert.Equal((hub.Id, (Guid?)route), (published.HubId, published.ExceptRoute));
        Assert.Equal((message.Id, message.Topic, message.ReceivedAt), (published.Message.Id, published.Message.Topic, published.Message.ReceivedAt));
        Assert.Equal(payload, published.Message.Payload.ToArray());
    }

    [Fact]
    public async Task Every_outcome_has_its_status()
    {
        var hub = await _world.AddHub();
        var off = await _world.AddHub(h => h with { Enabled = false });
        Assert.Equal(HttpStatusCode.Accepted, await Post(hub.Id));
        Assert.Equal(HttpStatusCode.BadRequest, await Post(hub.Id, request => Set(request, "X-Topic", "a%2F%2B")));
        Assert.Equal(HttpStatusCode.NotFound, await Post(Guid.NewGuid()));
        Assert.Equal(HttpStatusCode.Conflict, await Post(off.Id));
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, await Post(hub.Id, payload: new byte[(4 * 1024 * 1024) + 1]));
        Assert.Equal(HttpStatusCode.Accepted, await Post(hub.Id, payload: new byte[4 * 1024 * 1024]));
        _world.Broker.Answer = IngestOutcome.BufferFull;
        Assert.Equal(HttpStatusCode.ServiceUnavailable, await Post(hub.Id));
    }

    [Theory]
    [InlineData("X-Message-Id", "17")]
    [InlineData("X-Message-Id", null)]
    [InlineData("X-Topic", null)]
    [InlineData("X-Topic", "a%FFb")]
    [InlineData("X-Topic", "a%2")]
    [InlineData("X-Topic", "a%zz")]
    [InlineData("X-Source", "me")]
    [InlineData("X-Except-Route", "me")]
    [InlineData("X-Received-At", "yesterday")]
    [InlineData("X-Received-At", null)]
    public async Task Headers_that_cannot_be_read_are_named(string header, string? value)
    {
        var hub = await _world.AddHub();
        using var request = Request(hub.Id, []);
        Set(request, header, value);
        using var response = await _http.SendAsync(request);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Contains(header, await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Empty(_world.Broker.Messages);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("a shared secreT")]
    [InlineData("a shared secret and more")]
    public async Task Without_the_key_nothing_happens(string? key)
    {
        var hub = await _world.AddHub();
        Assert.Equal(HttpStatusCode.Unauthorized, await Post(hub.Id, request => Set(request, "X-Broker-Key", key)));
        Assert.Empty(_world.Broker.Calls);
    }

    [Fact]
    public async Task A_body_of_unknown_length_is_not_read()
    {
        var hub = await _world.AddHub();
        Assert.Equal(HttpStatusCode.LengthRequired, await Post(hub.Id, request => request.Headers.TransferEncodingChunked = true));
    }

    [Fact]
    public async Task More_at_once_than_the_limit_is_put_off()
    {
        var hub = await _world.AddHub();
        var release = _world.Broker.HoldPublishes();
        var first = Post(hub.Id, payload: new byte[4_000_000]);
        await Eventually.True(() => _world.Broker.Messages.Count == 1);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, await Post(hub.Id, payload: new byte[2_000_000]));
        release();
        Assert.Equal(HttpStatusCode.Accepted, await first);
        Assert.Equal(HttpStatusCode.Accepted, await Post(hub.Id, payload: new byte[2_000_000]));
    }

    [Fact]
    public async Task A_change_is_looked_at_at_once()
    {
        var hub = await _world.AddHub();
        var device = await _world.AddDevice(hub);
        await _world.Connect(device.Id.ToString());
        await _world.Change(device, d => d with { Status = DeviceStatus.Disabled });
        Assert.Equal(HttpStatusCode.Accepted, await Change($$"""{"hub_id":"{{hub.Id}}","kind":"device","id":"{{device.Id}}"}"""));
        await _world.Feed.Look(default);
        Assert.Contains(_world.Broker.Calls, call => call is RecordingBroker.DeviceEnded ended && ended.DeviceId == device.Id);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{}")]
    [InlineData("[1]")]
    [InlineData("""{"hub_id":"x","kind":"device","id":"y"}""")]
    [InlineData("""{"hub_id":"11111111-2222-4333-8444-555555555555","kind":"house","id":"11111111-2222-4333-8444-555555555555"}""")]
    [InlineData("""{"hub_id":"11111111-2222-4333-8444-555555555555","kind":"7","id":"11111111-2222-4333-8444-555555555555"}""")]
    public async Task A_change_that_cannot_be_read_is_refused(string body) => Assert.Equal(HttpStatusCode.BadRequest, await Change(body));

    [Fact]
    public async Task Health_needs_no_key_and_says_why()
    {
        Assert.Equal("{\"status\":\"ok\"}", await _http.GetStringAsync(new Uri(Address, "health")));
        _notServing = "the registry cannot be read";
        using var response = await _http.GetAsync(new Uri(Address, "health"));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.Contains("the registry cannot be read", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("GET", "internal/changes", HttpStatusCode.MethodNotAllowed)]
    [InlineData("POST", "health", HttpStatusCode.NotFound)]
    [InlineData("POST", "internal/hubs/x/messages", HttpStatusCode.NotFound)]
    [InlineData("POST", "internal", HttpStatusCode.NotFound)]
    [InlineData("GET", "", HttpStatusCode.NotFound)]
    public async Task Other_requests_find_nothing(string method, string path, HttpStatusCode expected)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), new Uri(Address, path));
        request.Headers.Add("X-Broker-Key", Key);
        using var response = await _http.SendAsync(request);
        Assert.Equal(expected, response.StatusCode);
    }

    private async Task<HttpStatusCode> Post(Guid hubId, Action<HttpRequestMessage>? with = null, byte[]? payload = null)
    {
        using var request = Request(hubId, payload ?? Encoding.UTF8.GetBytes("payload"));
        with?.Invoke(request);
        using var response = await _http.SendAsync(request);
        return response.StatusCode;
    }

    private HttpRequestMessage Request(Guid hubId, byte[] payload)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri(Address, $"internal/hubs/{hubId}/messages"))
        {
            Content = new ByteArrayContent(payload),
        };
        Set(request, "X-Broker-Key", Key);
        Set(request, "X-Message-Id", Guid.NewGuid().ToString());
        Set(request, "X-Topic", "a%2Fb");
        Set(request, "X-Source", Guid.NewGuid().ToString());
        Set(request, "X-Received-At", "2026-01-02T03:04:05Z");
        return request;
    }

    private async Task<HttpStatusCode> Change(string body)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(Address, "internal/changes")) { Content = new StringContent(body) };
        request.Headers.Add("X-Broker-Key", Key);
        using var response = await _http.SendAsync(request);
        return response.StatusCode;
    }

    private static void Set(HttpRequestMessage request, string header, string? value)
    {
        request.Headers.Remove(header);
        if (value is not null)
        {
            request.Headers.TryAddWithoutValidation(header, value);
        }
    }
}
