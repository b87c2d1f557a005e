using System.Buffers;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Threading.Channels;
using Azure.Storage.Blobs;
using IotHub.Local.Launch;
using MQTTnet;
using MQTTnet.Protocol;

namespace IotHub.Local.Demo;

/// <summary>
/// One message on its way from a Sigfox callback to an MQTT subscriber, a blob container and an HTTP server; cleans up after itself.
/// </summary>
public sealed class MessageWalk : IAsyncDisposable
{
    private const string Prefix = "demo";
    private const string SentTopic = "A1234B/payload";
    private const string Body = """{"data":"ABCDEF01","id":"A1234B"}""";
    private static readonly TimeSpan LookPause = TimeSpan.FromMilliseconds(20);

    /// <summary>Within a second a broker knows of a new route.</summary>
    private static readonly TimeSpan RouteStart = TimeSpan.FromSeconds(1);

    private readonly Endpoints _at;
    private readonly Action<string> _progress;
    private readonly RestTarget _target;
    private readonly ManagementApi _api;
    private readonly HttpClient _poster = new(new SocketsHttpHandler { UseProxy = false });
    private readonly IMqttClient _mqtt = new MqttClientFactory().CreateMqttClient();
    private readonly Channel<MqttApplicationMessage> _received = Channel.CreateBounded<MqttApplicationMessage>(100);
    private readonly BlobContainerClient _container;
    private readonly string _name;
    private readonly Stopwatch _step = new();
    private readonly Stopwatch _sinceRoutes = new();
    private readonly Stopwatch _sincePost = new();
    private string? _hub;
    private string _device = "";
    private string _secret = "";

    private MessageWalk(Endpoints at, Action<string> progress, RestTarget target)
    {
        _at = at;
        _progress = progress;
        _target = target;
        _api = new ManagementApi(at);
        _name = $"demo-{Guid.NewGuid():N}"[..13];
        _container = new BlobContainerClient(at.StorageConnectionString, _name);
        _mqtt.ApplicationMessageReceivedAsync += async e => await _received.Writer.WriteAsync(e.ApplicationMessage);
    }

    /// <summary>What is being done, for the message when it fails.</summary>
    public string Step { get; private set; } = "the beginning";

    public static async Task<MessageWalk> Prepare(Endpoints at, Action<string> progress) => new(at, progress, await RestTarget.Start());

    public async Task CreateHub(CancellationToken cancel)
    {
        Begin("creating a hub");
        var hub = await _api.Create("hubs", new { name = _name, project_id = _at.ProjectId }, cancel);
        _hub = hub.GetProperty("id").GetString()!;
        while ((await _api.Get($"hubs/{_hub}", cancel)).GetProperty("status").GetString() != "ready")
        {
            await Task.Delay(LookPause, cancel);
        }
        Took($"hub {_hub} is ready");
    }

    public async Task CreateDevice(CancellationToken cancel)
    {
        Begin("creating a device");
        var answer = await _api.Create("devices", new { name = "listener", hub_id = _hub, allow_insecure = true }, cancel);
        _device = answer.GetProperty("device").GetProperty("id").GetString()!;
        Took($"device {_device}, with its certificate and key");
    }

    public async Task CreateNetwork(CancellationToken cancel)
    {
        Begin("creating a Sigfox network");
        var answer = await _api.Create("networks", new { name = "sigfox", type = "sigfox", hub_id = _hub, topic_prefix = Prefix }, cancel);
        _secret = answer.GetProperty("secret").GetString()!;
        Took($"Sigfox network {answer.GetProperty("network").GetProperty("id").GetString()}");
    }

    public async Task CreateStorageRoute(CancellationToken cancel)
    {
        Begin("creating a route to object storage");
        await _container.CreateIfNotExistsAsync(cancellationToken: cancel);
        var config = new { bucket_region = _at.Region, bucket_name = _name, object_prefix = "", strategy = "per_message" };
        var route = await _api.Create("routes", new { name = "storage", hub_id = _hub, topic = $"{Prefix}/#", s3_config = config }, cancel);
        Took($"route {route.GetProperty("id").GetString()} from {Prefix}/# to the container {_name}");
    }

    public async Task CreateRestRoute(CancellationToken cancel)
    {
        Begin("creating a REST route");
        var config = new { verb = "post", uri = $"{_target.Address}hook", headers = new Dictionary<string, string>() };
        var route = await _api.Create("routes", new { name = "rest", hub_id = _hub, topic = $"{Prefix}/#", rest_config = config }, cancel);
        _sinceRoutes.Restart();
        Took($"route {route.GetProperty("id").GetString()} from {Prefix}/# to {config.uri}");
    }

    public async Task Listen(CancellationToken cancel)
    {
        Begin("the MQTT subscription");
        var options = new MqttClientOptionsBuilder()
            .WithTcpServer(_at.Mqtt.Host, _at.Mqtt.Port)
            .WithProtocolVersion(MQTTnet.Formatter.MqttProtocolVersion.V500)
            .WithClientId(_device)
            .Build();
        var connected = await _mqtt.ConnectAsync(options, cancel);
        if (connected.ResultCode != MqttClientConnectResultCode.Success)
        {
            throw new LaunchException($"The demo failed: the broker refused the device ({connected.ResultCode}).");
        }
        await _mqtt.SubscribeAsync($"{Prefix}/#", MqttQualityOfServiceLevel.AtLeastOnce, cancel);
        Took($"the device listens on {Prefix}/# at {_at.Mqtt.Host}:{_at.Mqtt.Port.ToString(CultureInfo.InvariantCulture)}");
    }

    public async Task PostAsSigfox(CancellationToken cancel)
    {
        var left = RouteStart - _sinceRoutes.Elapsed;
        if (left > TimeSpan.Zero)
        {
            await Task.Delay(left, cancel);
        }
        Begin("the post as Sigfox");
        using var request = new HttpRequestMessage(HttpMethod.Post, _at.Ingest.SigfoxUrl)
        {
            Content = new StringContent(Body, Encoding.UTF8, "application/json"),
        };
        request.Headers.Add("X-Secret", _secret);
        request.Headers.Add("X-Topic", SentTopic);
        _sincePost.Restart();
        using var answer = await _poster.SendAsync(request, cancel);
        if (!answer.IsSuccessStatusCode)
        {
            throw new LaunchException(
                $"The demo failed: the Sigfox post was answered {(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync(cancel)}");
        }
        Took($"posted {Body} for {SentTopic} to {_at.Ingest.SigfoxUrl}: {(int)answer.StatusCode}");
    }

    public async Task AwaitMqtt(CancellationToken cancel)
    {
        Step = "the message at the MQTT subscriber";
        var message = await _received.Reader.ReadAsync(cancel);
        Arrived("MQTT subscriber", message.Topic, message.Payload.ToArray());
    }

    public async Task AwaitRestCall(CancellationToken cancel)
    {
        Step = "the REST call";
        var call = await _target.Calls.ReadAsync(cancel);
        Arrived($"HTTP server, {call.Method}", call.Topic, call.Body);
    }

    public async Task AwaitObject(CancellationToken cancel)
    {
        Step = "the object in the container";
        while (true)
        {
            await foreach (var blob in _container.GetBlobsAsync(cancellationToken: cancel))
            {
                var content = await _container.GetBlobClient(blob.Name).DownloadContentAsync(cancel);
                Arrived($"blob {_name}/{blob.Name}", $"{Prefix}/{SentTopic}", content.Value.Content.ToArray());
                return;
            }
            await Task.Delay(LookPause, cancel);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await CleanUp();
        _mqtt.Dispose();
        _poster.Dispose();
        _api.Dispose();
        await _target.DisposeAsync();
    }

    private void Begin(string step)
    {
        Step = step;
        _step.Restart();
    }

    private void Took(string what) => _progress($"{_step.Elapsed.TotalMilliseconds,6:0} ms  {what}");

    private void Arrived(string where, string topic, byte[] body)
    {
        var text = Encoding.UTF8.GetString(body);
        if (text != Body || topic != $"{Prefix}/{SentTopic}")
        {
            throw new LaunchException($"The demo failed: {where} got {text} on {topic}.");
        }
        _progress($"{_sincePost.Elapsed.TotalMilliseconds,6:0} ms  after the post: {where}, topic {topic}");
    }

    private async Task CleanUp()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        try
        {
            if (_mqtt.IsConnected)
            {
                await _mqtt.DisconnectAsync(new MqttClientDisconnectOptions(), patience.Token);
            }
            if (_hub is not null)
            {
                await DeleteAll("routes", patience.Token);
                await DeleteAll("networks", patience.Token);
                await _api.Delete($"hubs/{_hub}?delete_devices=true", patience.Token);
            }
            await _container.DeleteIfExistsAsync(cancellationToken: patience.Token);
            _progress("cleaned up");
        }
        catch (Exception e)
            when (e is LaunchException or HttpRequestException or OperationCanceledException or Azure.RequestFailedException)
        {
            _progress($"could not clean up all of it: {e.Message}");
        }
    }

    private async Task DeleteAll(string kind, CancellationToken cancel)
    {
        var list = await _api.Get($"{kind}?hub_id={_hub}", cancel);
        foreach (var item in list.GetProperty(kind).EnumerateArray())
        {
            await _api.Delete($"{kind}/{item.GetProperty("id").GetString()}", cancel);
        }
    }
}
