using System.Text.Json;
using IotHub.Harness;

namespace IotHub.EndToEnd.Clients;

/// <summary>MQTT.js, the usual client of Node.js and of browsers, in a process of its own.</summary>
public sealed class MqttJsClient : IMqttTestClient
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);
    private readonly List<JsonElement> _waiting = [];
    private NodeScript? _script;

    public async Task<MqttConnected> Connect(MqttLogin login)
    {
        _script ??= await NodeScript.Start("tests/end-to-end/scripts/mqtt-client.mjs", new { });
        var what = JsonSerializer.SerializeToNode(login, Json)!.AsObject();
        what["is"] = "connect";
        await _script.Tell(what);
        var answer = await Told("connected", "error");
        return answer.GetProperty("is").GetString() == "connected"
            ? new MqttConnected(answer.GetProperty("code").GetInt32(), answer.GetProperty("sessionPresent").GetBoolean())
            : throw new IOException($"MQTT.js could not connect: {answer.GetProperty("text")}");
    }

    public async Task<int> Subscribe(string filter, int qos = 0)
    {
        await _script!.Tell(new { @is = "subscribe", filter, qos });
        return (await Told("subscribed")).GetProperty("qos").GetInt32();
    }

    public async Task Publish(string topic, string payload, int qos = 0, bool retain = false)
    {
        await _script!.Tell(new { @is = "publish", topic, payload, qos, retain });
        var told = await Told("published");
        if (told.TryGetProperty("text", out var problem))
        {
            throw new IOException($"MQTT.js could not publish: {problem}");
        }
    }

    public async Task<MqttReceived> Next(TimeSpan? deadline = null)
    {
        var message = await Told(deadline, "message");
        return new MqttReceived(
            message.GetProperty("topic").GetString()!,
            message.GetProperty("payload").GetBytesFromBase64(),
            message.GetProperty("qos").GetInt32(),
            message.GetProperty("retain").GetBoolean());
    }

    public Task Closed(TimeSpan? deadline = null) => Told(deadline, "closed");

    public async Task Disconnect()
    {
        await _script!.Tell(new { @is = "disconnect" });
        await Told("disconnected");
    }

    public async Task Drop()
    {
        await _script!.Tell(new { @is = "drop" });
        await Told("disconnected");
    }

    public async ValueTask DisposeAsync()
    {
        if (_script is not null)
        {
            await _script.DisposeAsync();
        }
    }

    private Task<JsonElement> Told(params string[] kinds) => Told(null, kinds);

    /// <summary>The next thing of these kinds; what is of another kind is kept for whoever asks for it.</summary>
    private async Task<JsonElement> Told(TimeSpan? deadline, params string[] kinds)
    {
        var kept = _waiting.FindIndex(told => kinds.Contains(told.GetProperty("is").GetString()));
        if (kept >= 0)
        {
            var told = _waiting[kept];
            _waiting.RemoveAt(kept);
            return told;
        }
        while (true)
        {
            var told = await _script!.Next(deadline);
            if (kinds.Contains(told.GetProperty("is").GetString()))
            {
                return told;
            }
            _waiting.Add(told);
        }
    }
}
