using System.Diagnostics.CodeAnalysis;

namespace IotHub.Broker.Protocol;

/// <summary>
/// The peer broke the protocol: the connection ends. <see cref="Reason"/> is what a 5.0 client is told before the close; a 3.1.1 client
/// is only closed. Never used for an expected refusal, which is a reason code in an acknowledgement.
/// </summary>
public sealed class MqttException(ReasonCode reason, string detail) : Exception(detail)
{
    public ReasonCode Reason { get; } = reason;

    /// <summary>What the hub's event says, where the reference has a text for just this; null for "failed to unpack message body".</summary>
    public string? EventText { get; init; }

    [DoesNotReturn]
    public static void InvalidQos(ReasonCode reason, int qos, string detail) =>
        throw new MqttException(reason, detail) { EventText = $"invalid MQTT QoS value: {qos}" };

    [DoesNotReturn]
    public static void Malformed(string detail) => throw new MqttException(ReasonCode.MalformedPacket, detail);

    [DoesNotReturn]
    public static void Protocol(string detail) => throw new MqttException(ReasonCode.ProtocolError, detail);
}
