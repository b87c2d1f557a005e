using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using IotHub.Broker.Bridge;
using IotHub.Broker.Protocol;
using IotHub.Core.Domain;
using IotHub.Core.Storage;

namespace IotHub.Broker.Auth;

/// <summary>
/// Finds the device behind a CONNECT and decides whether it may come in (Scaleway IoT reference, CONNECT fields and security matrix).
/// A yes may come from memory, because the change feed takes it back; a no is only given after a look at the registry, so that a device
/// that was just created or enabled is not sent away.
/// </summary>
public sealed partial class RegistryAuthenticator : IAuthenticator
{
    private static readonly ConnectVerdict TryLater = new ConnectVerdict.Refused(ReasonCode.ServerUnavailable);
    private static readonly ConnectVerdict Busy = new ConnectVerdict.Refused(ReasonCode.ServerBusy);
    private static readonly ConnectVerdict Unknown = new ConnectVerdict.Refused(ReasonCode.NotAuthorized);

    private readonly HubDirectory _directory;
    private readonly TimeProvider _clock;
    private readonly int _room;
    private readonly ILogger<RegistryAuthenticator> _logger;
    private int _inside;

    public RegistryAuthenticator(HubDirectory directory, TimeProvider clock, BridgeLimits limits, ILogger<RegistryAuthenticator> logger)
    {
        _directory = directory;
        _clock = clock;
        _room = limits.ConcurrentAuthentications;
        _logger = logger;
    }

    public async ValueTask<ConnectVerdict> Authenticate(ConnectAttempt attempt, CancellationToken cancel)
    {
        if (!_directory.IsCurrent)
        {
            return TryLater;
        }
        try
        {
            if (Interlocked.Increment(ref _inside) > _room)
            {
                return Busy;
            }
            var memory = new Reader(_directory, fresh: false);
            var verdict = await Decide(attempt, memory, cancel);
            return verdict is ConnectVerdict.Refused && memory.UsedMemory
                ? await Decide(attempt, new Reader(_directory, fresh: true), cancel)
                : verdict;
        }
        catch (Exception e)
        {
            if (!cancel.IsCancellationRequested)
            {
                var isExpected = e is RegistryUnavailableException or OperationCanceledException or TimeoutException;
                Log.NoAnswer(_logger, e.Message, isExpected ? null : e);
            }
            return TryLater;
        }
        finally
        {
            Interlocked.Decrement(ref _inside);
        }
    }

    private async Task<ConnectVerdict> Decide(ConnectAttempt attempt, Reader reader, CancellationToken cancel)
    {
        var named = await NamedDevice(attempt, reader, cancel);
        var certified = attempt.ClientCertificate is { } certificate ? await CertifiedDevice(certificate, named, reader, cancel) : null;
        if (certified is null && await AuthorityOf(attempt, named, reader, cancel) is { } owner)
        {
            return await DecideByChain(attempt, owner.Hub, owner.IsUnder, named, reader, cancel);
        }
        if ((certified ?? named) is not { } device)
        {
            return Unknown;
        }
        // Also for a no: its event is raised on the hub, which has to be configured for that.
        if (await reader.Hub(device.HubId, cancel) is not { } hub)
        {
            return Unknown;
        }
        if (attempt.ClientCertificate is not null && (certified is null || await NamesAnother(attempt, certified, reader, cancel)))
        {
            return Refuse(attempt, device, ReasonCode.NotAuthorized, EventTexts.InvalidDeviceCertificate);
        }
        return attempt.ClientCertificate is null && !device.AllowInsecure
            ? Refuse(attempt, device, ReasonCode.NotAuthorized, EventTexts.MutualTlsRequired)
            : Admit(attempt, hub, device);
    }

    private ConnectVerdict Admit(ConnectAttempt attempt, HubEntry hub, Device device)
    {
        if (hub.Hub.StatusAt(_clock.GetUtcNow()) != HubStatus.Ready)
        {
            return NotReady(attempt, hub);
        }
        if (device.Status != DeviceStatus.Enabled)
        {
            return Refuse(attempt, device, ReasonCode.NotAuthorized, EventTexts.DeviceNotEnabled);
        }
        var rights = LiveChanges.RightsOf(hub, device);
        if (rights.Plan.CleanSessionOnly && !attempt.CleanStart)
        {
            return Refuse(attempt, device, ReasonCode.NotAuthorized, EventTexts.CleanSessionMandatory);
        }
        var clientId = rights.AllowMultipleConnections ? attempt.ClientId : device.Id.ToString();
        return new ConnectVerdict.Accepted(device.HubId, device.Id, clientId, rights)
        {
            StillStands = () => _directory.StillHolds(hub, device),
            Events = LiveChanges.TemplateWarnings(hub, device, _clock),
        };
    }

    private ConnectVerdict.Refused NotReady(ConnectAttempt attempt, HubEntry hub) => new(
        ReasonCode.ServerUnavailable,
        hub.Hub.Id,
        HubEvents.OfHub(hub.Hub.Id, EventTexts.HubNotReady, _clock, attempt.PacketText));

    /// <summary>The device that the client id names, else the one that the user name names. The password says nothing.</summary>
    private static async Task<Device?> NamedDevice(ConnectAttempt attempt, Reader reader, CancellationToken cancel) =>
        await Named(attempt.ClientId, reader, cancel) ?? await Named(attempt.UserName, reader, cancel);

    private static async Task<Device?> Named(string? text, Reader reader, CancellationToken cancel) =>
        Guid.TryParseExact(text, "D", out var id) ? await reader.Device(id, cancel) : null;

    private async Task<Device?> CertifiedDevice(X509Certificate2 certificate, Device? named, Reader reader, CancellationToken cancel)
    {
        var now = _clock.GetUtcNow();
        if (now < certificate.NotBefore || now > certificate.NotAfter)
        {
            return null;
        }
        var fingerprint = Convert.ToHexStringLower(certificate.GetCertHash(HashAlgorithmName.SHA256));
        var device = named is not null && named.CertificateFingerprint == fingerprint
            ? named
            : await _directory.DeviceByCertificate(fingerprint, cancel) is { } found ? await reader.Device(found.Id, cancel) : null;
        return device?.CertificateFingerprint == fingerprint ? device : null;
    }

    private static async Task<bool> NamesAnother(ConnectAttempt attempt, Device device, Reader reader, CancellationToken cancel) =>
        (await Named(attempt.ClientId, reader, cancel) is { } byClientId && byClientId.Id != device.Id)
        || (await Named(attempt.UserName, reader, cancel) is { } byUserName && byUserName.Id != device.Id);

    private ConnectVerdict.Refused Refuse(ConnectAttempt attempt, Device device, ReasonCode reason, string text) =>
        new(reason, device.HubId, HubEvents.OfDevice(device.Id, text, _clock, attempt.PacketText));

    /// <summary>One decision's way to the registry; a fresh one believes no memory and reads nothing twice.</summary>
    private sealed class Reader(HubDirectory directory, bool fresh)
    {
        private readonly Dictionary<Guid, Device?> _seen = [];

        public bool UsedMemory { get; private set; }

        public async ValueTask<Device?> Device(Guid id, CancellationToken cancel)
        {
            if (_seen.TryGetValue(id, out var seen))
            {
                return seen;
            }
            if (!fresh && directory.RecallDevice(id) is { } known)
            {
                UsedMemory = true;
                return _seen[id] = known;
            }
            return _seen[id] = fresh ? await directory.FreshDevice(id, cancel) : await directory.Device(id, cancel);
        }

        public async ValueTask<HubEntry?> Hub(Guid id, CancellationToken cancel)
        {
            if (!fresh && directory.RecallHub(id) is { } known)
            {
                UsedMemory = true;
                return known;
            }
            return fresh ? await directory.FreshHub(id, cancel) : await directory.Hub(id, cancel);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning, "A client was told to try later, because the registry did not answer: {Reason}")]
        public static partial void NoAnswer(ILogger logger, string reason, Exception? exception);
    }
}
