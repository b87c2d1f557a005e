using IotHub.Harness;
using IotHub.Local.StandInHost;
using Xunit;

namespace IotHub.Unit.Local;

public sealed class HostFileTests : IDisposable
{
    private const string Least = """{ "version": "2.0", "customHandler": { "description": { "defaultExecutablePath": "app" } } }""";
    private readonly TempFolder _folder = new("host-file");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Defaults_are_those_of_a_developers_machine()
    {
        var host = Load(Least);
        Assert.Equal("api", host.RoutePrefix);
        Assert.Equal(TimeSpan.FromMinutes(5), host.FunctionTimeout);
        Assert.Equal(new QueueSettings(16, 8, 5, TimeSpan.Zero, TimeSpan.FromSeconds(2), Base64: true), host.Queues);
        Assert.Equal(TimeSpan.FromSeconds(30), host.Handler.InitializationTimeout);
        Assert.False(host.Handler.ProxiesHttp);
    }

    [Fact]
    public void Azure_like_defaults_poll_once_a_minute() =>
        Assert.Equal(TimeSpan.FromMinutes(1), Load(Least, azureLike: true).Queues.MaxPollingInterval);

    [Fact]
    public void Our_own_host_file_is_read()
    {
        File.Copy(RepositoryRoot.Combine("host.json"), Path.Combine(_folder.Path, "host.json"));
        var host = HostFile.Load(_folder.Path, new AppSettings([]), azureLike: false);
        Assert.Equal("", host.RoutePrefix);
        Assert.Equal("IotHub.Functions", host.Handler.Executable);
        Assert.True(host.Handler.ProxiesHttp);
        Assert.True(host.Queues.Base64);
    }

    [Fact]
    public void Setting_overrides_a_member_of_the_file()
    {
        var host = Load(
            Least,
            ("AzureFunctionsJobHost__extensions__queues__maxDequeueCount", "3"),
            ("AzureFunctionsJobHost__functionTimeout", "-1"));
        Assert.Equal(3, host.Queues.MaxDequeueCount);
        Assert.Null(host.FunctionTimeout);
    }

    [Fact]
    public void Arguments_are_joined_and_settings_in_them_expanded_later()
    {
        var host = Load("""
            { "version": "2.0", "customHandler": { "description": {
                "defaultExecutablePath": "%TOOL%", "arguments": ["--urls", "http://127.0.0.1:%FUNCTIONS_CUSTOMHANDLER_PORT%"] } } }
            """, ("TOOL", "node"));
        Assert.Equal("node", host.Handler.Executable);
        Assert.Equal("--urls http://127.0.0.1:%FUNCTIONS_CUSTOMHANDLER_PORT%", host.Handler.Arguments);
    }

    [Theory]
    [InlineData("""{ "customHandler": {} }""", "version")]
    [InlineData("""{ "version": "2.0" }""", "defaultExecutablePath")]
    [InlineData("""{ "version": "2.0", """, "not readable")]
    public void Bad_file_is_refused_naming_what_is_wrong(string json, string expected) =>
        Assert.Contains(expected, Assert.Throws<FunctionAppException>(() => Load(json)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("functionTimeout", "soon")]
    [InlineData("functionTimeout", "00:00:00")]
    [InlineData("customHandler__port", "0")]
    [InlineData("customHandler__initializationTimeout", "x")]
    [InlineData("customHandler__http__routes__0__route", "{*x}")]
    [InlineData("customHandler__description__defaultWorkerPath", "app.js")]
    [InlineData("extensions__queues__batchSize", "33")]
    [InlineData("extensions__queues__batchSize", "0")]
    [InlineData("extensions__queues__newBatchThreshold", "-1")]
    [InlineData("extensions__queues__messageEncoding", "utf8")]
    [InlineData("extensions__queues__visibilityTimeout", "-00:00:01")]
    [InlineData("extensions__queues__maxPollingInterval", "00:00:00.05")]
    public void Bad_member_is_refused_by_its_name(string member, string value)
    {
        var refusal = Assert.Throws<FunctionAppException>(() => Load(Least, ($"AzureFunctionsJobHost__{member}", value)));
        Assert.Contains(member.Split("__").Last(part => part != "0" && part != "route"), refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Missing_file_is_refused() =>
        Assert.Contains(
            "no host.json",
            Assert.Throws<FunctionAppException>(() => HostFile.Load(_folder.Path, new AppSettings([]), false)).Message,
            StringComparison.Ordinal);

    private HostFile Load(string json, params (string Name, string Value)[] settings) => Load(json, azureLike: false, settings);

    private HostFile Load(string json, bool azureLike, params (string Name, string Value)[] settings)
    {
        File.WriteAllText(Path.Combine(_folder.Path, "host.json"), json);
        return HostFile.Load(_folder.Path, new AppSettings(settings.Select(s => KeyValuePair.Create(s.Name, s.Value))), azureLike);
    }
}
