using System.Text;

namespace IotHub.Functions.Hosting;

/// <summary>
/// A header value that is UTF-8 as users type it. Kestrel reads such headers as Latin-1 (see FunctionsHost), one character per byte, so
/// that bad bytes reach us and get an answer that says what is wrong, instead of an empty 400.
/// </summary>
public static class Utf8Header
{
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <returns>Null when the bytes are not UTF-8.</returns>
    public static string? Decode(string latin1)
    {
        try
        {
            return Strict.GetString(Encoding.Latin1.GetBytes(latin1));
        }
        catch (DecoderFallbackException)
        {
            return null;
        }
    }
}
