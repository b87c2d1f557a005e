using System.Collections.Concurrent;
using IotHub.Broker.Auth;
using IotHub.Core.Domain;
using IotHub.Core.Messages;

namespace IotHub.Broker.Bridge;

public enum InboundOutcome
{
    /// <summary>Published, and safe where it has to be; or published before under the same id.</summary>
    Accepted,
    TopicInvalid,
    UnknownHub,
    HubNotReady,

    /// <summary>The registry does not answer, or a buffer is full: the same message may come again.</summary>
    NotNow,
}

/// <summary>
/// The way of messages into a hub that were born outside: over the internal endpoint or the ingress queue. Makes sure that the hub is
/// configured and ready, and publishes. A repeat of a message that is not safe yet waits until the first one is.
/// </summary>
public sealed partial class InboundBridge(HubDirectory directory, IBrokerControl control, TimeProvider clock, ILogger<InboundBridge> logger)
{
    private readonly ConcurrentDictionary<(Guid Hub, Guid Message), Task<IngestOutcome>> _underWay = new();

    /// <summary>Is there any use in trying?</summary>
    public bool IsOpen => directory.IsCurrent;

    public async Task<InboundOutcome> Accept(Guid hubId, DeviceMessage message, Guid? exceptRoute, CancellationToken cancel)
    {
        if (!directory.IsCurrent)
        {
            return InboundOutcome.NotNow;
        }
        if (!TopicFilter.IsValidName(message.Topic))
        {
            return InboundOutcome.TopicInvalid;
        }
        HubEntry? hub;
        try
        {
            hub = await ReadyHub(hubId, cancel);
        }
        catch (Exception e) when (!cancel.IsCancellationRequested)
        {
            Log.NoAnswer(logger, hubId, e.Message);
            return InboundOutcome.NotNow;
        }
        if (hub is null)
        {
            return InboundOutcome.UnknownHub;
        }
        return IsReady(hub) ? await Publish(hubId, message, exceptRoute, cancel) : InboundOutcome.HubNotReady;
    }

    // A no is never said from memory.
    private async Task<HubEntry?> ReadyHub(Guid hubId, CancellationToken cancel)
    {
        var known = directory.RecallHub(hubId);
        return known is null
            ? await directory.Hub(hubId, cancel)
            : IsReady(known) ? known : await directory.FreshHub(hubId, cancel);
    }

    private bool IsReady(HubEntry hub) => hub.Hub.StatusAt(clock.GetUtcNow()) == HubStatus.Ready;

    private async Task<InboundOutcome> Publish(Guid hubId, DeviceMessage message, Guid? exceptRoute, CancellationToken cancel)
    {
        var key = (hubId, message.Id);
        var started = new TaskCompletionSource<IngestOutcome>(TaskCreationOptions.RunContinuationsAsynchronously);
        var published = _underWay.GetOrAdd(key, started.Task);
        if (published == started.Task)
        {
            _ = Complete(key, started, message, exceptRoute);
        }
        return await published.WaitAsync(cancel) switch
        {
            IngestOutcome.Accepted or IngestOutcome.Duplicate => InboundOutcome.Accepted,
            IngestOutcome.TopicInvalid => InboundOutcome.TopicInvalid,
            _ => InboundOutcome.NotNow,
        };
    }

    // Not ended by the one who asked: the message is published by now, and a repeat will want to know how it went.
    private async Task Complete(
        (Guid Hub, Guid Message) key, TaskCompletionSource<IngestOutcome> started, DeviceMessage message, Guid? exceptRoute)
    {
        try
        {
            started.SetResult(await control.Publish(key.Hub, message, exceptRoute, CancellationToken.None));
        }
        catch (Exception e)
        {
            Log.Failed(logger, key.Message, key.Hub, e);
            started.SetResult(IngestOutcome.BufferFull);
        }
        finally
        {
            _underWay.TryRemove(key, out _);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning, "A message for hub {HubId} was put off, because the registry did not answer: {Reason}")]
        public static partial void NoAnswer(ILogger logger, Guid hubId, string reason);

        [LoggerMessage(2, LogLevel.Error, "Message {MessageId} for hub {HubId} could not be published")]
        public static partial void Failed(ILogger logger, Guid messageId, Guid hubId, Exception exception);
    }
}
