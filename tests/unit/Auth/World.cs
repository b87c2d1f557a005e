using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using IotHub.Broker.Auth;
using IotHub.Broker.Bridge;
using IotHub.Core.Domain;
using IotHub.Core.Storage;
using IotHub.Core.Storage.Memory;
using IotHub.Harness;
using Microsoft.Extensions.Logging.Abstractions;

namespace IotHub.Unit.Auth;

/// <summary>A registry in memory, the broker's directory over it, a clock that stands still, and a broker that writes down what it is told.</summary>
internal sealed class World
{
    public const string PacketText = "CONNECT: dup: false qos: 0 retain: false rLength: 12";

    public World(BridgeLimits? limits = null, bool severityFirst = false)
    {
        Limits = limits ?? new BridgeLimits();
        Changes = new FailingFeed(new MemoryChangeFeed(Clock));
        Registry = new FailingRegistry(new MemoryRegistry(Changes));
        var live = new LiveChanges(Clock, severityFirst);
        Directory = new HubDirectory(Registry, live, Clock, Limits);
        live.Attach(Broker, Directory);
        Feed = new ChangeFeed(Changes, Directory, Clock, Limits, NullLogger<ChangeFeed>.Instance);
        Authenticator = new RegistryAuthenticator(Directory, Clock, Limits, NullLogger<RegistryAuthenticator>.Instance);
        Directory.MarkCurrent(Clock.GetTimestamp());
    }

    public BridgeLimits Limits { get; }
    public ManualTime Clock { get; } = new();
    public FailingFeed Changes { get; }
    public FailingRegistry Registry { get; }
    public RecordingBroker Broker { get; } = new();
    public HubDirectory Directory { get; }
    public ChangeFeed Feed { get; }
    public RegistryAuthenticator Authenticator { get; }

    public async Task<Hub> AddHub(Func<Hub, Hub>? with = null)
    {
        var hub = new Hub
        {
            Id = Guid.NewGuid(),
            Name = "MyHub",
            ProjectId = Guid.NewGuid(),
            OrganizationId = Guid.NewGuid(),
            Region = "fr-par",
            Plan = ProductPlan.PlanDedicated,
            EnabledChangedAt = Clock.GetUtcNow() - TimeSpan.FromHours(1),
            CreatedAt = Clock.GetUtcNow(),
            UpdatedAt = Clock.GetUtcNow(),
            CaCertificatePem = "authority one",
        };
        hub = with?.Invoke(hub) ?? hub;
        await Registry.CreateHub(hub);
        return hub;
    }

    public async Task<Device> AddDevice(Hub hub, Func<Device, Device>? with = null)
    {
        var id = Guid.NewGuid();
        var device = new Device
        {
            Id = id,
            HubId = hub.Id,
            Name = $"MyDevice-{id:N}",
            AllowInsecure = true,
            CreatedAt = Clock.GetUtcNow(),
            UpdatedAt = Clock.GetUtcNow(),
        };
        device = with?.Invoke(device) ?? device;
        await Registry.CreateDevice(device);
        return device;
    }

    public async Task Change(Hub hub, Func<Hub, Hub> with)
    {
        var stored = (await Registry.GetHub(hub.Id))!;
        await Registry.ReplaceHub(stored with { Value = with(stored.Value) });
    }

    public async Task Change(Device device, Func<Device, Device> with)
    {
        var stored = (await Registry.GetDevice(device.Id))!;
        await Registry.ReplaceDevice(stored with { Value = with(stored.Value) });
    }

    public async Task AddRoute(Hub hub, Guid id, string topic) => await Registry.CreateRoute(new Route
    {
        Id = id,
        HubId = hub.Id,
        Name = $"route {id}",
        Topic = topic,
        Rest = new RestRouteConfig(RestVerb.Post, "http://127.0.0.1/", new Dictionary<string, string>()),
        CreatedAt = Clock.GetUtcNow(),
        UpdatedAt = Clock.GetUtcNow(),
    });

    public async Task<ConnectVerdict> Connect(
        string clientId = "", string? userName = null, X509Certificate2? certificate = null, bool cleanStart = true, bool encrypted = false,
        params X509Certificate2[] chain) =>
        await Authenticator.Authenticate(
            new ConnectAttempt(
                4, clientId, userName, null, cleanStart, certificate, encrypted || certificate is not null,
                new IPEndPoint(IPAddress.Loopback, 1), RemainingLength: 12)
            {
                ClientChain = chain,
            },
            CancellationToken.None);

    /// <summary>Reads the feed and looks at all that is due.</summary>
    public async Task Follow()
    {
        await Feed.Poll(CancellationToken.None);
        await Feed.Look(CancellationToken.None);
    }

    public X509Certificate2 NewCertificate(int validFromDays = -1, int validToDays = 1)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var now = Clock.GetUtcNow();
        return new CertificateRequest("CN=device", key, HashAlgorithmName.SHA256).CreateSelfSigned(now.AddDays(validFromDays), now.AddDays(validToDays));
    }

    public static string FingerprintOf(X509Certificate2 certificate) =>
        Convert.ToHexStringLower(certificate.GetCertHash(HashAlgorithmName.SHA256));
}

/// <summary>A feed that can be made to fail or to lose what is announced.</summary>
internal sealed class FailingFeed(IChangeFeed inner) : IChangeFeed
{
    public bool Fails { get; set; }

    /// <summary>What is announced now is lost.</summary>
    public bool Swallows { get; set; }

    public Task Append(Guid hubId, ChangedKind kind, Guid id, CancellationToken cancel = default) =>
        Swallows ? Task.CompletedTask : inner.Append(hubId, kind, id, cancel);

    public Task<IReadOnlyList<RegistryChange>> ReadSince(DateTimeOffset since, CancellationToken cancel = default) =>
        Fails ? throw new RegistryUnavailableException("no answer", new IOException()) : inner.ReadSince(since, cancel);

    public Task<IReadOnlyList<RegistryChange>> ReadHours(DateTimeOffset from, DateTimeOffset until, CancellationToken cancel = default) =>
        inner.ReadHours(from, until, cancel);

    public Task Trim(DateTimeOffset before, CancellationToken cancel = default) => inner.Trim(before, cancel);
}
