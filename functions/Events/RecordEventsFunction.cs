using System.Globalization;
using System.Security.Cryptography;
using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Core.Storage;

namespace IotHub.Functions.Events;

/// <summary>Keeps what the broker saw: who is connected, and what happened. A repeat of the same envelope changes nothing.</summary>
public sealed class RecordEventsFunction(IRegistry registry, IEventLog events)
{
    public async Task Run(ReadOnlyMemory<byte> queueMessage, CancellationToken cancel)
    {
        var envelope = EnvelopeJson.Read<EventsEnvelope>(queueMessage.Span);
        if (envelope.Activity.Count > 0)
        {
            await registry.RecordActivity(
                [
                    .. envelope.Activity.Select(report =>
                        new DeviceActivity(envelope.HubId, report.DeviceId, report.IsConnected, report.LastActivityAt, envelope.BrokerRun)),
                ],
                cancel);
        }
        if (envelope.Events.Count > 0)
        {
            var name = Convert.ToHexStringLower(SHA256.HashData(queueMessage.Span).AsSpan(0, 12));
            await events.Append(
                envelope.HubId,
                [
                    .. envelope.Events.Index().Select(one => new LoggedEvent(
                        string.Create(CultureInfo.InvariantCulture, $"{name}-{one.Index:D4}"), one.Item)),
                ],
                cancel);
        }
    }
}
