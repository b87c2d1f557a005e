using System.Text;
using System.Text.Json;
using Xunit;

namespace IotHub.Contract.Hosting;

/// <summary>HTTP functions in the JSON form, which hosts send that do not pass requests through.</summary>
public sealed class HttpInvocationTests
{
    private static Task<RawAnswer> Invoke(TestFunctions functions, string function, string body, string more = "") => RawHttp.Send(
        functions.Port,
        $"""
        POST /{function} HTTP/1.1
        Host: 127.0.0.1:{functions.Port}
        X-Azure-Functions-HostVersion: 4.1037.0.0
        X-Azure-Functions-InvocationId: 9bf9ea39-8ed5-4a4f-b6ba-35ba2d1bfbc1
        User-Agent: Azure-Functions-Host/4.1037.0.0
        Transfer-Encoding: chunked
        Content-Type: application/json; charset=utf-8
        {more}
        """,
        RawHttp.Chunked(body));

    private const string Template = """
        {"Data":{"req":{"Url":"URL","Method":"METHOD","Query":{"tag":"a"},"Headers":{"Host":["localhost:7071"]HEADERS},"Params":{"path":"x"},"Identities":[{"AuthenticationType":null,"IsAuthenticated":false,"Claims":[]}]BODY}},"Metadata":{"Query":{"tag":"a"},"Headers":{"Content-Type":"application/json"}}}
        """;

    private static string Request(string url, string method, string headers, string? body) => Template
        .Replace("URL", url, StringComparison.Ordinal)
        .Replace("METHOD", method, StringComparison.Ordinal)
        .Replace("HEADERS", headers, StringComparison.Ordinal)
        .Replace("BODY", body is null ? "" : ",\"Body\":" + JsonSerializer.Serialize(body), StringComparison.Ordinal);

    private static JsonElement Output(RawAnswer answer)
    {
        Assert.Equal((200, "application/json"), (answer.Status, answer.Headers["Content-Type"]));
        return JsonDocument.Parse(answer.Body).RootElement.GetProperty("Outputs").GetProperty("res");
    }

    [Fact]
    public async Task A_post_to_a_network_is_unpacked_and_its_answer_packed()
    {
        await using var functions = await TestFunctions.Start();
        var (_, token) = await functions.NewNetwork((await functions.NewHub()).Id);
        var accepted = Output(await Invoke(functions, "Ingest", Request(
            "http://localhost:7071/ingest/rest?tag=a", "POST", $""","X-Secret":["{token}"],"X-Topic":["küche"],"Content-Type":["application/json"]""", """{"quantity":2}""")));
        Assert.Equal("200", accepted.GetProperty("statusCode").GetString());
        Assert.Equal("", accepted.GetProperty("body").GetString());
        var binary = Output(await Invoke(functions, "Ingest", Request(
            "http://localhost:7071/ingest/rest", "POST", $""","X-Secret":["{token}"],"X-Topic":["b"],"Content-Type":["application/octet-stream"]""", Convert.ToBase64String([0, 255]))));
        Assert.Equal("200", binary.GetProperty("statusCode").GetString());

        Assert.Equal(["küche", "b"], functions.Broker.Received.Select(published => Uri.UnescapeDataString(published.Header("X-Topic")!)));
        Assert.Equal("""{"quantity":2}""", functions.Broker.Received[0].Text);
        Assert.Equal([0, 255], functions.Broker.Received[1].Body);
    }

    [Fact]
    public async Task A_refusal_is_packed_with_its_status_headers_and_body()
    {
        await using var functions = await TestFunctions.Start();
        var denied = Output(await Invoke(functions, "Ingest", Request("http://localhost:7071/ingest/rest", "POST", "", null)));
        Assert.Equal("401", denied.GetProperty("statusCode").GetString());
        Assert.Equal("application/json", denied.GetProperty("headers").GetProperty("Content-Type").GetString());
        Assert.Contains("denied_authentication", denied.GetProperty("body").GetString(), StringComparison.Ordinal);
        var health = Output(await Invoke(functions, "Health", Request("http://localhost:7071/health", "GET", "", null)));
        Assert.Equal("""{"status":"ok"}""", health.GetProperty("body").GetString());
        var api = Output(await Invoke(functions, "ManagementApi", Request("http://localhost:7071/iot/v1/regions/fr-par/hubs", "GET", "", null)));
        Assert.Equal("401", api.GetProperty("statusCode").GetString());
    }

    [Theory]
    [InlineData("null")]
    [InlineData("""{"Data":{}}""")]
    [InlineData("""{"Data":{"req":"x"}}""")]
    [InlineData("""{"Data":{"req":{"Url":"not a url","Method":"GET","Headers":{}}}}""")]
    public async Task What_is_no_request_fails(string body)
    {
        await using var functions = await TestFunctions.Start();
        var answer = await Invoke(functions, "Health", body);
        Assert.Equal((500, "application/json"), (answer.Status, answer.Headers["Content-Type"]));
        Assert.NotEqual("null", Encoding.UTF8.GetString(answer.Body));
    }

    [Fact]
    public async Task It_is_not_reached_through_a_public_route()
    {
        await using var functions = await TestFunctions.Start();
        var answer = await Invoke(
            functions, "ManagementApi", Request("http://localhost:7071/health", "GET", "", null), "X-Forwarded-Host: hub.example.com");
        Assert.Equal(404, answer.Status);
    }
}
