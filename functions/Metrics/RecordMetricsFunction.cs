using IotHub.Core.Messages;
using IotHub.Core.Storage;

namespace IotHub.Functions.Metrics;

/// <summary>Stores what the broker counted. A repeat of the same envelope writes the same; a hub that is gone is not counted any more.</summary>
public sealed class RecordMetricsFunction(IRegistry registry, IMetrics metrics)
{
    public async Task Run(ReadOnlyMemory<byte> queueMessage, CancellationToken cancel)
    {
        var envelope = EnvelopeJson.Read<MetricsEnvelope>(queueMessage.Span);
        if (envelope.Source.Length != 8 || !envelope.Source.All(char.IsAsciiHexDigitLower))
        {
            throw new FormatException("the source of metrics is not 8 characters of 0-9 and a-f");
        }
        if (await registry.GetHub(envelope.HubId, cancel) is { Value.Deleting: false })
        {
            await metrics.Record(envelope, cancel);
        }
    }
}
