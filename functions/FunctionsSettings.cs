using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using IotHub.Core.Storage;

namespace IotHub.Functions;

/// <summary>A setting is missing or cannot be read. The message names it and says what is expected.</summary>
public sealed class SettingsException(string message) : Exception(message);

/// <summary>What the function app is told by its environment; see local.settings.sample.json for each setting.</summary>
public sealed record FunctionsSettings
{
    /// <summary>The port the host chose for us; 0 takes a free one (tests).</summary>
    public required int Port { get; init; }

    public required StorageAccount Storage { get; init; }

    /// <summary>The region of all hubs, as the API's paths name it.</summary>
    public string Region { get; init; } = "fr-par";

    /// <summary>Address of the broker's internal endpoint.</summary>
    public required Uri BrokerUrl { get; init; }

    /// <summary>Shared secret of the broker's internal endpoint.</summary>
    public required string BrokerKey { get; init; }

    /// <summary>32 bytes that seal what must be read again (private keys, route passwords).</summary>
    public required ReadOnlyMemory<byte> SealingKey { get; init; }

    /// <summary>The <c>endpoint</c> that hubs show.</summary>
    public string MqttEndpoint { get; init; } = "localhost";

    /// <summary>The <c>endpoint</c> that REST networks show.</summary>
    public string RestEndpoint { get; init; } = "localhost/ingest/rest";

    /// <summary>The <c>endpoint</c> that Sigfox networks show.</summary>
    public string SigfoxEndpoint { get; init; } = "localhost/ingest/sigfox";

    /// <summary>Event topics <c>prefix/severity/source/id</c> instead of <c>prefix/source/id/severity</c>.</summary>
    public bool EventsSeverityFirst { get; init; }

    /// <summary>How long hub events are kept for reading.</summary>
    public TimeSpan EventsKept { get; init; } = TimeSpan.FromDays(7);

    /// <summary>How long a route's target is waited for; what is older then goes to the dead letters.</summary>
    public TimeSpan RouteGiveUpAfter { get; init; } = TimeSpan.FromHours(24);

    /// <summary>PEM of the authorities that devices trust the broker's server certificate by; empty when it is told nowhere.</summary>
    public string ServerCaPem { get; init; } = "";

    /// <summary>Networks that routes may reach besides public addresses.</summary>
    public IReadOnlyList<IPNetwork> RouteAllowedNetworks { get; init; } = [];

    /// <summary>Without the values: there are secrets among them.</summary>
    public override string ToString() => nameof(FunctionsSettings);

    public static FunctionsSettings FromEnvironment() => From(Environment.GetEnvironmentVariable);

    /// <exception cref="SettingsException">One is missing or wrong.</exception>
    public static FunctionsSettings From(Func<string, string?> environment)
    {
        var read = new Reader(environment);
        return new FunctionsSettings
        {
            Port = read.Port("FUNCTIONS_CUSTOMHANDLER_PORT"),
            Storage = read.Storage(),
            Region = read.Optional("IOTHUB_REGION") ?? "fr-par",
            BrokerUrl = read.HttpUrl("IOTHUB_BROKER_URL"),
            BrokerKey = read.Required("IOTHUB_BROKER_KEY", "the shared secret of the broker's internal endpoint"),
            SealingKey = read.Key("IOTHUB_SEALING_KEY", 32),
            MqttEndpoint = read.Optional("IOTHUB_MQTT_ENDPOINT") ?? "localhost",
            RestEndpoint = read.Optional("IOTHUB_REST_ENDPOINT") ?? "localhost/ingest/rest",
            SigfoxEndpoint = read.Optional("IOTHUB_SIGFOX_ENDPOINT") ?? "localhost/ingest/sigfox",
            EventsSeverityFirst = read.OneOf("IOTHUB_EVENTS_LAYOUT", "source-first", "severity-first") == "severity-first",
            EventsKept = read.Days("IOTHUB_EVENTS_KEPT_DAYS", 7),
            RouteGiveUpAfter = read.Hours("IOTHUB_ROUTE_GIVE_UP_HOURS", 24),
            RouteAllowedNetworks = read.Networks("IOTHUB_ROUTE_ALLOWED_NETWORKS"),
            ServerCaPem = read.Certificates("IOTHUB_SERVER_CA"),
        };
    }

    private sealed class Reader(Func<string, string?> environment)
    {
        public string? Optional(string name) => environment(name) is { } value && value.Trim().Length > 0 ? value.Trim() : null;

        public string Required(string name, string expected) =>
            Optional(name) ?? throw new SettingsException($"{name} is not set: {expected} is needed");

        public StorageAccount Storage()
        {
            try
            {
                return StorageAccount.FromSettings(Optional);
            }
            catch (FormatException e)
            {
                throw new SettingsException(e.Message);
            }
        }

        public TimeSpan Hours(string name, double preset) =>
            Optional(name) is not { } text
                ? TimeSpan.FromHours(preset)
                : double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var hours) && hours <= 24 * 7
                    ? TimeSpan.FromHours(hours)
                    : throw new SettingsException($"{name} is not a number of hours up to 168");

        public TimeSpan Days(string name, int preset) =>
            Optional(name) is not { } text
                ? TimeSpan.FromDays(preset)
                : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var days) && days is >= 1 and <= 3_660
                    ? TimeSpan.FromDays(days)
                    : throw new SettingsException($"{name} is not a number of days from 1 to 3660");

        public int Port(string name) =>
            int.TryParse(Required(name, "the port to listen on"), NumberStyles.None, CultureInfo.InvariantCulture, out var port)
                && port <= 65_535
                ? port
                : throw new SettingsException($"{name} is not a port number");

        public Uri HttpUrl(string name) =>
            Uri.TryCreate(Required(name, "an address such as http://broker:8080"), UriKind.Absolute, out var url)
                && url.Scheme is "http" or "https"
                ? url
                : throw new SettingsException($"{name} is not an http address");

        // The value is not repeated in the message: it is a secret.
        public byte[] Key(string name, int length)
        {
            var text = Required(name, $"{length} random bytes in base64");
            var key = new byte[length + 1];
            return Convert.TryFromBase64String(text, key, out var written) && written == length
                ? key[..length]
                : throw new SettingsException($"{name} is not the base64 of {length} bytes");
        }

        public string OneOf(string name, params string[] values)
        {
            var value = Optional(name) ?? values[0];
            return values.Contains(value) ? value : throw new SettingsException($"{name} must be one of: {string.Join(", ", values)}");
        }

        /// <summary>PEM, or the name of a file with it.</summary>
        public string Certificates(string name)
        {
            if (Optional(name) is not { } text)
            {
                return "";
            }
            try
            {
                var pem = text.StartsWith("-----BEGIN", StringComparison.Ordinal) ? text : File.ReadAllText(text);
                var certificates = new X509Certificate2Collection();
                certificates.ImportFromPem(pem);
                var whole = string.Concat(certificates.Select(certificate => certificate.ExportCertificatePem() + "\n"));
                return whole.Length > 0 ? whole : throw new SettingsException($"{name} holds no certificate in PEM");
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException or ArgumentException)
            {
                throw new SettingsException($"{name} is neither certificates in PEM nor a file with them: {e.Message}");
            }
        }

        public List<IPNetwork> Networks(string name) =>
            [.. (Optional(name) ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(text =>
                IPNetwork.TryParse(text, out var network)
                    ? network
                    : throw new SettingsException($"{name}: \"{text}\" is not a network such as 10.1.0.0/16"))];
    }
}
