namespace IotHub.EndToEnd.Support;

/// <summary>CONNACK codes: return codes of MQTT 3.1.1 (version 4), reason codes of MQTT 5.</summary>
public static class Refusals
{
    public static int NotAuthorized(int version) => version == 5 ? 0x87 : 5;
}
