using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Azure.Storage.Blobs;
using IotHub.Harness;
using IotHub.Local.StandInHost;
using Xunit;

namespace IotHub.Contract.StandInHost;

/// <summary>How the stand-in host runs timer functions.</summary>
public sealed class TimerTests
{
    private const string Yearly = "0 0 0 1 1 *";
    private const string Hourly = "0 0 * * * *";

    [Fact]
    public async Task Timer_runs_at_its_occurrences_one_after_the_other()
    {
        await using var app = (await ScriptedApp.Create()).WithTimerFunction("Tick", "* * * * * *");
        var running = 0;
        var together = 0;
        app.Answer = async (_, context) =>
        {
            together = Math.Max(together, Interlocked.Increment(ref running));
            await Task.Delay(1200);
            Interlocked.Decrement(ref running);
            await ScriptedApp.Succeed(context);
        };
        await using var host = await app.StartHost();

        await Eventually.True(() => app.Requests.Count == 3);
        Assert.Equal(1, together);
        var timer = app.Requests[0].Json.GetProperty("Data").GetProperty("timer");
        Assert.True(timer.GetProperty("Schedule").GetProperty("AdjustForDST").GetBoolean());
        Assert.Equal(JsonValueKind.Null, timer.GetProperty("ScheduleStatus").ValueKind);
        Assert.False(timer.GetProperty("IsPastDue").GetBoolean());
    }

    [Fact]
    public async Task First_start_notes_the_next_occurrence_and_runs_nothing()
    {
        await using var app = (await ScriptedApp.Create()).WithTimerFunction("Cleanup", Yearly);
        await using var host = await app.StartHost();
        var status = await Eventually.Get(() => Status(app));
        Assert.False(status.HasRun);
        Assert.Equal(new DateTimeOffset(DateTime.UtcNow.Year + 1, 1, 1, 0, 0, 0, TimeSpan.Zero), status.Next);
        Assert.Empty(app.Requests);
    }

    [Fact]
    public async Task Missed_occurrences_are_made_up_for_by_one_run_at_the_start()
    {
        await using var app = (await ScriptedApp.Create()).WithTimerFunction("Cleanup", Hourly);
        var now = DateTimeOffset.UtcNow;
        var last = new DateTimeOffset(now.Year, now.Month, now.Day, now.Hour, 0, 0, TimeSpan.Zero).AddHours(-5);
        await Remember(app, new TimerStatus(last, last.AddHours(1), last));
        await using var host = await app.StartHost();

        await Eventually.True(() => app.Requests.Count == 1);
        var timer = app.Requests[0].Json.GetProperty("Data").GetProperty("timer");
        Assert.True(timer.GetProperty("IsPastDue").GetBoolean());
        Assert.Equal(last, timer.GetProperty("ScheduleStatus").GetProperty("Last").GetDateTimeOffset());
        Assert.Equal(last.AddHours(1), timer.GetProperty("ScheduleStatus").GetProperty("Next").GetDateTimeOffset());
        await Eventually.True(async () => (await Status(app))!.Last >= now);
        Assert.True((await Status(app))!.Next > now);
        Assert.Single(app.Requests);
    }

    [Fact]
    public async Task Changed_schedule_is_computed_anew_from_the_last_run()
    {
        await using var app = (await ScriptedApp.Create()).WithTimerFunction("Cleanup", Yearly);
        var last = DateTimeOffset.UtcNow.AddMinutes(-10);
        await Remember(app, new TimerStatus(last, last.AddMinutes(5), last));
        await using var host = await app.StartHost();

        await Eventually.True(async () => (await Status(app))!.Next > DateTimeOffset.UtcNow);
        Assert.Empty(app.Requests);
    }

    [Fact]
    public async Task Function_is_started_by_hand_through_the_admin_endpoint()
    {
        await using var app = (await ScriptedApp.Create()).WithTimerFunction("Cleanup", Yearly).WithQueueFunction("ProcessOrder", "orders");
        await using var host = await app.StartHost();
        await Eventually.Get(() => Status(app));
        using var http = new HttpClient { BaseAddress = host.Address };

        using var timer = await http.PostAsJsonAsync("admin/functions/cleanup", new { input = "" });
        Assert.Equal(HttpStatusCode.Accepted, timer.StatusCode);
        await Eventually.True(() => app.Requests.Count == 1);
        Assert.Equal("/Cleanup", app.Requests[0].Target);

        using var queue = await http.PostAsJsonAsync("admin/functions/ProcessOrder", new { input = "by hand" });
        Assert.Equal(HttpStatusCode.Accepted, queue.StatusCode);
        await Eventually.True(() => app.Requests.Count == 2);
        Assert.Equal("by hand", app.Requests[1].Message);

        using var unknown = await http.PostAsJsonAsync("admin/functions/nobody", new { input = "" });
        Assert.Equal(HttpStatusCode.NotFound, unknown.StatusCode);
        using var nonsense = await http.PostAsync("admin/functions/Cleanup", new StringContent("x"));
        Assert.Equal(HttpStatusCode.BadRequest, nonsense.StatusCode);
    }

    [Fact]
    public async Task Failed_run_is_noted_like_any_other_and_not_repeated()
    {
        await using var app = (await ScriptedApp.Create()).WithTimerFunction("Cleanup", Hourly);
        app.Answer = (_, context) => ScriptedApp.Fail(context);
        var last = DateTimeOffset.UtcNow.AddHours(-3);
        await Remember(app, new TimerStatus(last, last.AddHours(1), last));
        await using (await app.StartHost())
        {
            await Eventually.True(async () => (await Status(app))!.Last > last);
        }
        Assert.Single(app.Requests);
    }

    private static async Task<TimerStatus?> Status(ScriptedApp app) => await app.TimerStatus("Cleanup").ExistsAsync()
        ? (await app.TimerStatus("Cleanup").DownloadContentAsync()).Value.Content.ToObjectFromJson<TimerStatus>()
        : null;

    private static async Task Remember(ScriptedApp app, TimerStatus status)
    {
        await new BlobContainerClient(app.Storage, "azure-webjobs-hosts").CreateAsync();
        await app.TimerStatus("Cleanup").UploadAsync(BinaryData.FromObjectAsJson(status));
    }
}
