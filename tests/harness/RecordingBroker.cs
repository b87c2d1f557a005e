using System.Collections.Concurrent;
using IotHub.Broker.Auth;
using IotHub.Broker.Bridge;
using IotHub.Broker.Protocol;
using IotHub.Core.Messages;

namespace IotHub.Harness;

/// <summary>A broker without clients: keeps what it was asked for, in order, and publishes into a list.</summary>
public sealed class RecordingBroker : IBrokerControl
{
    private readonly ConcurrentQueue<Call> _calls = new();
    private readonly ConcurrentDictionary<Guid, HubSettings> _settings = new();
    private readonly ConcurrentDictionary<Guid, byte> _messageIds = new();
    private Task _hold = Task.CompletedTask;

    public abstract record Call(Guid HubId);

    public sealed record Published(Guid HubId, DeviceMessage Message, Guid? ExceptRoute) : Call(HubId);

    public sealed record RightsSwapped(Guid HubId, Guid DeviceId, Rights Rights) : Call(HubId);

    public sealed record DeviceEnded(
        Guid HubId, Guid DeviceId, ReasonCode Reason, HubEvent? Because, bool DropSessions, bool ExceptCertified) : Call(HubId);

    public sealed record HubEnded(Guid HubId, ReasonCode Reason, HubEvent? Because, bool DropEverything) : Call(HubId);

    public sealed record Raised(Guid HubId, HubEvent Happened) : Call(HubId);

    public sealed record Configured(Guid HubId, HubSettings Settings) : Call(HubId);

    public IReadOnlyList<Call> Calls => [.. _calls];

    public IReadOnlyList<Published> Messages => [.. _calls.OfType<Published>()];

    public ConcurrentDictionary<Guid, Guid[]> Connected { get; } = new();

    /// <summary>When set, the answer to every publish; nothing is published then.</summary>
    public IngestOutcome? Answer { get; set; }

    public void Forget() => _calls.Clear();

    /// <summary>Publishes are not safe, and not answered, until the returned action is called.</summary>
    public Action HoldPublishes()
    {
        var hold = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _hold = hold.Task;
        return () =>
        {
            _hold = Task.CompletedTask;
            hold.SetResult();
        };
    }

    public async Task<IngestOutcome> Publish(Guid hubId, DeviceMessage message, Guid? exceptRoute, CancellationToken cancel)
    {
        if (!_settings.ContainsKey(hubId))
        {
            throw new InvalidOperationException($"hub {hubId} was not configured before its first message");
        }
        if (Answer is { } answer)
        {
            return answer;
        }
        if (!TopicFilter.IsValidName(message.Topic))
        {
            return IngestOutcome.TopicInvalid;
        }
        if (!_messageIds.TryAdd(message.Id, 0))
        {
            return IngestOutcome.Duplicate;
        }
        _calls.Enqueue(new Published(hubId, message, exceptRoute));
        await _hold.WaitAsync(cancel);
        return IngestOutcome.Accepted;
    }

    public void Raise(Guid hubId, HubEvent happened) => _calls.Enqueue(new Raised(hubId, happened));

    public void RightsChanged(Guid hubId, Guid deviceId, Rights rights) => _calls.Enqueue(new RightsSwapped(hubId, deviceId, rights));

    public void DisconnectDevice(
        Guid hubId, Guid deviceId, ReasonCode reason, HubEvent? because, bool dropSessions, bool exceptCertified = false) =>
        _calls.Enqueue(new DeviceEnded(hubId, deviceId, reason, because, dropSessions, exceptCertified));

    public void DisconnectHub(Guid hubId, ReasonCode reason, HubEvent? because, bool dropEverything) =>
        _calls.Enqueue(new HubEnded(hubId, reason, because, dropEverything));

    public void Configure(Guid hubId, HubSettings settings)
    {
        _settings[hubId] = settings;
        _calls.Enqueue(new Configured(hubId, settings));
    }

    public IReadOnlyCollection<Guid> ConnectedDevices(Guid hubId) => Connected.GetValueOrDefault(hubId) ?? [];
}
