using IotHub.Local.StandInHost;
using Xunit;

namespace IotHub.Unit.Local;

public sealed class FunctionFilesTests
{
    private const string Http = """{ "type": "httpTrigger", "direction": "in", "name": "req" }""";
    private const string HttpOut = """{ "type": "http", "direction": "out", "name": "res" }""";
    private const string Queue = """{ "type": "queueTrigger", "direction": "in", "name": "item", "queueName": "orders" }""";
    private const string QueueOut = """{ "type": "queue", "direction": "out", "name": "out", "queueName": "others" }""";
    private const string Blob = """{ "type": "blobTrigger", "direction": "in", "name": "blob", "path": "uploads/{name}" }""";

    private static readonly HostFile Host = new(
        "", null, new HandlerSettings("app", "", "", null, TimeSpan.FromSeconds(30), ProxiesHttp: true),
        new QueueSettings(16, 8, 5, TimeSpan.Zero, TimeSpan.FromSeconds(2), Base64: true), []);

    [Fact]
    public void Http_function_takes_its_name_as_route_and_needs_a_key_when_the_file_says_nothing()
    {
        var trigger = Assert.IsType<HttpTrigger>(Parse("hello", Bindings(Http, HttpOut)).Trigger);
        Assert.Equal("hello", trigger.Route);
        Assert.Empty(trigger.Methods);
        Assert.Equal(KeyLevel.Function, trigger.Level);
    }

    [Fact]
    public void Route_gets_the_prefix_of_the_app()
    {
        var json = Bindings(
            """
            { "type": "httpTrigger", "direction": "in", "name": "req", "route": "orders/{id:int?}", "methods": ["get"],
              "authLevel": "anonymous" }
            """,
            HttpOut);
        var trigger = (HttpTrigger)FunctionFiles.Parse("orders", json, Host with { RoutePrefix = "api" }, new AppSettings([])).Trigger;
        Assert.Equal("api/orders/{id:int?}", trigger.Route);
        Assert.Equal(["GET"], trigger.Methods);
        Assert.Equal(KeyLevel.Anonymous, trigger.Level);
    }

    [Fact]
    public void Queue_name_is_lower_cased_and_settings_in_it_are_resolved()
    {
        var json = Bindings(
            """{ "type": "queueTrigger", "direction": "in", "name": "item", "queueName": "%QUEUE%", "dataType": "binary" }""");
        var trigger = (QueueTrigger)FunctionFiles.Parse("f", json, Host, new AppSettings([KeyValuePair.Create("QUEUE", "Orders")])).Trigger;
        Assert.Equal(new QueueTrigger("item", "orders", "AzureWebJobsStorage", Binary: true), trigger);
    }

    [Fact]
    public void Timer_is_monitored_and_waits_for_its_first_occurrence_unless_told_otherwise()
    {
        var json = Bindings("""{ "type": "timerTrigger", "direction": "in", "name": "t", "schedule": "0 */5 * * * *" }""");
        var trigger = (TimerTrigger)Parse("f", json).Trigger;
        Assert.True(trigger.UseMonitor);
        Assert.False(trigger.RunOnStartup);
    }

    [Theory]
    [InlineData("""{ "disabled": true, "bindings": [B] }""", true)]
    [InlineData("""{ "disabled": "SWITCH", "bindings": [B] }""", true)]
    [InlineData("""{ "disabled": "OTHER", "bindings": [B] }""", false)]
    [InlineData("""{ "bindings": [B] }""", false)]
    public void Function_is_disabled_by_a_flag_or_by_a_setting_it_names(string json, bool disabled) =>
        Assert.Equal(
            disabled,
            FunctionFiles.Parse("f", json.Replace("B", Queue), Host, new AppSettings([KeyValuePair.Create("SWITCH", "1")])).Disabled);

    [Fact]
    public void Function_is_disabled_by_the_hosts_own_setting()
    {
        var settings = new AppSettings([KeyValuePair.Create("AzureWebJobs.f.Disabled", "true")]);
        Assert.True(FunctionFiles.Parse("f", Bindings(Queue), Host, settings).Disabled);
    }

    [Theory]
    [InlineData("1st")]
    [InlineData("host")]
    [InlineData("Host")]
    [InlineData("a.b")]
    [InlineData("a b")]
    public void Bad_function_name_is_refused(string name) =>
        Assert.Contains("not a function name", Refusal(name, Bindings(Queue)), StringComparison.Ordinal);

    [Fact]
    public void Function_name_of_128_letters_is_the_longest()
    {
        Parse(new string('a', 128), Bindings(Queue));
        Assert.Throws<FunctionAppException>(() => Parse(new string('a', 129), Bindings(Queue)));
    }

    [Theory]
    [InlineData(Blob, "blobTrigger")]
    [InlineData(Queue + "," + QueueOut, "out (queue, out)")]
    [InlineData(Queue + "," + HttpOut, "res (http, out)")]
    [InlineData(Http + "," + HttpOut + "," + QueueOut, "out (queue, out)")]
    [InlineData(Http, "passes HTTP requests through only")]
    [InlineData(Queue + "," + Http, "2 triggers")]
    [InlineData(HttpOut, "0 triggers")]
    [InlineData("""{ "type": "queueTrigger", "direction": "in", "name": "my_item", "queueName": "orders" }""", "my_item")]
    [InlineData("""{ "type": "queueTrigger", "direction": "in", "name": "item", "queueName": "a" }""", "queue name")]
    [InlineData("""{ "type": "queueTrigger", "direction": "in", "name": "item", "queueName": "%UNSET%" }""", "UNSET")]
    [InlineData("""{ "type": "queueTrigger", "direction": "in", "name": "item" }""", "queueName")]
    [InlineData("""{ "type": "timerTrigger", "direction": "in", "name": "t", "schedule": "soon" }""", "schedule")]
    [InlineData("""{ "type": "httpTrigger", "direction": "in", "name": "req", "route": "admin/x" },""" + HttpOut, "admin/")]
    [InlineData("""{ "type": "httpTrigger", "direction": "in", "name": "Res" },""" + HttpOut, "twice")]
    public void What_the_stand_in_cannot_run_is_refused_by_name(string bindings, string expected) =>
        Assert.Contains(expected, Refusal("f", Bindings(bindings)), StringComparison.OrdinalIgnoreCase);

    [Theory]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{ "bindings": {} }""")]
    public void Broken_file_is_refused_with_the_functions_name(string json) =>
        Assert.Contains("f/function.json", Refusal("f", json), StringComparison.Ordinal);

    [Fact]
    public void Retry_policy_is_refused() =>
        Assert.Contains(
            "retry policy",
            Refusal("f", $$"""{ "retry": { "strategy": "fixedDelay" }, "bindings": [{{Queue}}] }"""),
            StringComparison.Ordinal);

    private static string Bindings(params string[] bindings) => $$"""{ "bindings": [{{string.Join(',', bindings)}}] }""";

    private static string Refusal(string name, string json) => Assert.Throws<FunctionAppException>(() => Parse(name, json)).Message;

    private static FunctionDefinition Parse(string name, string json) => FunctionFiles.Parse(name, json, Host, new AppSettings([]));
}
