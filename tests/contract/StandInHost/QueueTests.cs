using System.Diagnostics;
using System.Text.RegularExpressions;
using Azure.Storage.Queues;
using IotHub.Harness;
using Xunit;

namespace IotHub.Contract.StandInHost;

/// <summary>How the stand-in host feeds queue functions, on a real storage.</summary>
public sealed partial class QueueTests
{
    [Fact]
    public async Task Message_reaches_the_handler_as_the_host_sends_it_and_is_deleted_on_success()
    {
        await using var app = (await ScriptedApp.Create()).WithQueueFunction("ProcessOrder", "orders");
        var queue = await app.Queue("orders");
        await ScriptedApp.Send(queue, "hello \"world\"");
        await using var host = await app.StartHost();

        await Eventually.True(() => app.Requests.Count == 1);
        var request = app.Requests[0];
        Assert.Equal("POST", request.Method);
        Assert.Equal("/ProcessOrder", request.Target);
        Assert.Equal(
            ["Content-Type", "Host", "Transfer-Encoding", "User-Agent", "X-Azure-Functions-HostVersion", "X-Azure-Functions-InvocationId"],
            request.Headers.Keys.Order(StringComparer.OrdinalIgnoreCase));
        Assert.Equal("application/json; charset=utf-8", request.Headers["Content-Type"]);
        Assert.Equal($"127.0.0.1:{app.Port}", request.Headers["Host"]);
        Assert.Equal("chunked", request.Headers["Transfer-Encoding"]);
        Assert.Equal("Azure-Functions-Host/4.1052.200.0", request.Headers["User-Agent"]);
        Assert.True(Guid.TryParse(request.Headers["X-Azure-Functions-InvocationId"], out _));
        Assert.Equal(
            """
            {"Data":{"item":"\"hello \\\"world\\\"\""},"Metadata":{"DequeueCount":"1","ExpirationTime":DATE,"Id":"\"GUID\"",
            "InsertionTime":DATE,"NextVisibleTime":DATE,"PopReceipt":RECEIPT,
            "sys":{"MethodName":"ProcessOrder","UtcNow":NOW,"RandGuid":"GUID"}}}
            """.ReplaceLineEndings(""),
            WithoutWhatChanges(request.Text));
        await Eventually.True(async () => await Count(queue) == 0);
    }

    [Fact]
    public async Task Failing_message_is_tried_five_times_with_rising_counts_and_then_moved_to_the_poison_queue()
    {
        await using var app = (await ScriptedApp.Create()).WithQueueFunction("ProcessOrder", "orders");
        app.Answer = (_, context) => ScriptedApp.Fail(context);
        var queue = await app.Queue("orders");
        await ScriptedApp.Send(queue, "bad");
        await using var host = await app.StartHost();

        var poison = new QueueClient(app.Storage, "orders-poison");
        var moved = await Eventually.Get(async () => (await poison.PeekMessageAsync()).Value);
        Assert.Equal("bad", System.Text.Encoding.UTF8.GetString(Convert.FromBase64String(moved.Body.ToString())));
        Assert.Equal([1, 2, 3, 4, 5], app.Requests.Select(r => r.DequeueCount));
        await Eventually.True(async () => await Count(queue) == 0);
    }

    [Fact]
    public async Task Failed_message_comes_back_after_the_visibility_timeout()
    {
        await using var app = (await ScriptedApp.Create()).WithQueueFunction("ProcessOrder", "orders")
            .WithQueues("\"visibilityTimeout\": \"00:00:02\"");
        var clock = Stopwatch.StartNew();
        var arrivals = new List<TimeSpan>();
        app.Answer = (request, context) =>
        {
            arrivals.Add(clock.Elapsed);
            return request.DequeueCount == 1 ? ScriptedApp.Fail(context) : ScriptedApp.Succeed(context);
        };
        await ScriptedApp.Send(await app.Queue("orders"), "again");
        await using var host = await app.StartHost();

        await Eventually.True(() => app.Requests.Count == 2);
        // Storage counts visibility in whole seconds.
        Assert.InRange(arrivals[1] - arrivals[0], TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(8));
        Assert.Equal("again", app.Requests[1].Message);
    }

    [Fact]
    public async Task Message_over_the_limit_on_arrival_goes_to_the_poison_queue_without_the_handler()
    {
        await using var app = (await ScriptedApp.Create()).WithQueueFunction("ProcessOrder", "orders").WithQueues("\"maxDequeueCount\": 2");
        var queue = await app.Queue("orders");
        await ScriptedApp.Send(queue, "tired");
        for (var n = 0; n < 2; n++)
        {
            var message = (await queue.ReceiveMessageAsync()).Value;
            await queue.UpdateMessageAsync(message.MessageId, message.PopReceipt, message.Body, TimeSpan.Zero);
        }
        await using var host = await app.StartHost();

        var poison = new QueueClient(app.Storage, "orders-poison");
        await Eventually.True(async () => await Count(poison) == 1);
        Assert.Empty(app.Requests);
    }

    [Fact]
    public async Task Message_that_is_not_base64_goes_to_the_poison_queue_as_it_is()
    {
        await using var app = (await ScriptedApp.Create()).WithQueueFunction("ProcessOrder", "orders");
        var queue = await app.Queue("orders");
        await queue.SendMessageAsync("not base64!");
        await using var host = await app.StartHost();

        var poison = new QueueClient(app.Storage, "orders-poison");
        var moved = await Eventually.Get(async () => (await poison.PeekMessageAsync()).Value);
        Assert.Equal("not base64!", moved.Body.ToString());
        Assert.Empty(app.Requests);
    }

    [Fact]
    public async Task Running_message_stays_hidden_for_as_long_as_it_runs()
    {
        await using var app = (await ScriptedApp.Create()).WithQueueFunction("ProcessOrder", "orders");
        var release = new TaskCompletionSource();
        app.Answer = async (_, context) =>
        {
            await release.Task;
            await ScriptedApp.Succeed(context);
        };
        var queue = await app.Queue("orders");
        await ScriptedApp.Send(queue, "long");
        var clock = Stopwatch.StartNew();
        await using var host = await app.StartHost(o => o with { QueueVisibility = TimeSpan.FromSeconds(2) });

        await Eventually.True(() => clock.Elapsed > TimeSpan.FromSeconds(6));
        Assert.Single(app.Requests);
        release.SetResult();
        await Eventually.True(async () => await Count(queue) == 0);
        Assert.Single(app.Requests);
    }

    [Fact]
    public async Task Sixteen_run_at_once_and_more_are_taken_when_eight_are_left()
    {
        await using var app = (await ScriptedApp.Create()).WithQueueFunction("ProcessOrder", "orders");
        using var release = new SemaphoreSlim(0);
        var running = 0;
        app.Answer = async (_, context) =>
        {
            Interlocked.Increment(ref running);
            await release.WaitAsync();
            Interlocked.Decrement(ref running);
            await ScriptedApp.Succeed(context);
        };
        var queue = await app.Queue("orders");
        await Task.WhenAll(Enumerable.Range(0, 40).Select(n => ScriptedApp.Send(queue, $"{n}")));
        await using var host = await app.StartHost();

        await Eventually.True(() => running == 16);
        Assert.Equal(24, await Waiting(queue));
        release.Release(8);
        await Eventually.True(() => running == 24);
        release.Release(100);
        await Eventually.True(() => app.Requests.Count == 40);
        await Eventually.True(async () => await Count(queue) == 0);
    }

    [Fact]
    public async Task Missing_queue_is_waited_for_and_never_created()
    {
        await using var app = (await ScriptedApp.Create()).WithQueueFunction("ProcessOrder", "orders").WithQueueFunction("Other", "others");
        await using var host = await app.StartHost();
        var others = await app.Queue("others");
        await ScriptedApp.Send(others, "there");
        await Eventually.True(() => app.Requests.Count == 1);
        Assert.False(await new QueueClient(app.Storage, "orders").ExistsAsync());
        await ScriptedApp.Send(await app.Queue("orders"), "late");
        await Eventually.True(() => app.Requests.Count == 2);
        Assert.Equal("/ProcessOrder", app.Requests[1].Target);
    }

    [Fact]
    public async Task Message_of_a_host_that_died_comes_back_with_a_higher_count()
    {
        await using var app = (await ScriptedApp.Create()).WithQueueFunction("ProcessOrder", "orders");
        app.Answer = (request, context) => request.DequeueCount == 1 ? ScriptedApp.Hang(context) : ScriptedApp.Succeed(context);
        await ScriptedApp.Send(await app.Queue("orders"), "survivor");
        var first = await app.StartHost(o => o with { QueueVisibility = TimeSpan.FromSeconds(2) });
        await Eventually.True(() => app.Requests.Count == 1);
        await first.DisposeAsync();

        await using var second = await app.StartHost();
        await Eventually.True(() => app.Requests.Count == 2);
        Assert.Equal(2, app.Requests[1].DequeueCount);
    }

    [Theory]
    [InlineData(200, "text/plain", "{}")]
    [InlineData(200, "application/json", "[]")]
    [InlineData(200, "application/json", "{")]
    [InlineData(200, "application/json", """{"Logs":[1]}""")]
    [InlineData(302, "application/json", "{}")]
    [InlineData(404, "application/json", "{}")]
    [InlineData(500, null, "")]
    [InlineData(204, null, "")]
    [InlineData(200, "application/json", "null")]
    public async Task Any_other_answer_is_a_failure(int status, string? type, string body)
    {
        await using var app = (await ScriptedApp.Create()).WithQueueFunction("ProcessOrder", "orders").WithQueues("\"maxDequeueCount\": 1");
        app.Answer = (_, context) => ScriptedApp.Write(context, status, type, body);
        await ScriptedApp.Send(await app.Queue("orders"), "x");
        await using var host = await app.StartHost();
        var poison = new QueueClient(app.Storage, "orders-poison");
        await Eventually.True(async () => await Count(poison) == 1);
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"outputs":{"unknown":1},"returnvalue":7,"LOGS":["a line"]}""")]
    public async Task Any_json_object_is_a_success(string body)
    {
        await using var app = (await ScriptedApp.Create()).WithQueueFunction("ProcessOrder", "orders");
        app.Answer = (_, context) => ScriptedApp.Write(context, 201, "text/json", body);
        var queue = await app.Queue("orders");
        await ScriptedApp.Send(queue, "x");
        await using var host = await app.StartHost();
        await Eventually.True(async () => await Count(queue) == 0);
        Assert.Single(app.Requests);
    }

    private static async Task<int> Count(QueueClient queue) => (await queue.GetPropertiesAsync()).Value.ApproximateMessagesCount;

    /// <summary>How many messages nobody has taken; at most 32 can be seen.</summary>
    private static async Task<int> Waiting(QueueClient queue) => (await queue.PeekMessagesAsync(32)).Value.Length;

    private static string WithoutWhatChanges(string json)
    {
        json = Date().Replace(json, "DATE");
        json = Instant().Replace(json, "NOW");
        json = Receipt().Replace(json, "\"PopReceipt\":RECEIPT");
        return Id().Replace(json, "GUID");
    }

    [GeneratedRegex(@"""\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00""")]
    private static partial Regex Date();

    [GeneratedRegex(@"""\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,7}Z""")]
    private static partial Regex Instant();

    [GeneratedRegex(@"""PopReceipt"":""\\""[^""]+\\""""")]
    private static partial Regex Receipt();

    [GeneratedRegex("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")]
    private static partial Regex Id();
}
