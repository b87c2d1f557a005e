using System.Text.Json;
using IotHub.Functions;
using IotHub.Harness;
using Xunit;

namespace IotHub.Contract.Hosting;

/// <summary>The program as the host starts it: its folder, its port, its exit codes, its output.</summary>
public sealed class ExecutableTests
{
#if DEBUG
    private const string Configuration = "Debug";
#else
    private const string Configuration = "Release";
#endif

    private static readonly string AppRoot = RepositoryRoot.Combine("functions", "bin", Configuration, "net10.0");

    private static ChildProcess Start(IEnumerable<string> arguments, Dictionary<string, string?> environment) => ChildProcess.Start(
        "dotnet", [Path.Combine(AppRoot, "IotHub.Functions.dll"), .. arguments], AppRoot, environment);

    private static Dictionary<string, string?> Environment(int port) => new()
    {
        ["FUNCTIONS_CUSTOMHANDLER_PORT"] = $"{port}",
        ["AzureWebJobsStorage"] = "AccountName=a;AccountKey=AAAA;QueueEndpoint=http://127.0.0.1:1/a;BlobEndpoint=http://127.0.0.1:1/a;TableEndpoint=http://127.0.0.1:1/a;",
        ["IOTHUB_BROKER_URL"] = "http://127.0.0.1:1",
        ["IOTHUB_BROKER_KEY"] = "secret-broker-key",
        ["IOTHUB_SEALING_KEY"] = Convert.ToBase64String(new byte[32]),
    };

    [Fact]
    public void The_output_folder_is_a_complete_app_root()
    {
        Assert.True(File.Exists(Path.Combine(AppRoot, "host.json")));
        Assert.True(File.Exists(Path.Combine(AppRoot, "IotHub.Functions")));
        Assert.All(FunctionList.All, function => Assert.True(File.Exists(Path.Combine(AppRoot, function.Name, "function.json"))));
    }

    [Fact]
    public async Task It_listens_where_the_host_says_and_ASPNETCORE_URLS_does_not_win()
    {
        var (port, other) = (FreePorts.Take(), FreePorts.Take());
        var environment = Environment(port);
        environment["ASPNETCORE_URLS"] = $"http://127.0.0.1:{other}";
        environment["ASPNETCORE_HTTP_PORTS"] = $"{other}";
        await using var program = Start([], environment);
        await Ready(port, program);
        Assert.False(await FreePorts.Answers(other));
    }

    [Fact]
    public async Task It_serves_without_storage_and_says_so_in_single_lines()
    {
        var port = FreePorts.Take();
        await using var program = Start([], Environment(port));
        await Ready(port, program);
        using var http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}") };
        var answer = await http.PostAsync(new Uri("/TrimChanges", UriKind.Relative), new StringContent("""{"Data":{"timer":{}},"Metadata":{}}"""));
        Assert.Equal(500, (int)answer.StatusCode);
        await Eventually.True(() => program.Output.Contains("TrimChanges: storage failed", StringComparison.Ordinal), otherwise: () => program.Output);
        // The host makes one record of each line, so a record must be one line.
        Assert.All(program.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries), line => Assert.Matches("^(info|warn|fail|crit): ", line));
        Assert.DoesNotContain("secret-broker-key", program.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Told_to_stop_it_does_not_end_with_0_which_the_host_would_take_for_done()
    {
        var port = FreePorts.Take();
        await using var program = Start([], Environment(port));
        await Ready(port, program);
        program.Signal("TERM");
        Assert.NotEqual(0, await program.WaitForExit(TimeSpan.FromSeconds(20)));
    }

    [Theory]
    [InlineData("FUNCTIONS_CUSTOMHANDLER_PORT")]
    [InlineData("AzureWebJobsStorage")]
    [InlineData("IOTHUB_BROKER_URL")]
    [InlineData("IOTHUB_BROKER_KEY")]
    [InlineData("IOTHUB_SEALING_KEY")]
    public async Task A_missing_setting_is_one_clear_line_and_a_failure(string name)
    {
        var environment = Environment(FreePorts.Take());
        environment[name] = null;
        await using var program = Start([], environment);
        Assert.Equal(ExitCodes.Fatal, await program.WaitForExit(TimeSpan.FromSeconds(20)));
        Assert.Contains(name, Assert.Single(program.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_port_in_use_ends_with_a_clear_line_and_a_failure()
    {
        await using var other = await TestHttpServer.Start();
        await using var program = Start([], Environment(other.Url.Port));
        Assert.Equal(ExitCodes.Fatal, await program.WaitForExit(TimeSpan.FromSeconds(20)));
        var last = program.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)[^1];
        Assert.StartsWith("The function app cannot start: ", last, StringComparison.Ordinal);
        Assert.Contains($"{other.Url.Port}", last, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Functions_json_writes_an_app_root_and_an_unknown_command_is_refused()
    {
        using var root = new TempFolder("app-root");
        await using var program = Start(["functions-json", root.Path], []);
        Assert.Equal(0, await program.WaitForExit(TimeSpan.FromSeconds(20)));
        Assert.Equal(
            "http",
            JsonDocument.Parse(File.ReadAllText(Path.Combine(root.Path, "Health", "function.json"))).RootElement.GetProperty("bindings")[1].GetProperty("type").GetString());
        await using var unknown = Start(["no-such-command"], []);
        Assert.NotEqual(0, await unknown.WaitForExit(TimeSpan.FromSeconds(20)));
    }

    private static async Task Ready(int port, ChildProcess program)
    {
        using var http = new HttpClient();
        await Eventually.True(
            async () => (await http.GetAsync(new Uri($"http://127.0.0.1:{port}/"))).IsSuccessStatusCode, otherwise: () => program.Output);
    }
}
