using IotHub.Core.Messages;
using IotHub.Core.Queues;
using IotHub.Core.Queues.Memory;
using Xunit;

namespace IotHub.Unit.Queues;

/// <summary>Envelopes and the payloads that do not fit into them.</summary>
public sealed class EnvelopeQueueTests
{
    private static readonly Guid Hub = Guid.NewGuid();
    private readonly MemoryPayloads _payloads = new();
    private readonly EnvelopeQueue _queue;

    public EnvelopeQueueTests() => _queue = new EnvelopeQueue(new MemoryQueue(TimeProvider.System), _payloads);

    [Fact]
    public async Task A_payload_whose_blob_is_gone_is_missing_and_not_empty()
    {
        var message = Message() with { PayloadBlob = EnvelopeQueue.PayloadName(Hub, Guid.NewGuid()) };
        Assert.Null(await _queue.PayloadOf(message));
        await _payloads.Put(message.PayloadBlob, Array.Empty<byte>());
        Assert.Empty((await _queue.PayloadOf(message))!);
    }

    [Fact]
    public async Task On_its_way_in_and_on_its_way_out_a_message_has_two_blobs()
    {
        var message = Message() with { Payload = new byte[100_000] };
        await _queue.Send(new IngressEnvelope { HubId = Hub, SourceId = Guid.NewGuid(), Message = message });
        var delivery = new DeliveryEnvelope { HubId = Hub, RouteId = Guid.NewGuid(), CreatedAt = default, Messages = [message] };
        await _queue.Send(delivery, TimeSpan.Zero);
        await _payloads.Delete(EnvelopeQueue.IngressPayloadName(Hub, message.Id));
        Assert.NotNull(await _payloads.Get(EnvelopeQueue.PayloadName(Hub, message.Id), 100_000));
    }

    private static EnvelopeMessage Message() => new() { Id = Guid.NewGuid(), Topic = "t", ReceivedAt = DateTimeOffset.UnixEpoch };
}
