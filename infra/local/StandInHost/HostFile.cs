using System.Globalization;
using Microsoft.Extensions.Configuration;

namespace IotHub.Local.StandInHost;

/// <summary>How queue triggers are served (host.json, <c>extensions.queues</c>).</summary>
public sealed record QueueSettings(
    int BatchSize, int NewBatchThreshold, int MaxDequeueCount, TimeSpan VisibilityTimeout, TimeSpan MaxPollingInterval, bool Base64);

/// <summary>How the handler is started (host.json, <c>customHandler</c>).</summary>
public sealed record HandlerSettings(
    string Executable, string Arguments, string WorkingDirectory, int? Port, TimeSpan InitializationTimeout, bool ProxiesHttp);

/// <summary>What of host.json matters here. The setting <c>AzureFunctionsJobHost__a__b</c> overrides its member <c>a.b</c>.</summary>
/// <param name="FunctionTimeout">Null for unlimited.</param>
/// <param name="Only">Names of the functions to load; empty for all.</param>
public sealed record HostFile(
    string RoutePrefix, TimeSpan? FunctionTimeout, HandlerSettings Handler, QueueSettings Queues, IReadOnlyList<string> Only)
{
    private const string OverridePrefix = "AzureFunctionsJobHost__";
    private static readonly TimeSpan DefaultTimeout = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan DevelopmentPolling = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan AzurePolling = TimeSpan.FromMinutes(1);

    /// <param name="azureLike">Defaults as in Azure; otherwise those of a developer's machine (queues polled every 2 s at least).</param>
    public static HostFile Load(string appRoot, AppSettings settings, bool azureLike)
    {
        var root = Read(appRoot, settings);
        if (root["version"] != "2.0")
        {
            throw new FunctionAppException($"host.json in {appRoot} must have \"version\": \"2.0\"");
        }
        if (root.GetSection("customHandler:http:routes").GetChildren().Any())
        {
            throw new FunctionAppException(
                "host.json has customHandler.http.routes, which excludes every function.json; write function.json files");
        }
        return new HostFile(
            (root["extensions:http:routePrefix"] ?? "api").Trim('/'),
            ReadTimeout(root["functionTimeout"]),
            ReadHandler(root.GetSection("customHandler"), settings),
            ReadQueues(root.GetSection("extensions:queues"), azureLike ? AzurePolling : DevelopmentPolling),
            [.. root.GetSection("functions").GetChildren().Select(c => c.Value ?? "")]);
    }

    private static IConfigurationRoot Read(string appRoot, AppSettings settings)
    {
        var overrides = settings.All
            .Where(s => s.Key.StartsWith(OverridePrefix, StringComparison.OrdinalIgnoreCase))
            .Select(s => KeyValuePair.Create(Member(s.Key), (string?)s.Value));
        var path = Path.Combine(appRoot, "host.json");
        if (!File.Exists(path))
        {
            throw new FunctionAppException($"there is no host.json in {appRoot}; publish the function app there first");
        }
        try
        {
            return new ConfigurationBuilder()
                .AddJsonFile(path, optional: false, reloadOnChange: false)
                .AddInMemoryCollection(overrides)
                .Build();
        }
        catch (InvalidDataException e)
        {
            throw new FunctionAppException($"host.json in {appRoot} is not readable: {(e.InnerException ?? e).Message}");
        }
    }

    private static string Member(string setting) => setting[OverridePrefix.Length..].Replace("__", ":", StringComparison.Ordinal);

    private static TimeSpan? ReadTimeout(string? text) =>
        text switch
        {
            null => DefaultTimeout,
            "-1" => null,
            _ => ReadSpan("functionTimeout", text, TimeSpan.FromMilliseconds(1)),
        };

    private static HandlerSettings ReadHandler(IConfigurationSection section, AppSettings settings)
    {
        var description = section.GetSection("description");
        if (description["defaultExecutablePath"] is not { Length: > 0 } executable)
        {
            throw new FunctionAppException(
                "host.json has no customHandler.description.defaultExecutablePath: the host would not know what to start");
        }
        if (description["defaultWorkerPath"] is { Length: > 0 })
        {
            throw new FunctionAppException(
                "host.json has customHandler.description.defaultWorkerPath, which the stand-in host does not know; use arguments");
        }
        var port = section["port"];
        return new HandlerSettings(
            settings.Expand(executable),
            string.Join(' ', description.GetSection("arguments").GetChildren().Select(a => a.Value)),
            settings.Expand(description["workingDirectory"] ?? ""),
            port is null ? null : ReadNumber("customHandler.port", port, 1, 65535),
            ReadSpan("customHandler.initializationTimeout", section["initializationTimeout"] ?? "00:00:30", TimeSpan.FromMilliseconds(1)),
            string.Equals(section["enableProxyingHttpRequest"], "true", StringComparison.OrdinalIgnoreCase));
    }

    private static QueueSettings ReadQueues(IConfigurationSection section, TimeSpan polling)
    {
        var batch = ReadNumber("extensions.queues.batchSize", section["batchSize"] ?? "16", 1, 32);
        var encoding = section["messageEncoding"] ?? "base64";
        return new QueueSettings(
            batch,
            ReadNumber("extensions.queues.newBatchThreshold", section["newBatchThreshold"] ?? Text(batch / 2), 0, 1000),
            ReadNumber("extensions.queues.maxDequeueCount", section["maxDequeueCount"] ?? "5", 1, int.MaxValue),
            ReadSpan("extensions.queues.visibilityTimeout", section["visibilityTimeout"] ?? "00:00:00", TimeSpan.Zero),
            section["maxPollingInterval"] is { } interval
                ? ReadSpan("extensions.queues.maxPollingInterval", interval, TimeSpan.FromMilliseconds(100))
                : polling,
            encoding.ToLowerInvariant() switch
            {
                "base64" => true,
                "none" => false,
                _ => throw new FunctionAppException(
                    $"extensions.queues.messageEncoding in host.json is {encoding}; it must be base64 or none"),
            });
    }

    private static int ReadNumber(string name, string text, int least, int most) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most
            ? number
            : throw new FunctionAppException($"{name} in host.json is {text}; it must be a number from {Text(least)} to {Text(most)}");

    private static TimeSpan ReadSpan(string name, string text, TimeSpan least) =>
        TimeSpan.TryParse(text, CultureInfo.InvariantCulture, out var span) && span >= least
            ? span
            : throw new FunctionAppException(
                $"{name} in host.json is {text}; it must be a time span of at least {least:c}, such as 00:05:00");

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
