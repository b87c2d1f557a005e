using System.Collections;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace IotHub.Local.StandInHost;

/// <summary>The app settings of a function app: what the environment says, filled up with <c>Values</c> of local.settings.json.</summary>
public sealed partial class AppSettings
{
    private readonly Dictionary<string, string> _values;

    public AppSettings(IEnumerable<KeyValuePair<string, string>> values) =>
        _values = new Dictionary<string, string>(values, StringComparer.OrdinalIgnoreCase);

    public IReadOnlyDictionary<string, string> All => _values;

    public string? this[string name] => _values.GetValueOrDefault(name);

    /// <summary>
    /// Settings of the app in <paramref name="appRoot"/>. What is already set wins: <paramref name="given"/> over the process's
    /// environment over the file.
    /// </summary>
    public static AppSettings Load(string appRoot, IReadOnlyDictionary<string, string> given)
    {
        var values = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        foreach (var (name, value) in ReadFile(Path.Combine(appRoot, "local.settings.json")))
        {
            values[name] = value;
        }
        foreach (DictionaryEntry variable in Environment.GetEnvironmentVariables())
        {
            values[(string)variable.Key] = (string?)variable.Value ?? "";
        }
        foreach (var (name, value) in given)
        {
            values[name] = value;
        }
        return new AppSettings(values);
    }

    /// <summary>Replaces each <c>%NAME%</c>; an unset name becomes empty, as in the handler's arguments.</summary>
    public string Expand(string text) => Reference().Replace(text, match => this[match.Groups[1].Value] ?? "");

    /// <summary>Replaces each <c>%NAME%</c> in a binding; an unset name is a mistake there.</summary>
    public string Resolve(string text, string where) => Reference().Replace(
        text,
        match => this[match.Groups[1].Value]
            ?? throw new FunctionAppException($"{where} names the app setting {match.Value}, which is not set"));

    /// <summary>The connection string behind a binding's <c>connection</c>.</summary>
    public string ConnectionString(string name, string where)
    {
        if ((this[name] ?? this["AzureWebJobs" + name]) is { Length: > 0 } found)
        {
            return found;
        }
        var identity = _values.Keys.FirstOrDefault(key => key.StartsWith(name + "__", StringComparison.OrdinalIgnoreCase));
        throw new FunctionAppException(identity is null
            ? $"{where} uses the connection {name}, but no app setting has that name"
            : $"{where} uses the identity connection {identity}; the stand-in host needs a connection string in {name}");
    }

    private static IEnumerable<KeyValuePair<string, string>> ReadFile(string path)
    {
        if (!File.Exists(path))
        {
            return [];
        }
        try
        {
            using var file = JsonDocument.Parse(
                File.ReadAllText(path), new JsonDocumentOptions { AllowTrailingCommas = true, CommentHandling = JsonCommentHandling.Skip });
            return file.RootElement.TryGetProperty("Values", out var values)
                ? [.. values.EnumerateObject().Select(v => KeyValuePair.Create(v.Name, v.Value.ToString()))]
                : [];
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new FunctionAppException($"local.settings.json is not readable: {e.Message}");
        }
    }

    [GeneratedRegex("%([^%\\s]+)%")]
    private static partial Regex Reference();
}
