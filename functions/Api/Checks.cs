using System.Security.Cryptography.X509Certificates;
using IotHub.Core;
using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Core.Security;

namespace IotHub.Functions.Api;

/// <summary>Collects what is wrong with a request's arguments, so that a caller learns all of it at once.</summary>
internal sealed class Checks(string region)
{
    public const int MaximumDescriptionLength = 10_000;
    private const int MaximumPemLength = 64 * 1024;
    private readonly List<InvalidArgument> _wrong = [];

    /// <summary>Null when nothing is wrong.</summary>
    public Problem? Problem => _wrong.Count == 0 ? null : new Problem.InvalidArguments(_wrong);

    public void Wrong(string argument, string reason, string help) => _wrong.Add(new InvalidArgument(argument, reason, help));

    public void Require(bool holds, string argument, string help)
    {
        if (!holds)
        {
            Wrong(argument, "constraint", help);
        }
    }

    /// <summary>Is it a UUID in its usual form, and nothing more? The framework would take spaces around it.</summary>
    public static bool IsId(string? text, out Guid id) => Guid.TryParseExact(text, "D", out id) && text!.Length == Guid.Empty.ToString("D").Length;

    /// <summary>A UUID, with or without the <c>region/</c> that one client leaves in front of it.</summary>
    public Guid? OptionalId(string argument, string? text)
    {
        if (text is null)
        {
            return null;
        }
        var bare = text.StartsWith(region + "/", StringComparison.Ordinal) ? text[(region.Length + 1)..] : text;
        if (IsId(bare, out var id))
        {
            return id;
        }
        Wrong(argument, "format", "must be a UUID");
        return null;
    }

    public Guid Id(string argument, string? text)
    {
        if (string.IsNullOrEmpty(text))
        {
            Wrong(argument, "required", "is required");
            return Guid.Empty;
        }
        return OptionalId(argument, text) ?? Guid.Empty;
    }

    public string Required(string argument, string? text, int maximumLength)
    {
        if (string.IsNullOrEmpty(text))
        {
            Wrong(argument, "required", "is required");
            return "";
        }
        return Bounded(argument, text, maximumLength);
    }

    public string Bounded(string argument, string text, int maximumLength)
    {
        Require(text.Length <= maximumLength, argument, $"must have at most {maximumLength} characters");
        return text;
    }

    public string Name(string? name)
    {
        var given = Required("name", name, ResourceName.MaximumLength);
        Require(!given.Any(char.IsControl), "name", "must not contain control characters");
        return given;
    }

    public void TopicFilterText(string argument, string filter)
    {
        if (!TopicFilter.IsValidFilter(filter))
        {
            Wrong(argument, "format", "must be an MQTT topic filter: + only as a whole level, # only as the last, at most 65535 bytes");
        }
    }

    /// <summary>A certificate in PEM; null when something is wrong with it.</summary>
    public X509Certificate2? Certificate(string argument, string? pem)
    {
        var text = Required(argument, pem, MaximumPemLength);
        if (text.Length is 0 or > MaximumPemLength)
        {
            return null;
        }
        if (text.Contains("PRIVATE KEY-----", StringComparison.Ordinal))
        {
            Wrong(argument, "constraint", "must be a certificate without its private key: keep that to yourself");
            return null;
        }
        var certificate = Certificates.TryRead(text);
        if (certificate is null)
        {
            Wrong(argument, "format", "must be a certificate in PEM");
        }
        return certificate;
    }

    /// <summary>The beginning of a topic to publish on; may be empty.</summary>
    public string TopicPrefix(string argument, string prefix)
    {
        if (prefix.Length > 0 && !TopicFilter.IsValidName(prefix))
        {
            Wrong(argument, "format", "must be the beginning of an MQTT topic, without + and #, at most 65535 bytes");
        }
        return prefix;
    }
}
