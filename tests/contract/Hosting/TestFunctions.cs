using System.Net;
using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Core.Queues;
using IotHub.Core.Queues.Memory;
using IotHub.Core.Security;
using IotHub.Core.Storage;
using IotHub.Core.Storage.Memory;
using IotHub.Functions;
using IotHub.Harness;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace IotHub.Contract.Hosting;

/// <summary>The function app in this process, on a free port, over storage in memory; the broker is a server of the test.</summary>
internal sealed class TestFunctions : IAsyncDisposable
{
    private readonly WebApplication _app;

    private TestFunctions(WebApplication app, ManualTime clock, TestHttpServer broker)
    {
        _app = app;
        Clock = clock;
        Broker = broker;
        Port = new Uri(app.Urls.Single()).Port;
        Http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false }) { BaseAddress = new Uri($"http://127.0.0.1:{Port}") };
    }

    public const string BrokerKey = "the broker's key";
    public int Port { get; }
    public HttpClient Http { get; }
    public ManualTime Clock { get; }

    /// <summary>Accepts everything until told otherwise.</summary>
    public TestHttpServer Broker { get; }

    public IRegistry Registry => Get<IRegistry>();
    public MemoryQueue Ingress => (MemoryQueue)_app.Services.GetRequiredKeyedService<IMessageQueue>(StorageNames.IngressQueue);
    public MemoryQueue Deliveries => (MemoryQueue)_app.Services.GetRequiredKeyedService<IMessageQueue>(StorageNames.DeliveriesQueue);
    public MemoryPayloads Payloads => (MemoryPayloads)_app.Services.GetRequiredKeyedService<IPayloads>(StorageNames.PayloadsContainer);
    public MemoryPayloads DeadLetters => (MemoryPayloads)_app.Services.GetRequiredKeyedService<IPayloads>(StorageNames.DeadLettersContainer);
    public MemoryObjectStore Objects => (MemoryObjectStore)Get<IObjectStore>();

    public static FunctionsSettings Settings(Uri broker) => new()
    {
        Port = 0,
        Storage = StorageAccount.At("UseDevelopmentStorage=true"),
        BrokerUrl = broker,
        BrokerKey = BrokerKey,
        SealingKey = new byte[32],
        RouteAllowedNetworks = [IPNetwork.Parse("127.0.0.0/8")],
    };

    /// <param name="with">Replaces services; the last registration wins.</param>
    public static async Task<TestFunctions> Start(
        Action<IServiceCollection>? with = null, Func<FunctionsSettings, FunctionsSettings>? settings = null)
    {
        var clock = new ManualTime();
        var broker = await TestHttpServer.Start();
        broker.Answers(202);
        var app = FunctionsHost.Build((settings ?? (same => same))(Settings(broker.Url)), services =>
        {
            services.AddMemoryStorage();
            services.AddSingleton<TimeProvider>(clock);
            services.AddLogging(logging => logging.ClearProviders());
            with?.Invoke(services);
        });
        await app.StartAsync();
        return new TestFunctions(app, clock, broker);
    }

    public T Get<T>()
        where T : notnull => _app.Services.GetRequiredService<T>();

    /// <summary>A hub that is ready, with events on.</summary>
    public async Task<Hub> NewHub(Func<Hub, Hub>? with = null)
    {
        var hub = (with ?? (same => same))(new Hub
        {
            Id = Guid.NewGuid(),
            Name = "hub",
            ProjectId = Guid.NewGuid(),
            OrganizationId = Guid.NewGuid(),
            Region = "fr-par",
            EnabledChangedAt = Clock.GetUtcNow() - TimeSpan.FromMinutes(1),
            CreatedAt = Clock.GetUtcNow(),
            UpdatedAt = Clock.GetUtcNow(),
            CaCertificatePem = "pem",
        });
        await Registry.CreateHub(hub);
        return hub;
    }

    /// <returns>The network and the token to post with.</returns>
    public async Task<(Network Network, string Token)> NewNetwork(Guid hubId, NetworkType type = NetworkType.Rest, string prefix = "")
    {
        var secret = NetworkSecret.New(Guid.NewGuid());
        var network = new Network
        {
            Id = secret.NetworkId,
            HubId = hubId,
            Name = "network",
            Type = type,
            TopicPrefix = prefix,
            KeyHash = secret.KeyHash,
            CreatedAt = Clock.GetUtcNow(),
        };
        await Registry.CreateNetwork(network);
        return (network, secret.ToToken());
    }

    public async Task<Route> NewRoute(Guid hubId, Func<Route, Route> with)
    {
        var route = with(new Route
        {
            Id = Guid.NewGuid(),
            HubId = hubId,
            Name = "route",
            Topic = "#",
            CreatedAt = Clock.GetUtcNow(),
            UpdatedAt = Clock.GetUtcNow(),
        });
        await Registry.CreateRoute(route);
        return route;
    }

    /// <summary>Puts a batch for a route on the deliveries queue, as the broker does.</summary>
    public Task Owe(Route route, params DeviceMessage[] messages) => new EnvelopeQueue(Deliveries, Payloads).Send(
        new DeliveryEnvelope
        {
            HubId = route.HubId,
            RouteId = route.Id,
            CreatedAt = Clock.GetUtcNow(),
            Messages =
            [
                .. messages.Select(message => new EnvelopeMessage
                {
                    Id = message.Id,
                    Topic = message.Topic,
                    Payload = message.Payload.ToArray(),
                    Retain = message.Retain,
                    ReceivedAt = message.ReceivedAt,
                }),
            ],
        },
        TimeSpan.Zero);

    public DeviceMessage Message(string topic, string payload = "payload", bool retain = false) =>
        new(Guid.NewGuid(), topic, System.Text.Encoding.UTF8.GetBytes(payload), retain, Clock.GetUtcNow());

    /// <summary>What the host does once: takes what is visible on the deliveries queue and invokes the function with each.</summary>
    /// <returns>How many messages it took; each invocation has to succeed.</returns>
    public async Task<int> DeliverOnce()
    {
        var taken = await Deliveries.Receive(32, TimeSpan.FromMinutes(10));
        foreach (var message in taken)
        {
            var body = $$$"""{"Data":{"message":"{{{Convert.ToBase64String(message.Body!.Value.Span)}}}"},"Metadata":{}}""";
            using var answer = await Http.PostAsync(new Uri("/DeliverRoutes", UriKind.Relative), new StringContent(body));
            Xunit.Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            await Deliveries.Delete(message);
        }
        return taken.Count;
    }

    /// <summary>The host over time: delivers, and moves the clock to where something is due, until the queue is empty.</summary>
    public async Task DeliverAll(int maximumSeconds = 1_000_000)
    {
        for (var seconds = 0; Deliveries.Count > 0; seconds += 10)
        {
            Xunit.Assert.True(seconds < maximumSeconds, "the deliveries queue does not get empty");
            if (await DeliverOnce() == 0)
            {
                Clock.Advance(TimeSpan.FromSeconds(10));
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await _app.DisposeAsync();
        await Broker.DisposeAsync();
    }
}
