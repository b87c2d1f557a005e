using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using Azure.Storage.Blobs;
using Azure.Storage.Queues;
using IotHub.EndToEnd.Clients;
using IotHub.EndToEnd.Support;
using IotHub.Harness;
using Xunit;

namespace IotHub.EndToEnd;

/// <summary>The one local command: how it starts, what it says, and how it ends, in good times and bad.</summary>
public sealed class LauncherTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task Ctrl_C_stops_all_of_it_and_the_data_is_there_on_the_next_start()
    {
        using var data = new TempFolder("launcher");
        LocalEndpoints before;
        Guid deviceId;
        Guid hubId;
        await using (var first = await LocalHub.Start(data.Path))
        {
            before = first.Endpoints;
            using var api = new ManagementApi(before);
            hubId = (await api.NewHub()).Id;
            deviceId = (await new TestHub(api, before, hubId).NewDevice()).Id;

            Assert.Equal(0, await first.Stop());
            Assert.False(File.Exists(first.EndpointsFile), "endpoints.json is removed at stop");
            Assert.Empty(first.Launcher.StandardError);
        }
        Assert.All(Pids(before), pid => Assert.False(ChildProcess.IsAlive(pid), $"process {pid} is still there"));

        await using var second = await LocalHub.Start(data.Path);
        Assert.Equal(before.SecretKey, second.Endpoints.SecretKey);
        Assert.Equal(before.AccessKey, second.Endpoints.AccessKey);
        Assert.Equal(before.ProjectId, second.Endpoints.ProjectId);
        using var again = new ManagementApi(second.Endpoints);
        Assert.Equal("ready", (await again.Get($"hubs/{hubId}")).GetProperty("status").GetString());
        await using var clients = new MqttClients();
        await clients.Connected(
            ClientKind.MqttNet, new TestHub(again, second.Endpoints, hubId).Login(new TestDevice(deviceId, "", "")));
    }

    [Fact]
    public async Task Two_run_side_by_side_and_say_in_endpoints_json_where_everything_is()
    {
        await using var one = await LocalHub.Start();
        await using var two = await LocalHub.Start();

        Assert.NotEqual(one.Endpoints.ApiUrl, two.Endpoints.ApiUrl);
        foreach (var hub in new[] { one, two })
        {
            var endpoints = hub.Endpoints;
            Assert.Equal("fr-par", endpoints.Region);
            Assert.Matches("^SCW[A-Z0-9]{17}$", endpoints.AccessKey);
            Assert.True(Guid.TryParse(endpoints.SecretKey, out _));
            Assert.All(Pids(endpoints), pid => Assert.True(ChildProcess.IsAlive(pid)));
            Assert.True(await FreePorts.Answers(endpoints.Mqtt.Port));
            Assert.True(await FreePorts.Answers(endpoints.Mqtt.TlsPort));
            Assert.True(await FreePorts.Answers(new Uri(endpoints.Mqtt.WsUrl).Port));
            Assert.True(await FreePorts.Answers(new Uri(endpoints.Mqtt.WssUrl).Port));
            Assert.EndsWith("/ingest/rest", endpoints.Ingest.RestUrl, StringComparison.Ordinal);
            Assert.EndsWith("/ingest/sigfox", endpoints.Ingest.SigfoxUrl, StringComparison.Ordinal);
            Assert.True(await new QueueClient(endpoints.StorageConnectionString, "deliveries").ExistsAsync());
            using var http = new HttpClient();
            Assert.Equal(
                (await File.ReadAllTextAsync(endpoints.ServerCa)).TrimEnd(),
                (await http.GetStringAsync($"{endpoints.ApiUrl}/iot/server-ca.pem")).TrimEnd());
            if (!OperatingSystem.IsWindows())
            {
                Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(hub.EndpointsFile));
            }
            using var api = new ManagementApi(endpoints);
            Assert.Equal(0, (await api.Get("hubs")).GetProperty("total_count").GetInt32());
        }
    }

    [Fact]
    public async Task The_data_folder_of_a_running_hub_is_refused_in_one_sentence()
    {
        await using var running = await LocalHub.Start();

        await using var second = LocalHub.Launch(["--data", running.DataFolder, "--base-port", "0"]);

        Assert.Equal(1, await second.WaitForExit(Soon));
        Assert.Contains(running.DataFolder, OneSentence(second), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_port_in_use_is_one_sentence_and_exit_code_1()
    {
        using var data = new TempFolder("launcher");
        using var holder = new TcpListener(IPAddress.Loopback, FreePorts.Take());
        holder.Start();
        var taken = ((IPEndPoint)holder.LocalEndpoint).Port;

        await using var launcher = LocalHub.Launch(["--data", data.Path, "--base-port", $"{taken - 1}"]);

        Assert.Equal(1, await launcher.WaitForExit(Soon));
        Assert.Contains($"{taken}", OneSentence(launcher), StringComparison.Ordinal);
        Assert.False(File.Exists(data.Combine("endpoints.json")));
    }

    [Fact]
    public async Task A_missing_Node_is_one_sentence_that_says_what_to_install()
    {
        using var data = new TempFolder("launcher");

        await using var launcher = LocalHub.Launch(
            ["--data", data.Path, "--base-port", "0"], new Dictionary<string, string?> { ["PATH"] = data.Path });

        Assert.Equal(1, await launcher.WaitForExit(Soon));
        Assert.Contains("Node.js", OneSentence(launcher), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Azurite")]
    [InlineData("broker")]
    [InlineData("function")]
    public async Task A_child_that_dies_is_one_sentence_and_is_started_again(string name)
    {
        await using var hub = await LocalHub.Start();
        using var api = new ManagementApi(hub.Endpoints);
        await using var testHub = await api.NewHub();
        var device = await testHub.NewDevice();
        var before = PidOf(name, hub.Endpoints);
        if (name == "Azurite")
        {
            // It writes its tables to disk every few seconds only.
            await Eventually.True(() => File.ReadAllText(TablesOnDisk(hub)).Contains($"{device.Id}", StringComparison.Ordinal));
        }

        ChildProcess.Signal(before, "KILL");

        await Eventually.True(() => IsBack(name, before, hub), Soon, () => hub.Logs);
        await Eventually.Passes(async () =>
        {
            await using var clients = new MqttClients();
            await clients.Connected(ClientKind.MqttNet, testHub.Login(device));
            Assert.Equal(HttpStatusCode.OK, (await (await testHub.NewNetwork("rest")).Post("t", "works again")).Status);
        });
        Assert.DoesNotContain("   at ", hub.Launcher.Output, StringComparison.Ordinal);
        if (name != "function")
        {
            var said = hub.Launcher.StandardError.Split('\n').Where(line => line.Contains("ended", StringComparison.Ordinal));
            Assert.Contains(name, Assert.Single(said), StringComparison.OrdinalIgnoreCase);
        }
    }

    [Fact]
    public async Task A_child_that_dies_again_and_again_ends_all_of_it()
    {
        await using var hub = await LocalHub.Start();
        for (var death = 1; death <= 6; death++)
        {
            Assert.False(hub.Launcher.HasExited, $"after {death - 1} deaths:\n{hub.Logs}");
            var before = PidOf("broker", LocalEndpoints.Read(hub.EndpointsFile));
            ChildProcess.Signal(before, "KILL");
            await Eventually.True(() => hub.Launcher.HasExited || IsBack("broker", before, hub), Soon, () => hub.Logs);
        }

        Assert.Equal(1, await hub.Launcher.WaitForExit(Soon));
        Assert.DoesNotContain("   at ", hub.Launcher.Output, StringComparison.Ordinal);
        Assert.All(Pids(hub.Endpoints), pid => Assert.False(ChildProcess.IsAlive(pid), $"process {pid} is still there"));
        Assert.False(File.Exists(hub.EndpointsFile));
    }

    [Fact]
    public async Task The_five_commands_that_it_prints_work_when_pasted()
    {
        await using var hub = await LocalHub.Start();
        // It is printed after endpoints.json is there, which is what the start waits for.
        await Eventually.True(() => hub.Launcher.StandardOutput.Contains("curl -sS -i", StringComparison.Ordinal), Soon);
        var commands = hub.Launcher.StandardOutput.Split("Five commands")[1].Split('\n')
            .Where(line => Regex.IsMatch(line.Trim(), "^([A-Z]+=|mosquitto_sub|npx|curl)")).Select(line => line.Trim()).ToList();
        Assert.Equal(5, commands.Count);
        Assert.Contains(hub.Endpoints.SecretKey, hub.Launcher.StandardOutput, StringComparison.Ordinal);

        await using var terminal = ChildProcess.Start("bash", ["--norc"], keepInputOpen: true);
        foreach (var command in commands)
        {
            await terminal.Send(command);
        }

        string[] expected = ["""sigfox/A1234B/payload {"data":"ABCDEF01","id":"A1234B"}""", "HTTP/1.1 200 OK"];
        await Eventually.True(
            () => expected.All(text => terminal.StandardOutput.Contains(text, StringComparison.Ordinal)),
            TimeSpan.FromSeconds(60),
            () => terminal.Output);
        var bucket = new BlobContainerClient(hub.Endpoints.StorageConnectionString, "messages");
        await Eventually.True(
            async () => await bucket.ExistsAsync() && bucket.GetBlobs(new() { Prefix = "sigfox/A1234B/payload/" }).Any(), Soon);
    }

    [Fact]
    public async Task Nothing_is_left_running_when_the_launcher_itself_is_killed()
    {
        await using var hub = await LocalHub.Start();

        hub.Launcher.Signal("KILL");
        await hub.Launcher.WaitForExit(Soon);

        await Eventually.True(() => Pids(hub.Endpoints).All(pid => !ChildProcess.IsAlive(pid)), Soon);
        await using var next = await LocalHub.Start(hub.DataFolder);
        Assert.Equal(hub.Endpoints.SecretKey, next.Endpoints.SecretKey);
    }

    [Fact]
    public async Task Demo_does_the_whole_walk_and_says_where_the_message_ended_up()
    {
        await using var demo = LocalHub.Launch(["demo"]);

        Assert.True(await demo.WaitForExit(TimeSpan.FromMinutes(2)) == 0, demo.Output);
        Assert.Empty(demo.StandardError);
        Assert.Matches(@"\d+(\.\d+)? ?m?s", demo.StandardOutput);
    }

    private static string OneSentence(ChildProcess launcher)
    {
        var lines = launcher.StandardError.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.True(lines.Length == 1, launcher.Output);
        Assert.EndsWith(".", lines[0].TrimEnd(), StringComparison.Ordinal);
        return lines[0];
    }

    private static int PidOf(string child, LocalEndpoints endpoints) => child switch
    {
        "Azurite" => endpoints.Pids.Azurite,
        "broker" => endpoints.Pids.Broker,
        _ => endpoints.Pids.Functions,
    };

    private static string TablesOnDisk(LocalHub hub) =>
        Directory.GetFiles(hub.DataFolder, "__azurite_db_table__.json", SearchOption.AllDirectories).Single();

    private static bool IsBack(string child, int before, LocalHub hub)
    {
        var pid = PidOf(child, LocalEndpoints.Read(hub.EndpointsFile));
        return pid != before && ChildProcess.IsAlive(pid);
    }

    private static int[] Pids(LocalEndpoints endpoints) => [endpoints.Pids.Azurite, endpoints.Pids.Functions, endpoints.Pids.Broker];
}
