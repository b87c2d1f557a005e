using System.Diagnostics;
using IotHub.Harness;
using IotHub.Local.StandInHost;
using Xunit;

namespace IotHub.Contract.StandInHost;

/// <summary>How the stand-in host looks after the handler's process.</summary>
public sealed class ProcessTests
{
    private const string CountStart = "echo start >> starts";

    [Fact]
    public async Task Handler_gets_the_environment_and_the_settings_of_the_app()
    {
        await using var app = (await ScriptedApp.Create()).WithQueueFunction("f", "orders")
            .WithProcess("env > env.txt; mv env.txt environment; exec sleep 600");
        await File.WriteAllTextAsync(
            Path.Combine(app.Root, "local.settings.json"), """{ "Values": { "FROM_FILE": "a b", "AzureWebJobsStorage": "loses" } }""");
        await using var host = await app.StartHost();
        var path = Path.Combine(app.Root, "environment");
        await Eventually.True(() => File.Exists(path));
        var lines = await File.ReadAllLinesAsync(path);
        Assert.Contains($"FUNCTIONS_CUSTOMHANDLER_PORT={app.Port}", lines);
        Assert.Contains($"FUNCTIONS_HTTPWORKER_PORT={app.Port}", lines);
        Assert.Contains($"FUNCTIONS_APP_ROOT_PATH={app.Root}", lines);
        Assert.Contains($"AzureWebJobsStorage={app.Storage}", lines);
        Assert.Contains("FROM_FILE=a b", lines);
        Assert.Equal(Value("FUNCTIONS_CUSTOMHANDLER_WORKER_ID"), Value("FUNCTIONS_HTTPWORKER_ID"));
        Assert.True(Guid.TryParse(Value("FUNCTIONS_HTTPWORKER_ID"), out _));

        string Value(string name) => lines.Single(line => line.StartsWith(name + "=", StringComparison.Ordinal)).Split('=')[1];
    }

    [Fact]
    public async Task Exit_code_0_is_not_started_again()
    {
        await using var app = (await ScriptedApp.Create()).WithQueueFunction("f", "orders").WithProcess($"{CountStart}; sleep 1; exit 0");
        await using var host = await app.StartHost();
        await Eventually.True(() => Starts(app) == 1 && host.IsReady);
        await Eventually.True(() => host.HandlerProcessId is null);
        var clock = Stopwatch.StartNew();
        await Eventually.True(() => clock.Elapsed > TimeSpan.FromSeconds(2));
        Assert.Equal(1, Starts(app));
        Assert.False(host.Failed.IsCompleted);
    }

    [Fact]
    public async Task Exit_code_200_is_started_again_as_often_as_it_comes()
    {
        await using var app = (await ScriptedApp.Create()).WithQueueFunction("f", "orders")
            .WithProcess($"{CountStart}; [ $(wc -l < starts) -le 5 ] && exit 200; exec sleep 600");
        await using var host = await app.StartHost();
        await Eventually.True(() => Starts(app) == 6);
        Assert.False(host.Failed.IsCompleted);
    }

    [Fact]
    public async Task Third_crash_stops_the_host()
    {
        await using var app = (await ScriptedApp.Create()).WithQueueFunction("f", "orders").WithProcess($"{CountStart}; exit 3");
        await using var host = await app.StartHost();
        Assert.Contains("failed 3 times", await host.Failed.Within(), StringComparison.Ordinal);
        Assert.Equal(3, Starts(app));
    }

    [Fact]
    public async Task Two_crashes_are_survived()
    {
        await using var app = (await ScriptedApp.Create()).WithQueueFunction("f", "orders")
            .WithProcess($"{CountStart}; [ $(wc -l < starts) -le 2 ] && exit 3; exec sleep 600");
        await using var host = await app.StartHost();
        await Eventually.True(() => Starts(app) == 3 && host.IsReady);
        Assert.False(host.Failed.IsCompleted);
    }

    [Fact]
    public async Task Missing_executable_stops_the_host_with_its_name()
    {
        await using var app = (await ScriptedApp.Create()).WithQueueFunction("f", "orders");
        await using var host = await app.StartHost(o => o with
        {
            Settings = new Dictionary<string, string>(o.Settings)
            {
                ["AzureFunctionsJobHost__customHandler__description__defaultExecutablePath"] = "no-such-program",
            },
        });
        Assert.Contains("no-such-program", await host.Failed.Within(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Too_long_an_invocation_fails_and_the_handler_is_killed_and_started_again()
    {
        await using var app = (await ScriptedApp.Create()).WithQueueFunction("f", "orders")
            .WithHostMembers("\"functionTimeout\": \"00:00:01\",").WithProcess($"{CountStart}; exec sleep 600");
        app.Answer = (request, context) => request.DequeueCount == 1 ? ScriptedApp.Hang(context) : ScriptedApp.Succeed(context);
        var queue = await app.Queue("orders");
        await ScriptedApp.Send(queue, "slow");
        await using var host = await app.StartHost();
        var first = host.HandlerProcessId;
        await Eventually.True(() => app.Requests.Count == 2);
        Assert.Equal(2, app.Requests[1].DequeueCount);
        await Eventually.True(() => Starts(app) == 2 && host.IsReady);
        Assert.NotEqual(first, host.HandlerProcessId);
        Assert.False(host.Failed.IsCompleted);
    }

    [Fact]
    public async Task Empty_answer_is_reported_at_once_and_in_strict_mode_hangs_until_the_handler_is_killed()
    {
        await using var app = (await ScriptedApp.Create()).WithQueueFunction("f", "orders")
            .WithHostMembers("\"functionTimeout\": \"00:00:03\",").WithProcess($"{CountStart}; exec sleep 600");
        var clock = new Stopwatch();
        app.Answer = (request, context) =>
        {
            clock.Start();
            return request.DequeueCount == 1 ? ScriptedApp.Write(context, 200, "application/json", "") : ScriptedApp.Succeed(context);
        };
        var queue = await app.Queue("orders");
        var reported = new TaskCompletionSource<string>();
        await using var host = await app.StartHost(o => o with { Strict = true });
        host.ContractViolated += violation => reported.TrySetResult(violation);
        await ScriptedApp.Send(queue, "x");

        Assert.Contains("empty body", await reported.Task.Within(), StringComparison.Ordinal);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(3));
        Assert.Equal(1, Starts(app));
        await Eventually.True(() => Starts(app) == 2);
        Assert.True(clock.Elapsed > TimeSpan.FromSeconds(2.5));
        await Eventually.True(() => app.Requests.Count == 2);
    }

    [Fact]
    public async Task Killed_handler_is_started_again_and_its_new_process_is_told()
    {
        await using var app = (await ScriptedApp.Create()).WithQueueFunction("f", "orders").WithProcess("exec sleep 600");
        await using var host = await app.StartHost();
        var told = new TaskCompletionSource<string>();
        host.HandlerReady += processId => told.TrySetResult($"{processId}");
        var first = host.HandlerProcessId!.Value;
        ChildProcess.Signal(first, "KILL");
        Assert.Equal(await told.Task.Within(), $"{host.HandlerProcessId}");
        Assert.NotEqual(first, host.HandlerProcessId);
        Assert.False(ChildProcess.IsAlive(first));
    }

    [Fact]
    public async Task Stop_kills_without_a_warning_unless_told_to_be_gentle()
    {
        const string Script = "trap 'echo asked > asked; exit 0' TERM; echo > trapped; while true; do sleep 0.1; done";
        await using (var app = (await ScriptedApp.Create()).WithQueueFunction("f", "orders").WithProcess(Script))
        {
            await using (await app.StartHost())
            {
            }
            Assert.False(File.Exists(Path.Combine(app.Root, "asked")));
        }
        await using (var app = (await ScriptedApp.Create()).WithQueueFunction("f", "orders").WithProcess(Script))
        {
            await using (var host = await app.StartHost(o => o with { StopGrace = TimeSpan.FromSeconds(10) }))
            {
                await Eventually.True(() => File.Exists(Path.Combine(app.Root, "trapped")));
            }
            Assert.True(File.Exists(Path.Combine(app.Root, "asked")));
        }
    }

    [Fact]
    public async Task App_that_the_stand_in_cannot_run_is_refused_at_once()
    {
        await using var app = (await ScriptedApp.Create())
            .WithFunction("upload", """{ "type": "blobTrigger", "direction": "in", "name": "blob", "path": "uploads/{name}" }""");
        var refusal = await Assert.ThrowsAsync<FunctionAppException>(() => app.StartHost());
        Assert.Contains("blobTrigger", refusal.Message, StringComparison.Ordinal);
    }

    private static int Starts(ScriptedApp app)
    {
        var path = Path.Combine(app.Root, "starts");
        return File.Exists(path) ? File.ReadAllLines(path).Length : 0;
    }
}
