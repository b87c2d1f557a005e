using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Azure.Storage.Queues.Models;
using IotHub.Local.StandInHost;
using Xunit;

namespace IotHub.Unit.Local;

public sealed partial class InvocationPayloadTests
{
    private static readonly DateTimeOffset Now = DateTimeOffset.Parse("2026-11-20T09:15:32.2205399Z");

    [Fact]
    public void Queue_invocation_is_what_the_host_sends_byte_for_byte() => Assert.Equal(
        """
        {"Data":{"myQueueItem":"\"hello world\""},
        "Metadata":{"DequeueCount":"1",
        "ExpirationTime":"2026-11-27T09:15:30+00:00",
        "Id":"\"800ae4b3-bdd2-4c08-badd-f08e5a34b865\"",
        "InsertionTime":"2026-11-20T09:15:30+00:00",
        "NextVisibleTime":"2026-11-20T09:25:32+00:00",
        "PopReceipt":"\"AgAAAAMAAAAAAAAAAgtnj8x+1QE=\"",
        "sys":{"MethodName":"ProcessOrder","UtcNow":"2026-11-20T09:15:32.2205399Z","RandGuid":"GUID"}}}
        """.ReplaceLineEndings(""),
        RandGuid().Replace(Queue("hello world"), "\"RandGuid\":\"GUID\""));

    [Fact]
    public void Json_text_stays_a_text_in_the_data() => Assert.Contains(
        """{"Data":{"myQueueItem":"\"{\\\"a\\\":1}\""}""", Queue("""{"a":1}"""), StringComparison.Ordinal);

    [Theory]
    [InlineData("""{"count":1005}""", "count", "\"1005\"")]
    [InlineData("""{"flag":true}""", "flag", "\"True\"")]
    [InlineData("""{"ratio":1.5}""", "ratio", "\"1.5\"")]
    [InlineData("""{"name":"ada"}""", "name", "\"ada\"")]
    [InlineData("""{"at":"2026-11-20T09:15:30Z"}""", "at", "\"11/20/2026 09:15:30\"")]
    public void Scalar_properties_of_a_json_message_become_texts_of_the_metadata(string message, string name, string value) =>
        Assert.Equal(value, Metadata(message).GetProperty(name).GetString());

    [Fact]
    public void Property_replaces_built_in_metadata_of_the_same_name_in_any_case()
    {
        var metadata = Metadata("""{"id":"mine","dequeueCount":7}""");
        Assert.Equal("\"mine\"", metadata.GetProperty("Id").GetString());
        Assert.Equal("\"7\"", metadata.GetProperty("DequeueCount").GetString());
        Assert.False(metadata.TryGetProperty("id", out _));
    }

    [Fact]
    public void Nested_object_stays_an_object_and_arrays_nulls_and_triggers_are_left_out()
    {
        var metadata = Metadata("""{"inner":{"a":[1]},"list":[1],"nothing":null,"myTrigger":"x"}""");
        Assert.Equal("""{"a":[1]}""", metadata.GetProperty("inner").GetRawText());
        Assert.False(metadata.TryGetProperty("list", out _));
        Assert.False(metadata.TryGetProperty("nothing", out _));
        Assert.False(metadata.TryGetProperty("myTrigger", out _));
    }

    [Theory]
    [InlineData("{not json}")]
    [InlineData("[1]")]
    [InlineData("\"text\"")]
    public void Message_that_is_no_json_object_adds_nothing_to_the_metadata(string message) =>
        Assert.Equal(
            ["DequeueCount", "ExpirationTime", "Id", "InsertionTime", "NextVisibleTime", "PopReceipt", "sys"],
            Metadata(message).EnumerateObject().Select(p => p.Name));

    [Fact]
    public void Binary_data_is_plain_base64_without_properties()
    {
        var payload = Queue("""{"a":1}""", binary: true);
        Assert.Contains($$"""{"Data":{"myQueueItem":"{{Convert.ToBase64String("""{"a":1}"""u8)}}"}""", payload, StringComparison.Ordinal);
        Assert.DoesNotContain("\"a\":", payload, StringComparison.Ordinal);
    }

    [Fact]
    public void Strange_characters_survive_both_encodings()
    {
        const string Message = "é漢😀\"\\\u0001\u0085\u2028\t<&'+";
        using var json = JsonDocument.Parse(Queue(Message));
        var outer = json.RootElement.GetProperty("Data").GetProperty("myQueueItem").GetString()!;
        Assert.Equal(Message, JsonSerializer.Deserialize<string>(outer));
        Assert.Contains("é漢😀", Queue(Message), StringComparison.Ordinal);
    }

    [Fact]
    public void Timer_invocation_is_what_the_host_sends_byte_for_byte()
    {
        var trigger = new TimerTrigger("myTimer", TimerSchedule.Parse("0 */5 * * * *"), RunOnStartup: false, UseMonitor: true);
        var last = DateTimeOffset.Parse("2026-11-20T09:10:00.0031234Z");
        var status = new TimerStatus(last, DateTimeOffset.Parse("2026-11-20T09:15:00Z"), last);
        Assert.Equal(
            """
            {"Data":{"myTimer":{"Schedule":{"AdjustForDST":true},
            "ScheduleStatus":{"Last":"2026-11-20T09:10:00.0031234+00:00",
            "Next":"2026-11-20T09:15:00+00:00","LastUpdated":"2026-11-20T09:10:00.0031234+00:00"},
            "IsPastDue":false}},
            "Metadata":{"sys":{"MethodName":"Cleanup","UtcNow":"2026-11-20T09:15:32.2205399Z","RandGuid":"GUID"}}}
            """.ReplaceLineEndings(""),
            RandGuid().Replace(InvocationPayload.ForTimer("Cleanup", trigger, status, isPastDue: false, Now), "\"RandGuid\":\"GUID\""));
    }

    [Fact]
    public void Timer_without_a_monitor_has_no_status()
    {
        var trigger = new TimerTrigger("t", TimerSchedule.Parse("00:00:10"), RunOnStartup: false, UseMonitor: false);
        Assert.Contains(
            """{"t":{"Schedule":{"AdjustForDST":false},"ScheduleStatus":null,"IsPastDue":true}""",
            InvocationPayload.ForTimer("f", trigger, null, isPastDue: true, Now),
            StringComparison.Ordinal);
    }

    private static JsonElement Metadata(string message) => JsonDocument.Parse(Queue(message)).RootElement.GetProperty("Metadata");

    private static string Queue(string text, bool binary = false)
    {
        var message = QueuesModelFactory.QueueMessage(
            "800ae4b3-bdd2-4c08-badd-f08e5a34b865", "AgAAAAMAAAAAAAAAAgtnj8x+1QE=", BinaryData.FromString(text), 1,
            DateTimeOffset.Parse("2026-11-20T09:25:32Z"), DateTimeOffset.Parse("2026-11-20T09:15:30Z"),
            DateTimeOffset.Parse("2026-11-27T09:15:30Z"));
        var trigger = new QueueTrigger("myQueueItem", "orders", "AzureWebJobsStorage", binary);
        return InvocationPayload.ForQueue("ProcessOrder", trigger, message, Encoding.UTF8.GetBytes(text), Now);
    }

    [GeneratedRegex("\"RandGuid\":\"[0-9a-f-]{36}\"")]
    private static partial Regex RandGuid();
}
