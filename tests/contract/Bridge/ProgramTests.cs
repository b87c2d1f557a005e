using System.Text.Json;
using IotHub.Core.Storage;
using IotHub.Harness;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Contract.Bridge;

/// <summary>The broker as a process: its ready line, its exit codes, one sentence for what is wrong.</summary>
public sealed class ProgramTests
{
#if DEBUG
    private const string Configuration = "Debug";
#else
    private const string Configuration = "Release";
#endif

    private static readonly string Program = RepositoryRoot.Combine("broker-container", "bin", Configuration, "net10.0", "IotHub.Broker.dll");

    [Fact]
    public async Task It_says_once_that_it_is_ready_and_ends_in_order_on_a_signal()
    {
        await using var broker = Start(["--standalone", "--port", "0", "--ws-port", "0", "--internal-port", "0"]);
        var ports = await Ready(broker);
        Assert.True(ports.GetProperty("ws_port").GetInt32() > 0);
        Assert.Equal(JsonValueKind.Null, ports.GetProperty("tls_port").ValueKind);
        Assert.Equal(JsonValueKind.Null, ports.GetProperty("wss_port").ValueKind);
        using var http = new HttpClient();
        Assert.Equal("{\"status\":\"ok\"}", await http.GetStringAsync(new Uri($"http://127.0.0.1:{ports.GetProperty("internal_port")}/health")));
        await using var client = await RawClient.Open(ports.GetProperty("port").GetInt32());
        await client.Send(Packet.Connect(new ConnectOptions { ClientId = "anyone" }));
        Assert.Equal(0, (await client.Next())[3]);
        broker.Signal("TERM");
        await client.ExpectDisconnect(0x8B);
        Assert.Equal(0, await broker.WaitForExit(Eventually.DefaultDeadline));
        Assert.Single(broker.StandardOutput.Trim().Split('\n'));
    }

    [Fact]
    public async Task At_its_end_it_sends_its_clients_to_the_other_server()
    {
        await using var broker = Start(["--standalone", "--port", "0", "--hand-over-to", "other.example:1883"]);
        await using var client = await RawClient.Open((await Ready(broker)).GetProperty("port").GetInt32());
        await client.Send(Packet.Connect(new ConnectOptions { ClientId = "anyone" }));
        Assert.Equal(0, (await client.Next())[3]);
        broker.Signal("TERM");
        var farewell = await client.NextAnswer();
        Assert.Equal((0xE0, 0x9C, "other.example:1883"), (farewell.FirstByte, farewell.Code, farewell.Properties.Text(0x1C)));
        await client.ExpectClosed();
        Assert.Equal(0, await broker.WaitForExit(Eventually.DefaultDeadline));
    }

    [Fact]
    public async Task Ctrl_C_ends_it_too_while_storage_is_down()
    {
        var nowhere = $"http://127.0.0.1:{FreePorts.Take()}/a";
        var connection = $"AccountName=a;AccountKey=AAAA;QueueEndpoint={nowhere};BlobEndpoint={nowhere};TableEndpoint={nowhere};";
        await using var broker = Start(["--port", "0"], new() { ["AzureWebJobsStorage"] = connection });
        await Ready(broker);
        broker.Signal("INT");
        Assert.Equal(0, await broker.WaitForExit(Eventually.DefaultDeadline));
        Assert.DoesNotContain("AccountKey", broker.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", broker.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_port_in_use_is_one_sentence()
    {
        await using var first = Start(["--standalone", "--port", "0", "--internal-port", "0"]);
        var ports = await Ready(first);
        await Fails($"cannot listen on 127.0.0.1:{ports.GetProperty("port")}", ["--standalone", "--port", $"{ports.GetProperty("port")}"]);
        await Fails("address already in use", ["--standalone", "--port", "0", "--internal-port", $"{ports.GetProperty("internal_port")}"]);
        await Fails("address already in use", ["--standalone", "--port", "0", "--ws-port", $"{ports.GetProperty("internal_port")}"]);
    }

    [Fact]
    public async Task A_certificate_that_cannot_be_used_is_one_sentence()
    {
        using var folder = new TempFolder("broker");
        var file = Path.Combine(folder.Path, "cert.pem");
        await Fails($"{file} cannot be read", ["--standalone", "--port", "0", "--tls-port", "0", "--cert", file]);
        await File.WriteAllTextAsync(file, "not a certificate");
        await Fails($"the certificate {file}", ["--standalone", "--port", "0", "--tls-port", "0", "--cert", file]);
    }

    [Theory]
    [InlineData("unknown option --prot", "--prot")]
    [InlineData("AzureWebJobsStorage is not set")]
    [InlineData("the store in /proc/nothing/here cannot be used", "--standalone", "--port", "0", "--data", "/proc/nothing/here")]
    public Task A_mistake_is_one_sentence(string expected, params string[] args) => Fails(expected, args);

    [Fact]
    public async Task A_storage_setting_that_is_wrong_is_not_repeated()
    {
        var settings = new Dictionary<string, string?> { ["AzureWebJobsStorage"] = "AccountName=a;AccountKey" };
        var output = await Fails("AzureWebJobsStorage is not a storage connection string", ["--port", "0"], settings);
        Assert.DoesNotContain("AccountName", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_internal_endpoint_needs_its_key()
    {
        var account = (await AzuriteServer.Shared()).NewAccount();
        await StorageAccount.At(account).EnsureCreated();
        var settings = new Dictionary<string, string?> { ["AzureWebJobsStorage"] = account };
        await Fails("IOTHUB_BROKER_KEY is not set", ["--port", "0", "--internal-port", "0"], settings);
    }

    private static ChildProcess Start(IEnumerable<string> arguments, Dictionary<string, string?>? settings = null)
    {
        var environment = new Dictionary<string, string?>
        {
            ["AzureWebJobsStorage"] = null,
            ["AzureWebJobsStorage__accountName"] = null,
            ["IOTHUB_BROKER_KEY"] = null,
            ["IOTHUB_EVENTS_LAYOUT"] = null,
        };
        foreach (var (name, value) in settings ?? [])
        {
            environment[name] = value;
        }
        return ChildProcess.Start("dotnet", [Program, .. arguments], environment: environment);
    }

    private static async Task<JsonElement> Ready(ChildProcess broker)
    {
        const string Mark = "ready ";
        await Eventually.True(
            () => broker.StandardOutput.StartsWith(Mark, StringComparison.Ordinal) || broker.HasExited, otherwise: () => broker.Output);
        Assert.False(broker.HasExited, broker.Output);
        return JsonDocument.Parse(broker.StandardOutput[Mark.Length..]).RootElement;
    }

    private static async Task<string> Fails(string expected, IEnumerable<string> args, Dictionary<string, string?>? settings = null)
    {
        await using var broker = Start(args, settings);
        Assert.Equal(1, await broker.WaitForExit(Eventually.DefaultDeadline));
        var line = Assert.Single(broker.Output.Trim().Split('\n'));
        Assert.StartsWith("IotHub.Broker: ", line, StringComparison.Ordinal);
        Assert.Contains(expected, line, StringComparison.Ordinal);
        return broker.Output;
    }
}
