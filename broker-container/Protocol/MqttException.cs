using System.Diagnostics.CodeAnalysis;

namespace IotHub.Broker.Protocol;

/// <summary>
/// The peer broke the protocol: the connection ends. <see cref="Reason"/> is what a 5.0 client is told before the close; a 3.1.1 client
/// is only closed. Never used for an expected refusal, which is a reason code in an acknowledgement.
/// </summary>
public sealed class MqttException(ReasonCode reason, string detail) : Exception(detail)
{
    public ReasonCode Reason { get; } = reason;

    [DoesNotReturn]
    public static void Malformed(string detail) => throw new MqttException(ReasonCode.MalformedPacket, detail);

    [DoesNotReturn]
    public static void Protocol(string detail) => throw new MqttException(ReasonCode.ProtocolError, detail);
}
