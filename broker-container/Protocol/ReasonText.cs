namespace IotHub.Broker.Protocol;

/// <summary>What a client's developer reads in a Reason String where nothing more exact is known.</summary>
public static class ReasonText
{
    /// <summary>Null where the code says all.</summary>
    public static string? Of(ReasonCode reason) => reason switch
    {
        ReasonCode.ClientIdentifierNotValid => "the client id is missing or too long",
        ReasonCode.BadUserNameOrPassword => "the user name or password is wrong",
        ReasonCode.NotAuthorized => "the message filters or the plan do not allow it",
        ReasonCode.ServerUnavailable => "the server cannot check the client right now; try again later",
        ReasonCode.ServerBusy => "too many connection attempts; try again later",
        ReasonCode.UseAnotherServer => "the server stops: use the other one",
        ReasonCode.ServerShuttingDown => "the server stops",
        ReasonCode.BadAuthenticationMethod => "the authentication method is not known here",
        ReasonCode.KeepAliveTimeout => "no packet came within one and a half times the keep alive",
        ReasonCode.SessionTakenOver => "another connection took the session over",
        ReasonCode.TopicFilterInvalid => "the topic filter is not valid or has too many levels",
        ReasonCode.PacketTooLarge => "an answer does not fit into the Maximum Packet Size",
        ReasonCode.QuotaExceeded => "a limit of the server is reached",
        ReasonCode.AdministrativeAction => "the hub or the device was changed",
        ReasonCode.PayloadFormatInvalid => "the payload is not UTF-8 although it says so",
        ReasonCode.RetainNotSupported => "the hub's plan has no retained messages",
        ReasonCode.QosNotSupported => "the hub's plan does not take QoS 2",
        _ => null,
    };
}
