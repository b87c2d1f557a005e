using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using IotHub.Broker;
using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Core.Queues;
using IotHub.Core.Queues.Azure;
using IotHub.Core.Storage;
using IotHub.Core.Storage.Tables;
using IotHub.Harness;
using IotHub.Harness.Mqtt;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace IotHub.Contract.Bridge;

/// <summary>The whole broker in this process on an account of Azurite of its own, which can be cut off.</summary>
internal sealed class RunningBroker : IAsyncDisposable
{
    public const string Key = "broker key";

    private readonly IReadOnlyList<Cable> _cables;
    private readonly StorageAccount _account;
    private readonly TempFolder _folder = new("broker");
    private readonly BrokerSettings _settings;
    private BrokerHost? _host;

    private RunningBroker(StorageAccount account, BrokerSettings settings, IReadOnlyList<Cable> cables)
    {
        _account = account;
        _settings = settings;
        _cables = cables;
        var changes = new TableChangeFeed(account.Tables(), TimeProvider.System);
        Registry = new TableRegistry(account.Tables(), changes, TimeProvider.System);
        Twins = new TableTwins(account.Tables());
    }

    /// <summary>The backend's view, which is never cut off.</summary>
    public IRegistry Registry { get; }

    public ITwins Twins { get; }

    public BrokerPorts Ports => _host!.Ports;

    public Uri InternalAddress => new($"http://127.0.0.1:{Ports.InternalPort}/");

    public static async Task<RunningBroker> Start(bool storageIsDown = false, bool severityFirst = false)
    {
        var connection = (await AzuriteServer.Shared()).NewAccount();
        var account = StorageAccount.At(connection);
        await account.EnsureCreated();
        var (throughCables, cables) = Cable.Through(connection);
        var settings = new BrokerSettings { StorageConnectionString = throughCables, BrokerKey = Key, EventsSeverityFirst = severityFirst };
        var running = new RunningBroker(account, settings, cables);
        if (storageIsDown)
        {
            running.CutStorage();
        }
        await running.StartHost();
        return running;
    }

    public async Task StartHost()
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        var file = Path.Combine(_folder.Path, "server.pem");
        await File.WriteAllTextAsync(file, certificate.ExportCertificatePem() + "\n" + key.ExportPkcs8PrivateKeyPem());
        var options = new BrokerOptions
        {
            Port = 0,
            TlsPort = 0,
            WsPort = 0,
            WssPort = 0,
            InternalPort = 0,
            CertificateFile = file,
        };
        _host = await BrokerHost.Start(options, _settings, NullLoggerFactory.Instance, TimeProvider.System, CancellationToken.None);
    }

    public Task StopHost() => _host!.Stop();

    public void CutStorage()
    {
        foreach (var cable in _cables)
        {
            cable.Pull();
        }
    }

    public void RestoreStorage()
    {
        foreach (var cable in _cables)
        {
            cable.Plug();
        }
    }

    public async Task<Hub> AddHub(bool enabled = true, Func<Hub, Hub>? with = null)
    {
        var now = DateTimeOffset.UtcNow;
        var hub = new Hub
        {
            Id = Guid.NewGuid(),
            Name = "hub",
            ProjectId = Guid.NewGuid(),
            OrganizationId = Guid.NewGuid(),
            Region = "fr-par",
            Plan = ProductPlan.PlanDedicated,
            Enabled = enabled,
            EnabledChangedAt = now.AddMinutes(-1),
            CreatedAt = now,
            UpdatedAt = now,
            CaCertificatePem = "",
        };
        hub = with?.Invoke(hub) ?? hub;
        await Registry.CreateHub(hub);
        return hub;
    }

    public async Task<Device> AddDevice(Hub hub, Func<Device, Device>? with = null)
    {
        var id = Guid.NewGuid();
        var now = DateTimeOffset.UtcNow;
        var device = new Device { Id = id, HubId = hub.Id, Name = $"device-{id}", AllowInsecure = true, CreatedAt = now, UpdatedAt = now };
        device = with?.Invoke(device) ?? device;
        await Registry.CreateDevice(device);
        return device;
    }

    public async Task Change(Device device, Func<Device, Device> with)
    {
        var stored = (await Registry.GetDevice(device.Id))!;
        await Registry.ReplaceDevice(stored with { Value = with(stored.Value) });
    }

    public async Task<Guid> AddRoute(Hub hub, string topic)
    {
        var id = Guid.NewGuid();
        var now = DateTimeOffset.UtcNow;
        await Registry.CreateRoute(new Route
        {
            Id = id,
            HubId = hub.Id,
            Name = $"route-{id}",
            Topic = topic,
            Rest = new RestRouteConfig(RestVerb.Post, "http://127.0.0.1/", new Dictionary<string, string>()),
            CreatedAt = now,
            UpdatedAt = now,
        });
        return id;
    }

    public IMessageQueue Queue(string name) => new AzureQueue(_account.Queues(), name);

    public IPayloads Payloads => new AzurePayloads(_account.Blobs(), StorageNames.PayloadsContainer);

    /// <summary>Takes envelopes off a queue, as a function would, until <paramref name="enough"/>.</summary>
    public async Task<List<T>> Take<T>(string queue, Func<List<T>, bool> enough)
    {
        List<T> taken = [];
        await Eventually.True(async () =>
        {
            foreach (var message in await Queue(queue).Receive(32, TimeSpan.FromMinutes(5)))
            {
                taken.Add(EnvelopeJson.Read<T>(message.Body!.Value.Span));
            }
            return enough(taken);
        });
        return taken;
    }

    /// <summary>A client whose CONNECT as this device was sent; the answer is still to be read.</summary>
    public Task<RawClient> Open(Device device, bool isV5 = true) =>
        Open(isV5, new ConnectOptions { ClientId = device.Id.ToString(), Level = (byte)(isV5 ? 5 : 4) });

    public async Task<RawClient> Open(bool isV5, ConnectOptions options)
    {
        var client = await RawClient.Open(Ports.Port);
        client.IsV5 = isV5;
        await client.Send(Packet.Connect(options));
        return client;
    }

    public async Task<RawClient> Connect(Device device, bool isV5 = true) => await Accepted(await Open(device, isV5));

    public async Task<RawClient> Connect(ConnectOptions options) => await Accepted(await Open(options.Level == 5, options));

    private static async Task<RawClient> Accepted(RawClient client)
    {
        var answer = await client.Next();
        Assert.True(answer[0] == 0x20 && answer[3] == 0, $"CONNACK says no: {Hex.Write(answer)}");
        return client;
    }

    public async ValueTask DisposeAsync()
    {
        if (_host is not null)
        {
            await _host.DisposeAsync();
        }
        foreach (var cable in _cables)
        {
            await cable.DisposeAsync();
        }
        _folder.Dispose();
    }
}
