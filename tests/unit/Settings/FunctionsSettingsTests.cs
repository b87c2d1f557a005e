using System.Net;
using IotHub.Functions;
using Xunit;

namespace IotHub.Unit.Settings;

public sealed class FunctionsSettingsTests
{
    private static readonly string Key = Convert.ToBase64String(new byte[32]);

    private static FunctionsSettings Read(params (string Name, string? Value)[] changes)
    {
        var environment = new Dictionary<string, string?>
        {
            ["FUNCTIONS_CUSTOMHANDLER_PORT"] = "7080",
            ["AzureWebJobsStorage"] = "UseDevelopmentStorage=true",
            ["IOTHUB_BROKER_URL"] = "http://broker:8080",
            ["IOTHUB_BROKER_KEY"] = "secret-key",
            ["IOTHUB_SEALING_KEY"] = Key,
        };
        foreach (var (name, value) in changes)
        {
            environment[name] = value;
        }
        return FunctionsSettings.From(name => environment.GetValueOrDefault(name));
    }

    [Fact]
    public void What_is_not_set_has_safe_values()
    {
        var settings = Read();
        Assert.Equal(("fr-par", "localhost", false), (settings.Region, settings.MqttEndpoint, settings.EventsSeverityFirst));
        Assert.Empty(settings.RouteAllowedNetworks);
        Assert.Equal(TimeSpan.FromHours(24), settings.RouteGiveUpAfter);
        Assert.Equal(TimeSpan.FromDays(7), settings.EventsKept);
    }

    [Fact]
    public void Everything_can_be_set()
    {
        var settings = Read(
            ("IOTHUB_REGION", "nl-ams"), ("IOTHUB_MQTT_ENDPOINT", "mqtt.example.com"), ("IOTHUB_REST_ENDPOINT", "r"), ("IOTHUB_SIGFOX_ENDPOINT", "s"),
            ("IOTHUB_EVENTS_LAYOUT", "severity-first"), ("IOTHUB_ROUTE_ALLOWED_NETWORKS", "127.0.0.0/8, ::1/128"), ("IOTHUB_ROUTE_GIVE_UP_HOURS", "0.5"));
        Assert.Equal(("nl-ams", "mqtt.example.com", "r", "s", true), (
            settings.Region, settings.MqttEndpoint, settings.RestEndpoint, settings.SigfoxEndpoint, settings.EventsSeverityFirst));
        Assert.Equal([IPNetwork.Parse("127.0.0.0/8"), IPNetwork.Parse("::1/128")], settings.RouteAllowedNetworks);
        Assert.Equal(TimeSpan.FromMinutes(30), settings.RouteGiveUpAfter);
    }

    [Theory]
    [InlineData("FUNCTIONS_CUSTOMHANDLER_PORT", "70000")]
    [InlineData("FUNCTIONS_CUSTOMHANDLER_PORT", "-1")]
    [InlineData("AzureWebJobsStorage", "DefaultEndpointsProtocol=secret")]
    [InlineData("AzureWebJobsStorage", " ")]
    [InlineData("IOTHUB_BROKER_URL", "broker:8080")]
    [InlineData("IOTHUB_BROKER_URL", "/path")]
    [InlineData("IOTHUB_BROKER_KEY", "")]
    [InlineData("IOTHUB_SEALING_KEY", "c2VjcmV0")]
    [InlineData("IOTHUB_SEALING_KEY", "not base64 secret")]
    [InlineData("IOTHUB_EVENTS_LAYOUT", "a")]
    [InlineData("IOTHUB_SERVER_CA", "/no/such/file.pem")]
    [InlineData("IOTHUB_SERVER_CA", "-----BEGIN CERTIFICATE-----")]
    [InlineData("IOTHUB_SERVER_CA", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----")]
    [InlineData("IOTHUB_ROUTE_ALLOWED_NETWORKS", "10.0.0.0/8,10.0.0.0/33")]
    [InlineData("IOTHUB_EVENTS_KEPT_DAYS", "0")]
    [InlineData("IOTHUB_EVENTS_KEPT_DAYS", "-1")]
    [InlineData("IOTHUB_EVENTS_KEPT_DAYS", "week")]
    [InlineData("IOTHUB_EVENTS_KEPT_DAYS", "3661")]
    [InlineData("IOTHUB_ROUTE_GIVE_UP_HOURS", "169")]
    [InlineData("IOTHUB_ROUTE_GIVE_UP_HOURS", "-1")]
    [InlineData("IOTHUB_ROUTE_GIVE_UP_HOURS", "day")]
    public void A_wrong_value_is_named_and_a_secret_is_not_repeated(string name, string value)
    {
        var e = Assert.Throws<SettingsException>(() => Read((name, value)));
        if (name != "AzureWebJobsStorage")
        {
            Assert.Contains(name, e.Message, StringComparison.Ordinal);
        }
        Assert.DoesNotContain("c2VjcmV0", e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("=secret", e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("not base64 secret", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Settings_do_not_show_their_secrets() => Assert.DoesNotContain("secret-key", Read().ToString(), StringComparison.Ordinal);
}
