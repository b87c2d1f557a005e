using System.Text.Json;
using System.Text.RegularExpressions;

namespace IotHub.Local.StandInHost;

/// <summary>
/// Reads the function.json files of an app. What the stand-in cannot do is refused here, by name, not left out in silence.
/// </summary>
public static partial class FunctionFiles
{
    private const string DefaultConnection = "AzureWebJobsStorage";

    private static readonly JsonDocumentOptions Lenient =
        new() { AllowTrailingCommas = true, CommentHandling = JsonCommentHandling.Skip };

    /// <exception cref="FunctionAppException">A function file is broken or asks for what the stand-in host does not do.</exception>
    public static IReadOnlyList<FunctionDefinition> Load(string appRoot, HostFile host, AppSettings settings)
    {
        var functions = new List<FunctionDefinition>();
        foreach (var folder in Directory.EnumerateDirectories(appRoot).Order(StringComparer.Ordinal))
        {
            var name = Path.GetFileName(folder);
            var file = Path.Combine(folder, "function.json");
            if (!File.Exists(file) || (host.Only.Count > 0 && !host.Only.Contains(name, StringComparer.OrdinalIgnoreCase)))
            {
                continue;
            }
            if (functions.FirstOrDefault(f => f.Name.Equals(name, StringComparison.OrdinalIgnoreCase)) is { } twin)
            {
                throw new FunctionAppException($"the functions {twin.Name} and {name} differ in case only");
            }
            functions.Add(Parse(name, File.ReadAllText(file), host, settings));
        }
        return functions;
    }

    /// <summary>Reads one file's text.</summary>
    public static FunctionDefinition Parse(string name, string json, HostFile host, AppSettings settings)
    {
        if (!FunctionName().IsMatch(name) || name.Equals("host", StringComparison.OrdinalIgnoreCase))
        {
            throw new FunctionAppException(
                $"{name} is not a function name: a letter first, then up to 127 letters, digits, _ or -, and not \"host\"");
        }
        try
        {
            using var file = JsonDocument.Parse(json, Lenient);
            return ReadFunction(name, file.RootElement, host, settings);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            throw new FunctionAppException($"{name}/function.json is broken: {e.Message}");
        }
    }

    private static FunctionDefinition ReadFunction(string name, JsonElement root, HostFile host, AppSettings settings)
    {
        if (root.TryGetProperty("retry", out _))
        {
            throw new FunctionAppException(
                $"{name}/function.json has a retry policy, which the stand-in host does not run; rely on dequeue counts");
        }
        var bindings = root.GetProperty("bindings").EnumerateArray().Select(b => new Binding(name, b)).ToList();
        CheckNames(name, bindings);
        var triggers = bindings.Where(b => b.Type.EndsWith("Trigger", StringComparison.OrdinalIgnoreCase)).ToList();
        if (triggers.Count != 1)
        {
            throw new FunctionAppException($"{name}/function.json has {triggers.Count} triggers; a function has exactly one");
        }
        var trigger = ReadTrigger(name, triggers[0], bindings, host, settings);
        return new FunctionDefinition(name, trigger, IsDisabled(name, root, settings));
    }

    private static void CheckNames(string name, List<Binding> bindings)
    {
        foreach (var binding in bindings)
        {
            if (!BindingName().IsMatch(binding.Name))
            {
                throw new FunctionAppException(
                    $"{name}/function.json: {binding.Name} is not a binding name: a letter first, then letters or digits, or $return");
            }
        }
        if (bindings.GroupBy(b => b.Name, StringComparer.OrdinalIgnoreCase).FirstOrDefault(g => g.Count() > 1) is { } twice)
        {
            throw new FunctionAppException($"{name}/function.json uses the binding name {twice.Key} twice");
        }
    }

    private static Trigger ReadTrigger(string name, Binding trigger, List<Binding> bindings, HostFile host, AppSettings settings)
    {
        if (trigger.Direction != "in")
        {
            throw new FunctionAppException($"{name}/function.json: the trigger's direction must be \"in\"");
        }
        var isHttp = trigger.Type.Equals("httpTrigger", StringComparison.OrdinalIgnoreCase);
        var others = bindings.Where(b => b != trigger).ToList();
        if (others.FirstOrDefault(b => !isHttp || !b.IsHttpOutput) is { } odd)
        {
            throw new FunctionAppException(
                $"{name}/function.json binds {odd.Name} ({odd.Type}, {odd.Direction}); the stand-in host knows triggers and " +
                "http outputs only: use the storage clients in the code");
        }
        if (others.Count > 1)
        {
            throw new FunctionAppException($"{name}/function.json has {others.Count} http outputs; one is enough");
        }
        return trigger.Type.ToLowerInvariant() switch
        {
            "httptrigger" => ReadHttp(name, trigger, others.SingleOrDefault(), host),
            "queuetrigger" => ReadQueue(name, trigger, settings),
            "timertrigger" => new TimerTrigger(
                trigger.Name,
                TimerSchedule.Parse(settings.Resolve(trigger.Required("schedule"), $"{name}/function.json")),
                trigger.Flag("runOnStartup", otherwise: false),
                trigger.Flag("useMonitor", otherwise: true)),
            _ => throw new FunctionAppException(
                $"{name}/function.json has a {trigger.Type}; the stand-in host runs httpTrigger, queueTrigger and timerTrigger"),
        };
    }

    private static HttpTrigger ReadHttp(string name, Binding trigger, Binding? response, HostFile host)
    {
        if (response is null || !host.Handler.ProxiesHttp)
        {
            throw new FunctionAppException(
                $"{name}/function.json: the stand-in host passes HTTP requests through only; set " +
                "customHandler.enableProxyingHttpRequest in host.json and give the function exactly one httpTrigger and one http output");
        }
        var route = (trigger.Text("route") ?? name).TrimStart('/');
        if (route.Split('/')[0].Equals("admin", StringComparison.OrdinalIgnoreCase) && host.RoutePrefix.Length == 0)
        {
            throw new FunctionAppException($"{name}/function.json: routes under admin/ belong to the host");
        }
        var level = (trigger.Text("authLevel") ?? "function").ToLowerInvariant() switch
        {
            "anonymous" => KeyLevel.Anonymous,
            "function" => KeyLevel.Function,
            "admin" => KeyLevel.Admin,
            var other => throw new FunctionAppException($"{name}/function.json: authLevel {other} is not anonymous, function or admin"),
        };
        var full = host.RoutePrefix.Length == 0 ? route : route.Length == 0 ? host.RoutePrefix : $"{host.RoutePrefix}/{route}";
        return new HttpTrigger(trigger.Name, full, [.. trigger.List("methods").Select(m => m.ToUpperInvariant())], level);
    }

    private static QueueTrigger ReadQueue(string name, Binding trigger, AppSettings settings)
    {
        var queue = settings.Resolve(trigger.Required("queueName"), $"{name}/function.json").ToLowerInvariant();
        if (!QueueName().IsMatch(queue) || queue.Contains("--", StringComparison.Ordinal))
        {
            throw new FunctionAppException($"{name}/function.json: {queue} is not a queue name: 3 to 63 letters, digits and single dashes");
        }
        var binary = string.Equals(trigger.Text("dataType"), "binary", StringComparison.OrdinalIgnoreCase);
        return new QueueTrigger(trigger.Name, queue, trigger.Text("connection") ?? DefaultConnection, binary);
    }

    private static bool IsDisabled(string name, JsonElement root, AppSettings settings)
    {
        var own = root.TryGetProperty("disabled", out var disabled) ? disabled.ToString() : null;
        return IsTrue(settings[$"AzureWebJobs.{name}.Disabled"]) || IsTrue(own) || (own is not null && IsTrue(settings[own]));

        static bool IsTrue(string? text) => text is "1" || string.Equals(text, "true", StringComparison.OrdinalIgnoreCase);
    }

    [GeneratedRegex("^[a-zA-Z][a-zA-Z0-9_-]{0,127}$")]
    private static partial Regex FunctionName();

    [GeneratedRegex(@"^([a-zA-Z][a-zA-Z0-9]{0,127}|\$return)$")]
    private static partial Regex BindingName();

    [GeneratedRegex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$")]
    private static partial Regex QueueName();

    /// <summary>One entry of <c>bindings</c>.</summary>
    private sealed class Binding(string function, JsonElement json)
    {
        public string Type { get; } = json.TryGetProperty("type", out var type) ? type.GetString() ?? "" : "";
        public string Name { get; } = json.TryGetProperty("name", out var name) ? name.GetString() ?? "" : "";
        public string Direction { get; } = json.TryGetProperty("direction", out var direction) ? direction.GetString() ?? "in" : "in";

        public bool IsHttpOutput => Type.Equals("http", StringComparison.OrdinalIgnoreCase) && Direction == "out";

        public string? Text(string member) => json.TryGetProperty(member, out var value) ? value.GetString() : null;

        public string Required(string member) => Text(member) is { Length: > 0 } value
            ? value
            : throw new FunctionAppException($"{function}/function.json: the {Type} needs {member}");

        public bool Flag(string member, bool otherwise) => json.TryGetProperty(member, out var value) ? value.GetBoolean() : otherwise;

        public IEnumerable<string> List(string member) =>
            json.TryGetProperty(member, out var value) ? value.EnumerateArray().Select(v => v.GetString() ?? "") : [];
    }
}
