using System.Text.Json;
using System.Text.Json.Nodes;
using IotHub.EndToEnd.Clients;
using IotHub.Harness;

namespace IotHub.EndToEnd.Support;

public sealed record TestDevice(Guid Id, string CertificatePem, string KeyPem);

public sealed record TestNetwork(Guid Id, string Secret, Uri Url);

/// <summary>One hub of the running system, made over its API for one test.</summary>
public sealed class TestHub(ManagementApi api, LocalEndpoints endpoints, Guid id) : IAsyncDisposable
{
    public Guid Id => id;

    public async Task<TestDevice> NewDevice(bool allowInsecure = true, JsonObject? more = null)
    {
        var body = new JsonObject
        {
            ["name"] = $"device-{Guid.NewGuid():N}",
            ["hub_id"] = id.ToString(),
            ["allow_insecure"] = allowInsecure,
        };
        foreach (var (name, value) in more ?? [])
        {
            body[name] = value?.DeepClone();
        }
        var made = await api.Post("devices", body);
        var certificate = made.GetProperty("certificate");
        return new TestDevice(
            made.GetProperty("device").GetProperty("id").GetGuid(),
            certificate.GetProperty("crt").GetString()!,
            certificate.GetProperty("key").GetString()!);
    }

    public Task DisableDevice(TestDevice device) => api.Post($"devices/{device.Id}/disable", []);

    public Task EnableDevice(TestDevice device) => api.Post($"devices/{device.Id}/enable", []);

    public Task DeleteDevice(TestDevice device) => api.Delete($"devices/{device.Id}");

    public Task<JsonElement> Device(TestDevice device) => api.Get($"devices/{device.Id}");

    /// <param name="type"><c>rest</c> or <c>sigfox</c>.</param>
    public async Task<TestNetwork> NewNetwork(string type, string prefix = "")
    {
        var body = new JsonObject { ["name"] = type, ["hub_id"] = id.ToString(), ["type"] = type, ["topic_prefix"] = prefix };
        var made = await api.Post("networks", body);
        var network = made.GetProperty("network");
        return new TestNetwork(
            network.GetProperty("id").GetGuid(),
            made.GetProperty("secret").GetString()!,
            new Uri($"http://{network.GetProperty("endpoint").GetString()}"));
    }

    public Task<Guid> NewRestRoute(string topic, Uri target, string verb = "post", JsonObject? headers = null) =>
        NewRoute(topic, "rest_config", new JsonObject
        {
            ["verb"] = verb,
            ["uri"] = target.ToString(),
            ["headers"] = headers?.DeepClone() ?? new JsonObject(),
        });

    public Task<Guid> NewObjectRoute(string topic, string bucket, string strategy, string prefix = "") =>
        NewRoute(topic, "s3_config", new JsonObject
        {
            ["bucket_region"] = endpoints.Region,
            ["bucket_name"] = bucket,
            ["object_prefix"] = prefix,
            ["strategy"] = strategy,
        });

    /// <summary>How this device connects with nothing but its id as client id, on a plain port.</summary>
    public MqttLogin Login(TestDevice device, int version = 4, MqttTransport transport = MqttTransport.Tcp)
    {
        var mqtt = endpoints.Mqtt;
        var url = transport switch
        {
            MqttTransport.Tcp => $"mqtt://{mqtt.Host}:{mqtt.Port}",
            MqttTransport.Tls => $"mqtts://{mqtt.Host}:{mqtt.TlsPort}",
            MqttTransport.WebSocket => mqtt.WsUrl,
            _ => mqtt.WssUrl,
        };
        return new MqttLogin(url, version) { ClientId = $"{device.Id}" };
    }

    public async ValueTask DisposeAsync() => await api.Delete($"hubs/{id}?delete_devices=true");

    private async Task<Guid> NewRoute(string topic, string kind, JsonObject config)
    {
        var body = new JsonObject { ["name"] = kind, ["hub_id"] = id.ToString(), ["topic"] = topic, [kind] = config };
        return (await api.Post("routes", body)).GetProperty("id").GetGuid();
    }
}
