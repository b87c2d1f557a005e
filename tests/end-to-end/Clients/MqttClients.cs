using IotHub.EndToEnd.Support;

namespace IotHub.EndToEnd.Clients;

public enum ClientKind { MqttNet, MqttJs }

/// <summary>The clients of one test, ended with it.</summary>
public sealed class MqttClients : IAsyncDisposable
{
    private readonly List<IMqttTestClient> _clients = [];

    public IMqttTestClient New(ClientKind kind)
    {
        IMqttTestClient client = kind == ClientKind.MqttNet ? new MqttNetClient() : new MqttJsClient();
        _clients.Add(client);
        return client;
    }

    /// <summary>A client that is connected; fails when the server refuses it.</summary>
    public async Task<IMqttTestClient> Connected(ClientKind kind, MqttLogin login)
    {
        var client = New(kind);
        var answer = await client.Connect(login);
        return answer.Code == 0 ? client : throw new InvalidOperationException($"{kind} was refused with {answer.Code}");
    }

    /// <summary>A connected .NET client of a new device of this hub, for the side of a test that is not looked at.</summary>
    public async Task<IMqttTestClient> OfNewDevice(TestHub hub) =>
        await Connected(ClientKind.MqttNet, hub.Login(await hub.NewDevice(), version: 5));

    public async ValueTask DisposeAsync()
    {
        foreach (var client in _clients)
        {
            await client.DisposeAsync();
        }
    }
}
