using IotHub.Harness.Mqtt;

namespace IotHub.Conformance.Hostile;

/// <summary>Two well-behaved clients that talk throughout, while another one misbehaves.</summary>
public sealed class HealthyPair : IAsyncDisposable
{
    private readonly RawClient _publisher;
    private readonly RawClient _subscriber;
    private int _count;

    private HealthyPair(RawClient publisher, RawClient subscriber) => (_publisher, _subscriber) = (publisher, subscriber);

    public static async Task<HealthyPair> On(TestBroker broker)
    {
        var pair = new HealthyPair(await broker.Connect("healthy-publisher"), await broker.Connect("healthy-subscriber"));
        await pair._subscriber.Subscribe("healthy", 1);
        return pair;
    }

    /// <summary>A message goes through at QoS 1, alone and unchanged.</summary>
    public async Task IsServed()
    {
        var text = $"message {++_count}";
        var id = (ushort)_count;
        await _publisher.Send(Packet.Publish("healthy", text, 1, id));
        await _publisher.Expect(Packet.Ack(4, id));
        var received = await _subscriber.NextPublish();
        Xunit.Assert.Equal(text, received.Payload);
        await _subscriber.Send(Packet.Ack(4, received.Id));
    }

    public async ValueTask DisposeAsync()
    {
        await _publisher.DisposeAsync();
        await _subscriber.DisposeAsync();
    }
}
