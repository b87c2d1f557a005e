namespace IotHub.Broker.Sessions;

/// <summary>How long the parts of a message are, wherever it lies: enough to know how large its PUBLISH will be.</summary>
/// <param name="Expires">A Message Expiry Interval goes out with it.</param>
public readonly record struct MessageLengths(int Topic, int Properties, int Payload, bool Expires)
{
    public static MessageLengths Of(in PublishedMessage message) =>
        new(message.Topic.Utf8.Length, message.Properties.Length, message.Payload.Length, message.ExpirySeconds is not null);

    public static MessageLengths Of(Message message) =>
        new(message.Topic.Length, message.Properties.Length, message.Payload.Length, message.ExpiresAt != long.MaxValue);
}
