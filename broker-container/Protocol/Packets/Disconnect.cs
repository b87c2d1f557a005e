namespace IotHub.Broker.Protocol.Packets;

/// <summary>DISCONNECT from a client (MQTT 5.0 section 3.14).</summary>
/// <param name="SessionExpirySeconds">Null when it does not change.</param>
public readonly record struct Disconnect(ReasonCode Reason, uint? SessionExpirySeconds)
{
    // [reason code] | [properties]
    public static Disconnect Read(byte firstByte, ReadOnlySpan<byte> body, bool isV5)
    {
        if ((firstByte & 0x0F) != 0)
        {
            MqttException.Malformed("reserved flags of DISCONNECT [MQTT-3.14.1-1]");
        }
        var reader = new PacketReader(body);
        if (!isV5 || reader.AtEnd)
        {
            reader.End();
            return new Disconnect(ReasonCode.Success, null);
        }
        var reason = (ReasonCode)reader.Byte();
        if (!MayComeFromClient(reason))
        {
            MqttException.Protocol($"reason code 0x{(byte)reason:X2} does not belong to a client's DISCONNECT");
        }
        uint? expiry = null;
        if (!reader.AtEnd)
        {
            var properties = new PropertyReader(ref reader, PropertyPlace.Disconnect);
            while (properties.Next())
            {
                if (properties.Id == PropertyId.ServerReference)
                {
                    MqttException.Protocol("a client sent a server reference");
                }
                expiry = properties.Id == PropertyId.SessionExpiryInterval ? properties.Number : expiry;
            }
        }
        reader.End();
        return new Disconnect(reason, expiry);
    }

    private static bool MayComeFromClient(ReasonCode reason) => reason is ReasonCode.Success or ReasonCode.DisconnectWithWill
        or ReasonCode.UnspecifiedError or ReasonCode.MalformedPacket or ReasonCode.ProtocolError
        or ReasonCode.ImplementationSpecificError or ReasonCode.TopicNameInvalid or ReasonCode.ReceiveMaximumExceeded
        or ReasonCode.TopicAliasInvalid or ReasonCode.PacketTooLarge or ReasonCode.MessageRateTooHigh or ReasonCode.QuotaExceeded
        or ReasonCode.AdministrativeAction or ReasonCode.PayloadFormatInvalid;
}

/// <summary>AUTH (MQTT 5.0 section 3.15).</summary>
public sealed record Auth(ReasonCode Reason, string? Method, byte[]? Data)
{
    // [reason code] | [properties]
    public static Auth Read(byte firstByte, ReadOnlySpan<byte> body)
    {
        if ((firstByte & 0x0F) != 0)
        {
            MqttException.Malformed("reserved flags of AUTH [MQTT-3.15.1-1]");
        }
        var reader = new PacketReader(body);
        if (reader.AtEnd)
        {
            return new Auth(ReasonCode.Success, null, null);
        }
        var reason = (ReasonCode)reader.Byte();
        if (reason is not (ReasonCode.Success or ReasonCode.ContinueAuthentication or ReasonCode.ReAuthenticate))
        {
            MqttException.Protocol($"reason code 0x{(byte)reason:X2} does not belong to AUTH");
        }
        string? method = null;
        byte[]? data = null;
        if (!reader.AtEnd)
        {
            var properties = new PropertyReader(ref reader, PropertyPlace.Auth);
            while (properties.Next())
            {
                method = properties.Id == PropertyId.AuthenticationMethod ? Utf8Text.Decode(properties.Value) : method;
                data = properties.Id == PropertyId.AuthenticationData ? properties.Value.ToArray() : data;
            }
        }
        reader.End();
        return new Auth(reason, method, data);
    }
}
