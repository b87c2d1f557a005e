using System.Text;
using System.Text.Unicode;

namespace IotHub.Broker.Protocol;

/// <summary>
/// UTF-8 Encoded Strings (MQTT 5.0 section 1.5.4): well-formed, no surrogates, no U+0000. Control and non-characters pass, the
/// same way everywhere. U+FEFF is kept. [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-1.5.4-3]
/// </summary>
public static class Utf8Text
{
    public static bool IsValid(ReadOnlySpan<byte> text) => text.IndexOf((byte)0) < 0 && Utf8.IsValid(text);

    public static string Decode(ReadOnlySpan<byte> text)
    {
        if (!IsValid(text))
        {
            MqttException.Malformed("a string is not valid UTF-8 or holds U+0000");
        }
        return Encoding.UTF8.GetString(text);
    }
}
