using IotHub.Broker;
using IotHub.Broker.Auth;
using IotHub.Harness;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance;

/// <summary>
/// One broker for one test, on a time that stands still until the test moves it, and clients that are closed with it. Every test of a
/// class runs over the transport that its constructor names.
/// </summary>
public abstract class Conversation(Via via = Via.Tcp, BrokerLimits? limits = null, IAuthenticator? door = null) : IAsyncLifetime
{
    /// <summary>How long a session of <see cref="Resume"/> is kept, in seconds.</summary>
    protected const uint LastingSeconds = 1000;

    private readonly List<RawClient> _clients = [];

    protected TestBroker Broker { get; } = TestBroker.Start(limits, door ?? new GuardedDoor(), new ManualTime(), via: via);

    /// <summary>A client with a clean session that ends with its connection.</summary>
    protected Task<RawClient> Connect(string id, byte level) => Connect(new ConnectOptions { ClientId = id, Level = level });

    /// <summary>A client that takes up its stored session, or begins one that lasts.</summary>
    protected Task<RawClient> Resume(string id, byte level, ushort? receiveMaximum = null) => Connect(new ConnectOptions
    {
        ClientId = id,
        Level = level,
        CleanStart = false,
        Properties = level < 5 ? [] : [
            .. Packet.Property(0x11, LastingSeconds), .. receiveMaximum is { } maximum ? Packet.Property(0x21, maximum) : []],
    });

    protected async Task<RawClient> Connect(ConnectOptions options)
    {
        var client = await Broker.Connect(options);
        _clients.Add(client);
        return client;
    }

    /// <summary>A connection on which nothing was sent yet.</summary>
    protected async Task<RawClient> Open(byte level = 5)
    {
        var client = await Broker.Open();
        client.IsV5 = level == 5;
        _clients.Add(client);
        return client;
    }

    /// <summary>Moves the time on, in steps that a client with Keep Alive 60 survives.</summary>
    protected async Task Pass(TimeSpan time, params RawClient[] pinging)
    {
        for (var left = time; left > TimeSpan.Zero; left -= TimeSpan.FromSeconds(50))
        {
            Broker.Advance(left < TimeSpan.FromSeconds(50) ? left : TimeSpan.FromSeconds(50));
            foreach (var client in pinging)
            {
                await client.ExpectNothing();
            }
        }
    }

    /// <summary>Closes without a DISCONNECT and waits until the broker has noticed.</summary>
    protected async Task Cut(RawClient client)
    {
        var before = Broker.Broker.Connections;
        client.Cut();
        await Eventually.True(() => Broker.Broker.Connections < before);
    }

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        foreach (var client in _clients)
        {
            await client.DisposeAsync();
        }
        await Broker.DisposeAsync();
    }
}
