namespace IotHub.Core.Messages;

/// <summary>A message of a hub on its way to a route, or from a network to the broker.</summary>
/// <param name="Id">Made where the message was accepted; the same on every repeat, so that a double can be told.</param>
/// <param name="Topic">Full topic name, prefix included.</param>
/// <param name="Payload">The bytes as they came.</param>
/// <param name="ReceivedAt">When the hub accepted it, UTC.</param>
public sealed record DeviceMessage(Guid Id, string Topic, ReadOnlyMemory<byte> Payload, bool Retain, DateTimeOffset ReceivedAt);
