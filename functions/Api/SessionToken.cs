using IotHub.Core;

namespace IotHub.Functions.Api;

/// <summary>
/// The header by which Scaleway's console, and its SDKs when they are given a JWT instead of keys, name a person's session. Its issuer is
/// their identity service, which has accounts and passwords. Here are neither: API keys are the only credentials, nobody issues sessions,
/// and so every one is refused, in the words the clients have for it.
/// </summary>
internal static class SessionToken
{
    public const string Header = "X-Session-Token";
    private const int PartsOfJwt = 3;

    public static Problem.AuthenticationDenied Denied(HttpContext context) =>
        new("jwt", LooksLikeJwt(context.Request.Headers[Header].ToString().Trim()) ? "not_found" : "invalid_argument");

    private static bool LooksLikeJwt(string token)
    {
        var parts = token.Split('.');
        return parts.Length == PartsOfJwt && parts.All(IsBase64Url);
    }

    private static bool IsBase64Url(string part) => part.Length > 0 && part.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_');
}
