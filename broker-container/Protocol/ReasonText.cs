namespace IotHub.Broker.Protocol;

/// <summary>Reason codes in words, for the Reason String of 5.0 where nothing more exact is known.</summary>
public static class ReasonText
{
    public static string Of(ReasonCode reason) => reason switch
    {
        ReasonCode.MalformedPacket => "the packet is malformed",
        ReasonCode.ProtocolError => "the packet breaks the protocol",
        ReasonCode.NotAuthorized => "the device's rights do not allow it",
        ReasonCode.ServerShuttingDown => "the server is stopping",
        ReasonCode.KeepAliveTimeout => "no packet came within one and a half times the keep alive",
        ReasonCode.SessionTakenOver => "another connection has taken the session over",
        ReasonCode.TopicFilterInvalid => "the topic filter is not valid or has too many levels",
        ReasonCode.TopicNameInvalid => "the topic name is not valid or has too many levels",
        ReasonCode.PacketIdentifierNotFound => "no exchange with this packet identifier is open",
        ReasonCode.ReceiveMaximumExceeded => "more publishes are open than Receive Maximum allows",
        ReasonCode.TopicAliasInvalid => "the topic alias is 0 or above Topic Alias Maximum",
        ReasonCode.PacketTooLarge => "the packet is larger than Maximum Packet Size",
        ReasonCode.QuotaExceeded => "a quota of the hub or the session is used up",
        ReasonCode.AdministrativeAction => "an administrator has ended the connection",
        ReasonCode.PayloadFormatInvalid => "the payload is not UTF-8 although it says so",
        ReasonCode.RetainNotSupported => "this hub's plan has no retained messages",
        ReasonCode.QosNotSupported => "this hub's plan has no such quality of service",
        _ => $"the request failed with reason code 0x{(byte)reason:X2}",
    };
}
