using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using IotHub.Contract.Storage;
using IotHub.Core.Messages;
using IotHub.Core.Storage;
using IotHub.Functions;
using IotHub.Functions.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Xunit;

namespace IotHub.Contract.Hosting;

/// <summary>Invocations as the Functions host posts them, byte for byte, and the answers that it can bear.</summary>
public sealed class InvocationTests
{
    private static readonly Guid HubId = new("2239b002-e2a8-4a31-ac9d-2f62467e0e1a");
    private static readonly Guid DeviceId = new("a74d10af-9e93-413c-a28d-e63f57d7d21a");

    private static readonly string EventsMessage = Encoding.UTF8.GetString(EnvelopeJson.Write(new EventsEnvelope
    {
        HubId = HubId,
        Activity = [new ActivityReport(DeviceId, true, new DateTimeOffset(2026, 11, 20, 9, 15, 30, TimeSpan.Zero))],
        Events =
        [
            new HubEvent
            {
                Time = new DateTimeOffset(2026, 11, 20, 9, 15, 30, TimeSpan.Zero),
                Severity = "error",
                ObjectType = "device",
                ObjectId = DeviceId.ToString(),
                Message = "unauthorized topic \"é\"",
            },
        ],
    }));

    private static readonly JsonSerializerOptions AsTheHostEscapes = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private const string Sys = """
        "sys":{"MethodName":"RecordEvents","UtcNow":"2026-11-20T09:15:32.2205399Z","RandGuid":"24ad4c06-24ad-4e5b-8294-3da9714877e9"}
        """;

    private const string QueueMetadata = """
        "DequeueCount":"1","ExpirationTime":"2026-11-27T09:15:30+00:00","Id":"\"800ae4b3-bdd2-4c08-badd-f08e5a34b865\"","InsertionTime":"2026-11-20T09:15:30+00:00","NextVisibleTime":"2026-11-20T09:25:32+00:00","PopReceipt":"\"AgAAAAMAAAAAAAAAAgtnj8x+1QE=\"",
        """;

    /// <summary>A string as the host encodes it: JSON in JSON.</summary>
    private static string Twice(string text) => JsonSerializer.Serialize(JsonSerializer.Serialize(text, AsTheHostEscapes), AsTheHostEscapes);

    private static string Base64(string text) => JsonSerializer.Serialize(Convert.ToBase64String(Encoding.UTF8.GetBytes(text)));

    private static string QueueBody(string value, string moreMetadata = "") =>
        """{"Data":{"message":""" + value + """},"Metadata":{""" + QueueMetadata.Trim() + moreMetadata + Sys + "}}";

    private static string Head(int port, string function, string framing, string more = "") => $"""
        POST /{function} HTTP/1.1
        Host: 127.0.0.1:{port}
        X-Azure-Functions-HostVersion: 4.1052.200.0
        X-Azure-Functions-InvocationId: 9bf9ea39-8ed5-4a4f-b6ba-35ba2d1bfbc1
        User-Agent: Azure-Functions-Host/4.1052.200.0
        {framing}
        Content-Type: application/json; charset=utf-8
        {more}
        """;

    private static Task<RawAnswer> Invoke(TestFunctions functions, string function, string body, string more = "") => RawHttp.Send(
        functions.Port, Head(functions.Port, function, "Transfer-Encoding: chunked", more), RawHttp.Chunked(body));

    private static void Succeeded(RawAnswer answer)
    {
        Assert.Equal(200, answer.Status);
        Assert.Equal("application/json", answer.Headers["Content-Type"]);
        Assert.Equal("{}", answer.Text);
    }

    private static void Failed(RawAnswer answer)
    {
        Assert.InRange(answer.Status, 500, 599);
        Assert.Equal("application/json", answer.Headers["Content-Type"]);
        Assert.Equal(JsonValueKind.Object, JsonDocument.Parse(answer.Body).RootElement.ValueKind);
    }

    public static TheoryData<string> QueueForms => new()
    {
        // dataType binary: plain base64, and no message properties in the metadata.
        QueueBody(Base64(EventsMessage)),
        // dataType absent: a JSON string in a JSON string; nested message properties come into the metadata, scalars as text.
        QueueBody(Twice(EventsMessage), """
            "version":"\"1\"","hub_id":"\"2239b002-e2a8-4a31-ac9d-2f62467e0e1a\"",
            """),
        // As the documentation shows it.
        QueueBody(JsonSerializer.Serialize(EventsMessage)),
        // Message properties that replaced the host's own.
        QueueBody(Twice(EventsMessage), """
            "id":"\"evil\"","dequeueCount":"\"77\"","DEQUEUECOUNT":{"a":[1]},"sys":"\"gone\"",
            """),
        // Without metadata at all.
        """{"Data":{"message":""" + Base64(EventsMessage) + """},"Metadata":{}}""",
    };

    [Theory]
    [MemberData(nameof(QueueForms))]
    public async Task A_queue_message_is_understood_in_every_form(string body)
    {
        await using var functions = await TestFunctions.Start();
        await functions.NewHub(hub => hub with { Id = HubId });
        await functions.Registry.CreateDevice(Samples.Device(HubId) with { Id = DeviceId });
        Succeeded(await Invoke(functions, "RecordEvents", body));
        var kept = Assert.Single((await functions.Get<IEventLog>().Newest(HubId, 10)).Events);
        Assert.Equal("unauthorized topic \"é\"", kept.Message);
        Assert.True((await functions.Registry.GetActivity(HubId, DeviceId)).IsConnected);
    }

    [Fact]
    public async Task An_invocation_with_a_content_length_is_understood_too()
    {
        await using var functions = await TestFunctions.Start();
        await functions.NewHub(hub => hub with { Id = HubId });
        var body = Encoding.UTF8.GetBytes(QueueBody(Twice(EventsMessage)));
        Succeeded(await RawHttp.Send(functions.Port, Head(functions.Port, "RecordEvents", $"Content-Length: {body.Length}"), body));
        Assert.Single((await functions.Get<IEventLog>().Newest(HubId, 10)).Events);
    }

    [Fact]
    public async Task The_same_message_twice_is_recorded_once()
    {
        await using var functions = await TestFunctions.Start();
        await functions.NewHub(hub => hub with { Id = HubId });
        Succeeded(await Invoke(functions, "RecordEvents", QueueBody(Base64(EventsMessage))));
        Succeeded(await Invoke(functions, "RecordEvents", QueueBody(Base64(EventsMessage)).Replace("\"1\"", "\"2\"", StringComparison.Ordinal)));
        Assert.Single((await functions.Get<IEventLog>().Newest(HubId, 10)).Events);
    }

    public static TheoryData<string> Timers => [.. FunctionList.All.OfType<TimerFunction>().Select(function => function.Name)];

    [Theory]
    [MemberData(nameof(Timers))]
    public async Task A_timer_is_understood_with_and_without_a_monitor(string name)
    {
        await using var functions = await TestFunctions.Start();
        Succeeded(await Invoke(functions, name, """
            {"Data":{"timer":{"Schedule":{"AdjustForDST":true},"ScheduleStatus":{"Last":"2026-11-20T09:10:00.0031234+00:00","Next":"2026-11-20T09:15:00+00:00","LastUpdated":"2026-11-20T09:10:00.0031234+00:00"},"IsPastDue":false}},"Metadata":{
            """ + Sys + "}}"));
        Succeeded(await Invoke(functions, name, """
            {"Data":{"timer":{"Schedule":{"AdjustForDST":false},"ScheduleStatus":null,"IsPastDue":true}},"Metadata":{
            """ + Sys + "}}"));
    }

    [Fact]
    public async Task The_trim_timer_drops_old_changes()
    {
        await using var functions = await TestFunctions.Start();
        var changes = functions.Get<IChangeFeed>();
        var begin = functions.Clock.GetUtcNow();
        await changes.Append(HubId, ChangedKind.Hub, HubId);
        functions.Clock.Advance(TimeSpan.FromHours(26));
        Succeeded(await Invoke(functions, "TrimChanges", """{"Data":{"timer":{}},"Metadata":{}}"""));
        Assert.Empty(await changes.ReadSince(begin - TimeSpan.FromHours(1)));
    }

    [Fact]
    public async Task The_trim_timers_drop_old_events_and_payloads_and_keep_the_others()
    {
        await using var functions = await TestFunctions.Start();
        var happened = new HubEvent { Time = functions.Clock.GetUtcNow(), Severity = "info", ObjectType = "hub", ObjectId = "unknown", Message = "old" };
        await functions.Get<IEventLog>().Append(HubId, [new LoggedEvent("old", happened)]);
        await functions.Payloads.Put("old", new byte[1]);
        functions.Clock.Advance(TimeSpan.FromDays(10));
        await functions.Get<IEventLog>().Append(HubId, [new LoggedEvent("new", happened with { Time = functions.Clock.GetUtcNow(), Message = "new" })]);
        await functions.Payloads.Put("new", new byte[1]);
        Succeeded(await Invoke(functions, "TrimEvents", """{"Data":{"timer":{}},"Metadata":{}}"""));
        Succeeded(await Invoke(functions, "TrimPayloads", """{"Data":{"timer":{}},"Metadata":{}}"""));
        Assert.Equal("new", Assert.Single((await functions.Get<IEventLog>().Newest(HubId, 10)).Events).Message);
        Assert.Equal(1, functions.Payloads.Count);
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("[]")]
    [InlineData("""{"Data":null}""")]
    [InlineData("""{"Data":{}}""")]
    [InlineData("""{"Data":{"other":"x"}}""")]
    [InlineData("""{"Data":{"message":null}}""")]
    [InlineData("""{"Data":{"message":"null"}}""")]
    [InlineData("""{"Data":{"message":{"version":1}}}""")]
    [InlineData("""{"Data":{"message":"\"not an envelope\""}}""")]
    [InlineData("""{"Data":{"message":"\"{\\\"version\\\":1}\""}}""")]
    [InlineData("""{"Data":{"message":"\"{\\\"version\\\":99,\\\"hub_id\\\":\\\"2239b002-e2a8-4a31-ac9d-2f62467e0e1a\\\"}\""}}""")]
    [InlineData("""{"Data":{"message":""")]
    public async Task What_is_no_invocation_of_ours_fails_and_does_not_hang(string body)
    {
        await using var functions = await TestFunctions.Start();
        Failed(await Invoke(functions, "RecordEvents", body));
        Failed(await Invoke(functions, "DeliverRoutes", body));
    }

    [Fact]
    public async Task Storage_that_fails_makes_the_invocation_fail_so_that_the_host_repeats_it()
    {
        await using var functions = await TestFunctions.Start(services => services.AddSingleton<IEventLog, DeadEventLog>());
        await functions.NewHub(hub => hub with { Id = HubId });
        Failed(await Invoke(functions, "RecordEvents", QueueBody(Base64(EventsMessage))));
    }

    [Theory]
    [InlineData("X-Forwarded-Host: hub.example.com")]
    [InlineData("x-ms-invocation-id: 9bf9ea39-8ed5-4a4f-b6ba-35ba2d1bfbc1")]
    public async Task Invocation_paths_refuse_what_came_through_a_public_route(string header)
    {
        await using var functions = await TestFunctions.Start();
        await functions.NewHub(hub => hub with { Id = HubId });
        Assert.Equal(404, (await Invoke(functions, "RecordEvents", QueueBody(Base64(EventsMessage)), header)).Status);
        Assert.Empty((await functions.Get<IEventLog>().Newest(HubId, 10)).Events);
    }

    [Theory]
    [InlineData("hub.example.com")]
    [InlineData("127.0.0.1")]
    [InlineData("127.0.0.1:1")]
    public async Task Invocation_paths_refuse_a_host_that_is_not_this_handler(string host)
    {
        await using var functions = await TestFunctions.Start();
        await functions.NewHub(hub => hub with { Id = HubId });
        var head = Head(functions.Port, "RecordEvents", "Transfer-Encoding: chunked")
            .Replace($"Host: 127.0.0.1:{functions.Port}", $"Host: {host}", StringComparison.Ordinal);
        Assert.Equal(404, (await RawHttp.Send(functions.Port, head, RawHttp.Chunked(QueueBody(Base64(EventsMessage))))).Status);
        Assert.Empty((await functions.Get<IEventLog>().Newest(HubId, 10)).Events);
    }

    [Fact]
    public async Task The_hosts_invocation_id_is_in_the_log_scope_and_a_callers_own_is_not()
    {
        var log = new ScopeLog();
        await using var functions = await TestFunctions.Start(services => services.AddSingleton<ILoggerProvider>(log));
        Failed(await Invoke(functions, "RecordEvents", "{}"));
        Assert.Contains(log.Lines, line => line.Contains("invocation 9bf9ea39-8ed5-4a4f-b6ba-35ba2d1bfbc1 ", StringComparison.Ordinal));
        log.Clear();

        // Forwarding keeps the caller's header beside the host's.
        await RawHttp.Send(functions.Port, Head(functions.Port, "RecordEvents", "Content-Length: 2")
            .Replace("X-Azure-Functions-InvocationId: ", "X-Azure-Functions-InvocationId: made up\nX-Azure-Functions-InvocationId: ", StringComparison.Ordinal), "{}"u8.ToArray());
        Assert.Contains(log.Lines, line => line.Contains("invocation 9bf9ea39-8ed5-4a4f-b6ba-35ba2d1bfbc1 ", StringComparison.Ordinal));
        Assert.DoesNotContain(log.Lines, line => line.Contains("made up", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Readiness_is_answered_to_a_bare_request()
    {
        await using var functions = await TestFunctions.Start();
        var answer = await RawHttp.Send(functions.Port, $"GET / HTTP/1.1\nHost: 127.0.0.1:{functions.Port}", []);
        Succeeded(answer);
    }

    [Fact]
    public async Task Health_says_whether_storage_answers()
    {
        await using var well = await TestFunctions.Start();
        Assert.Equal(200, (int)(await well.Http.GetAsync(new Uri("/health", UriKind.Relative))).StatusCode);
        await using var ill = await TestFunctions.Start(services => services.AddSingleton<IStorageState, NeverReady>());
        var answer = await ill.Http.GetAsync(new Uri("/health", UriKind.Relative));
        Assert.Equal(503, (int)answer.StatusCode);
        Assert.Contains("storage", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    private sealed class NeverReady : IStorageState
    {
        public bool IsReady => false;
    }

    private sealed class DeadEventLog : IEventLog
    {
        public Task Append(Guid hubId, IReadOnlyList<LoggedEvent> happened, CancellationToken cancel = default) =>
            throw new RegistryUnavailableException("table events does not answer", new IOException("connection refused"));

        public Task<EventPage> Newest(Guid hubId, int maximum, string? before = null, CancellationToken cancel = default) =>
            Task.FromResult(new EventPage([], null));

        public Task Trim(DateTimeOffset before, CancellationToken cancel = default) => Task.CompletedTask;

        public Task DeleteHub(Guid hubId, CancellationToken cancel = default) => Task.CompletedTask;
    }
}
