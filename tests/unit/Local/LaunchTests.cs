using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using IotHub.Harness;
using IotHub.Local.Launch;
using IotHub.Local.Processes;
using Xunit;

namespace IotHub.Unit.Local;

public sealed class LaunchTests : IDisposable
{
    private readonly TempFolder _folder = new("launch");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Command_line_without_anything_runs_with_the_defaults() =>
        Assert.Equal(new LocalOptions(LocalCommand.Run, null, null, StandIn: false, WithoutBroker: false), LocalOptions.Parse([]));

    [Fact]
    public void Command_line_takes_a_folder_and_a_port() => Assert.Equal(
        new LocalOptions(LocalCommand.Demo, Path.GetFullPath("here"), 9000, StandIn: true, WithoutBroker: true),
        LocalOptions.Parse(["demo", "--data", "here", "--base-port", "9000", "--stand-in", "--without-broker"]));

    [Theory]
    [InlineData("--data")]
    [InlineData("--base-port")]
    [InlineData("--base-port", "80")]
    [InlineData("--base-port", "65528")]
    [InlineData("--base-port", "-1")]
    [InlineData("--base-port", "x")]
    [InlineData("--wat")]
    [InlineData("--data", "x", "demo")]
    public void Command_line_that_means_nothing_is_refused_in_one_sentence(params string[] args)
    {
        var message = Assert.Throws<LaunchException>(() => LocalOptions.Parse(args)).Message;
        Assert.EndsWith(".", message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', message);
    }

    [Fact]
    public void Ports_follow_the_base() => Assert.Equal(new Ports(7071, 7072, 7073, 7074, 7075, 7076, 7077, 7078, 7079), Ports.From(7071));

    [Fact]
    public void Free_ports_are_different_and_below_those_of_outgoing_connections()
    {
        var p = Ports.From(0);
        int[] all = [p.Api, p.Mqtt, p.MqttTls, p.Ws, p.Wss, p.Internal, p.Blobs, p.Queues, p.Tables];
        Assert.Equal(Ports.Count, all.Distinct().Count());
        Assert.All(all, port => Assert.InRange(port, 1024, 32767));
    }

    [Fact]
    public void Port_in_use_is_named_with_what_it_is_for()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var port = ((IPEndPoint)taken.LocalEndpoint).Port;
        var message = Assert.Throws<LaunchException>(() => (Ports.From(0) with { Mqtt = port }).MustBeFree()).Message;
        Assert.StartsWith($"Port {port} (MQTT) is in use", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Second_launcher_on_a_folder_is_refused_and_the_first_one_is_not_disturbed()
    {
        using var first = DataFolder.Open(_folder.Path);
        var refusal = Assert.Throws<LaunchException>(() => DataFolder.Open(_folder.Path));
        Assert.Contains("Another local hub runs", refusal.Message, StringComparison.Ordinal);
        first.Dispose();
        DataFolder.Open(_folder.Path).Dispose();
    }

    [Fact]
    public void Folder_that_cannot_be_made_is_refused_with_a_way_out()
    {
        var file = Path.Combine(_folder.Path, "file");
        File.WriteAllText(file, "");
        var message = Assert.Throws<LaunchException>(() => DataFolder.Open(Path.Combine(file, "data"))).Message;
        Assert.Contains("cannot be written", message, StringComparison.Ordinal);
        Assert.Contains("--data DIR", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Endpoints_file_has_exactly_the_promised_members_and_only_its_owner_reads_it()
    {
        using var data = DataFolder.Open(_folder.Path);
        data.Write(Example());
        var path = Path.Combine(_folder.Path, "endpoints.json");
        using var json = JsonDocument.Parse(File.ReadAllText(path));
        Assert.Equal(
            [
                "access_key", "api_url", "console_url", "ingest", "mqtt", "organization_id", "pids", "project_id", "region", "secret_key",
                "server_ca", "storage_connection_string",
            ],
            json.RootElement.EnumerateObject().Select(p => p.Name).Order(StringComparer.Ordinal));
        Assert.Equal(["host", "port", "tls_port", "ws_url", "wss_url"], Members("mqtt"));
        Assert.Equal(["rest_url", "sigfox_url"], Members("ingest"));
        Assert.Equal(["azurite", "functions", "broker"], Members("pids"));
        Assert.Equal(JsonValueKind.Null, json.RootElement.GetProperty("console_url").ValueKind);
        AssertOwnerOnly(path);

        IEnumerable<string> Members(string of) => json.RootElement.GetProperty(of).EnumerateObject().Select(p => p.Name);
    }

    [Fact]
    public void Endpoints_count_only_while_their_launcher_holds_the_folder()
    {
        var data = DataFolder.Open(_folder.Path);
        data.Write(Example());
        Assert.Equal(Example(), DataFolder.Running(_folder.Path));
        data.Dispose();
        Assert.Null(DataFolder.Running(_folder.Path));
    }

    [Fact]
    public async Task Leftovers_of_a_killed_launcher_are_cleared()
    {
        using var data = DataFolder.Open(_folder.Path);
        data.Write(Example());
        await data.ClearLeftovers(CancellationToken.None);
        Assert.False(File.Exists(Path.Combine(_folder.Path, "endpoints.json")));
    }

    [Fact]
    public void Credentials_survive_a_restart_and_never_print_their_secrets()
    {
        var credentials = Credentials.New() with { AccessKey = "SCWX", SecretKey = "secret" };
        using var data = DataFolder.Open(_folder.Path);
        Assert.Null(data.ReadCredentials());
        data.Write(credentials);
        Assert.Equal(credentials, data.ReadCredentials());
        AssertOwnerOnly(Path.Combine(_folder.Path, "credentials.json"));
        foreach (var secret in (string[])[credentials.SecretKey, credentials.SealingKey, credentials.BrokerKey])
        {
            Assert.DoesNotContain(secret, credentials.ToString(), StringComparison.Ordinal);
        }
        Assert.Equal(32, Convert.FromBase64String(credentials.SealingKey).Length);
    }

    [Fact]
    public void Damaged_credentials_are_refused_instead_of_replaced()
    {
        using var data = DataFolder.Open(_folder.Path);
        File.WriteAllText(Path.Combine(_folder.Path, "credentials.json"), "{");
        Assert.Contains("damaged", Assert.Throws<LaunchException>(data.ReadCredentials).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Log_keeps_its_size_and_its_last_lines()
    {
        var path = Path.Combine(_folder.Path, "x.log");
        using (var log = new CappedLog(path, bytesMax: 1000))
        {
            for (var n = 0; n < 200; n++)
            {
                log.WriteLine($"line {n}");
            }
            Assert.Equal(20, log.Tail.Count);
            Assert.Equal("line 199", log.Tail[^1]);
        }
        Assert.True(new FileInfo(path).Length < 1100);
        Assert.True(new FileInfo(Path.Combine(_folder.Path, "x.1.log")).Length < 1100);
        Assert.EndsWith("line 199\n", File.ReadAllText(path), StringComparison.Ordinal);
    }

    [Fact]
    public void Server_certificate_is_made_once_and_names_the_loopback()
    {
        var first = ServerCertificate.Prepare(_folder.Path, TimeProvider.System);
        var pem = File.ReadAllText(first.CertificateFile);
        Assert.Equal(pem, File.ReadAllText(ServerCertificate.Prepare(_folder.Path, TimeProvider.System).CertificateFile));
        using var certificate = IotHub.Core.Security.Certificates.TryRead(pem)!;
        Assert.True(certificate.MatchesHostname("localhost"));
        Assert.True(certificate.MatchesHostname("127.0.0.1"));
        Assert.True(certificate.MatchesHostname("::1"));
        AssertOwnerOnly(first.KeyFile);
    }

    [Fact]
    public async Task Orphan_guard_ends_what_is_left_when_its_pipe_closes_and_spares_what_it_was_told_to_forget()
    {
        await using var left = ChildProcess.Start("sleep", ["300"]);
        await using var forgotten = ChildProcess.Start("sleep", ["300"]);
        var guard = OrphanGuard.Start();
        guard.Watch(left.Pid);
        guard.Watch(forgotten.Pid);
        guard.Forget(forgotten.Pid);
        guard.Dispose();
        await Eventually.True(() => left.HasExited);
        Assert.False(forgotten.HasExited);
    }

    private static void AssertOwnerOnly(string path)
    {
        if (!OperatingSystem.IsWindows())
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
        }
    }

    private static Endpoints Example() => new()
    {
        ApiUrl = "http://127.0.0.1:1",
        Region = "fr-par",
        AccessKey = "a",
        SecretKey = "s",
        ProjectId = Guid.Empty,
        OrganizationId = Guid.Empty,
        Mqtt = new MqttEndpoints("127.0.0.1", 1, 2, "ws://127.0.0.1:3/mqtt", "wss://127.0.0.1:4/mqtt"),
        Ingest = new IngestEndpoints("http://127.0.0.1:1/ingest/rest", "http://127.0.0.1:1/ingest/sigfox"),
        StorageConnectionString = "c",
        Pids = new ChildIds(int.MaxValue, int.MaxValue, int.MaxValue),
        ServerCa = "ca.pem",
    };
}
