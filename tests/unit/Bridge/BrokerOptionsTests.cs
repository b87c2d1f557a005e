using System.Net;
using IotHub.Broker;
using IotHub.Broker.Durability;
using Microsoft.Extensions.Logging;
using Xunit;

namespace IotHub.Unit.Bridge;

/// <summary>The command line and the settings, and one clear sentence for each mistake.</summary>
public sealed class BrokerOptionsTests
{
    [Fact]
    public void Every_option_is_read()
    {
        var options = BrokerOptions.Parse(
            ["--bind", "::1", "--port", "0", "--tls-port", "2", "--ws-port", "3", "--wss-port", "4", "--cert", "c.pem", "--key", "k.pem",
             "--internal-port", "5", "--transport", "sockets", "--hand-over-to", "a.example:8883 [::1]:1", "--data", "d",
             "--segment-bytes", "65536", "--queue-messages", "7", "--queue-bytes", "8", "--hub-bytes", "9",
             "--queue-overflow", "drop-oldest", "--standalone", "--log-level", "warning"]);
        var expected = new BrokerOptions
        {
            Bind = IPAddress.IPv6Loopback,
            Port = 0,
            TlsPort = 2,
            WsPort = 3,
            WssPort = 4,
            CertificateFile = "c.pem",
            KeyFile = "k.pem",
            InternalPort = 5,
            UseEpoll = false,
            HandOverTo = "a.example:8883 [::1]:1",
            DataFolder = "d",
            Log = new LogOptions { SegmentBytes = 65_536, CleanFromBytes = 131_072 },
            Limits = new BrokerLimits
            {
                QueuedMessagesPerSessionMaximum = 7,
                QueuedBytesPerSessionMaximum = 8,
                StoredBytesPerHubMaximum = 9,
                QueueOverflow = QueueOverflow.DropOldest,
            },
            Standalone = true,
            LogLevel = LogLevel.Warning,
        };
        Assert.Equal(expected, options);
    }

    [Fact]
    public void Without_options_it_is_plain_mqtt_on_the_loopback() => Assert.Equal(new BrokerOptions(), BrokerOptions.Parse([]));

    [Theory]
    [InlineData("unknown option --prot", "--prot", "1")]
    [InlineData("--port needs a value", "--port")]
    [InlineData("\"65536\" is not a port", "--port", "65536")]
    [InlineData("\"-1\" is not a port", "--ws-port", "-1")]
    [InlineData("\"localhost\" is not an IP address", "--bind", "localhost")]
    [InlineData("--tls-port needs a certificate", "--tls-port", "0")]
    [InlineData("--wss-port needs a certificate", "--wss-port", "0")]
    [InlineData("port 7 is given twice", "--port", "7", "--internal-port", "7")]
    [InlineData("\"io_uring\" is neither epoll nor sockets", "--transport", "io_uring")]
    [InlineData("\"0\" is not a number from 1 to 2147483647", "--queue-messages", "0")]
    [InlineData("\"65535\" is not a number from 65536 to 2147483647", "--segment-bytes", "65535")]
    [InlineData("QueuedBytesPerSessionMaximum may not be above StoredBytesPerHubMaximum", "--hub-bytes", "5")]
    [InlineData("\"none\" is neither drop-newest nor drop-oldest", "--queue-overflow", "none")]
    [InlineData("\"a.example\" is not HOST:PORT", "--hand-over-to", "a.example")]
    [InlineData("\"a:1  b:2\" is not HOST:PORT", "--hand-over-to", "a:1  b:2")]
    [InlineData("\"3\" is not one of trace", "--log-level", "3")]
    public void Mistakes_are_named(string expected, params string[] args)
    {
        var e = Assert.Throws<StartException>(() => BrokerOptions.Parse(args));
        Assert.Contains(expected, e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', e.Message);
    }

    [Fact]
    public void Settings_are_read_and_empty_ones_are_not_there()
    {
        var given = new Dictionary<string, string?>
        {
            ["AzureWebJobsStorage"] = "  ",
            ["AzureWebJobsStorage__accountName"] = "account",
            ["IOTHUB_BROKER_KEY"] = "key",
            ["IOTHUB_EVENTS_LAYOUT"] = "severity-first",
        };
        var expected = new BrokerSettings { StorageAccountName = "account", BrokerKey = "key", EventsSeverityFirst = true };
        Assert.Equal(expected, BrokerSettings.From(given.GetValueOrDefault));
    }

    [Fact]
    public void An_unknown_events_layout_is_named()
    {
        var e = Assert.Throws<StartException>(() => BrokerSettings.From(name => name == "IOTHUB_EVENTS_LAYOUT" ? "topic-first" : null));
        Assert.Contains("IOTHUB_EVENTS_LAYOUT", e.Message, StringComparison.Ordinal);
    }
}
