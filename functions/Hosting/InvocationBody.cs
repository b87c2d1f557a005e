using System.Buffers.Text;
using System.Text;
using System.Text.Json;

namespace IotHub.Functions.Hosting;

/// <summary>
/// What the host posts to a function: <c>{"Data":{"binding":value},"Metadata":{...}}</c>. Only Data is read. Metadata of a queue message
/// in text form is polluted by the message's own properties (an <c>id</c> in it replaces the message id), so nothing may rest on it.
/// </summary>
public static class InvocationBody
{
    /// <summary>A queue message has at most 64 KiB; escaped twice in Data and repeated in Metadata it stays well below this.</summary>
    public const int MaximumBytes = 4 * 1024 * 1024;

    /// <summary>The value of one binding.</summary>
    /// <exception cref="FormatException">Not an invocation, or it has no such binding.</exception>
    public static JsonElement Data(JsonElement body, string bindingName)
    {
        if (body.ValueKind != JsonValueKind.Object || !body.TryGetProperty("Data", out var data) || data.ValueKind != JsonValueKind.Object)
        {
            throw new FormatException("the request is not an invocation: it has no object \"Data\"");
        }
        return data.TryGetProperty(bindingName, out var value)
            ? value
            : throw new FormatException($"the invocation has no value for the binding \"{bindingName}\"");
    }

    /// <summary>
    /// The bytes of a queue message in each of the forms a host sends: base64 (<c>dataType: binary</c>), a JSON string inside a JSON string
    /// (<c>dataType</c> absent or <c>string</c>), and plain text as the documentation shows it. Our messages are JSON objects, which start
    /// with a character that base64 does not have, so the forms cannot be confused.
    /// </summary>
    public static ReadOnlyMemory<byte> QueueMessage(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.String)
        {
            throw new FormatException($"the queue message is a JSON {value.ValueKind}, a string was expected");
        }
        var text = value.GetString()!;
        if (InnerString(text) is { } inner)
        {
            return Encoding.UTF8.GetBytes(inner);
        }
        return Base64.IsValid(text) ? Convert.FromBase64String(text) : Encoding.UTF8.GetBytes(text);
    }

    /// <summary>The content of a string that was encoded as JSON once more, else null.</summary>
    private static string? InnerString(string text)
    {
        if (!text.StartsWith('"'))
        {
            return null;
        }
        try
        {
            return JsonSerializer.Deserialize<string>(text);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
