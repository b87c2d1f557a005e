namespace IotHub.Broker.Protocol;

/// <summary>The header of a packet in words, as hub events carry it (Scaleway IoT reference, event payload, key <c>packet</c>).</summary>
public static class PacketText
{
    /// <example>PUBLISH: dup: false qos: 1 retain: false rLength: 12</example>
    public static string Of(byte firstByte, int remainingLength)
    {
        var type = (PacketType)(firstByte >> 4);
        var name = Enum.IsDefined(type) ? type.ToString().ToUpperInvariant() : $"TYPE {firstByte >> 4}";
        var isPublish = type == PacketType.Publish;
        var dup = isPublish && (firstByte & 8) != 0 ? "true" : "false";
        var retain = isPublish && (firstByte & 1) != 0 ? "true" : "false";
        return $"{name}: dup: {dup} qos: {(isPublish ? (firstByte >> 1) & 3 : 0)} retain: {retain} rLength: {remainingLength}";
    }
}
