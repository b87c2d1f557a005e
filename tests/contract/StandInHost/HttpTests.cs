using System.Net;
using System.Net.Sockets;
using System.Text;
using IotHub.Harness;
using IotHub.Local.StandInHost;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace IotHub.Contract.StandInHost;

/// <summary>How the stand-in host passes HTTP requests through, compared with what the real one's proxying mode does.</summary>
public sealed class HttpTests
{
    [Fact]
    public async Task Request_reaches_the_handler_as_the_hosts_proxy_sends_it()
    {
        await using var app = (await ScriptedApp.Create()).WithHttpFunction("hello", "api/hello/{name}");
        await using var host = await app.StartHost();
        await Send(host, """
            POST /api/hello/w%C3%B6rld%20x?id=1&tag=a&tag=b HTTP/1.1
            Host: hub.example:7071
            User-Agent: curl/8.5.0
            Accept: */*
            Content-Type: application/json
            Content-Language: fr
            Content-Length: 7
            X-Forwarded-For: 203.0.113.9
            X-Forwarded-Host: evil.example
            X-Forwarded-Proto: https
            X-Forwarded-Prefix: /p
            x-ms-invocation-id: forged
            X-Azure-Functions-InvocationId: forged
            Connection: close
            Keep-Alive: 5
            TE: trailers
            Cookie: a=1; b=2
            x-functions-key: k

            {"a":1}
            """);

        var request = Assert.Single(app.Requests);
        Assert.Equal("POST", request.Method);
        Assert.Equal("/api/hello/w%C3%B6rld%20x?id=1&tag=a&tag=b", request.Target);
        Assert.Equal("{\"a\":1}", request.Text);
        var id = request.Headers["X-Azure-Functions-InvocationId"];
        Assert.True(Guid.TryParse(id, out _));
        Assert.Equal(
            new SortedDictionary<string, string>(StringComparer.OrdinalIgnoreCase)
            {
                ["Accept"] = "*/*",
                ["Content-Language"] = "fr",
                ["Content-Length"] = "7",
                ["Content-Type"] = "application/json",
                ["Cookie"] = "a=1; b=2",
                ["Host"] = $"127.0.0.1:{app.Port}",
                ["User-Agent"] = "curl/8.5.0",
                ["X-Azure-Functions-HostVersion"] = "4.1052.200.0",
                ["X-Azure-Functions-InvocationId"] = id,
                ["X-Forwarded-For"] = "127.0.0.1",
                ["X-Forwarded-Host"] = "hub.example:7071",
                ["X-Forwarded-Proto"] = "http",
                ["x-functions-key"] = "k",
                ["x-ms-invocation-id"] = id,
            },
            new SortedDictionary<string, string>(request.Headers.ToDictionary(), StringComparer.OrdinalIgnoreCase));
    }

    [Fact]
    public async Task Chunked_body_is_passed_on_chunked()
    {
        await using var app = (await ScriptedApp.Create()).WithHttpFunction("hello", "hello");
        await using var host = await app.StartHost();
        await Send(host, "POST /hello HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\nConnection: close\n\n3\nabc\n2\nde\n0\n\n");
        var request = Assert.Single(app.Requests);
        Assert.Equal("abcde", request.Text);
        Assert.Equal("chunked", request.Headers["Transfer-Encoding"]);
        Assert.False(request.Headers.ContainsKey("Content-Length"));
    }

    [Fact]
    public async Task Answer_is_relayed_as_it_is_whatever_its_status()
    {
        await using var app = (await ScriptedApp.Create()).WithHttpFunction("hello", "hello");
        app.Answer = (_, context) =>
        {
            context.Response.Headers.Location = "/elsewhere";
            context.Response.Headers.Append("X-Two", new[] { "a", "b" });
            return ScriptedApp.Write(context, 307, "text/odd", "moved");
        };
        await using var host = await app.StartHost();
        var answer = await Send(host, "GET /hello HTTP/1.1\nHost: x\nConnection: close\n\n");
        Assert.StartsWith("HTTP/1.1 307 ", answer, StringComparison.Ordinal);
        Assert.Contains("Location: /elsewhere\r\n", answer, StringComparison.Ordinal);
        Assert.Contains("X-Two: a\r\nX-Two: b\r\n", answer, StringComparison.Ordinal);
        Assert.Contains("Content-Type: text/odd\r\n", answer, StringComparison.Ordinal);
        Assert.Contains("moved", answer, StringComparison.Ordinal);
        Assert.Single(app.Requests);
    }

    [Fact]
    public async Task Answer_is_streamed_while_it_is_made()
    {
        await using var app = (await ScriptedApp.Create()).WithHttpFunction("hello", "hello");
        var seen = new TaskCompletionSource();
        app.Answer = async (_, context) =>
        {
            await context.Response.WriteAsync("first");
            await context.Response.Body.FlushAsync();
            await seen.Task;
            await context.Response.WriteAsync("second");
        };
        await using var host = await app.StartHost();
        using var http = new HttpClient { BaseAddress = host.Address };
        using var answer = await http.GetAsync("hello", HttpCompletionOption.ResponseHeadersRead);
        await using var body = await answer.Content.ReadAsStreamAsync();
        var buffer = new byte[5];
        await body.ReadExactlyAsync(buffer).AsTask().WaitAsync(TimeSpan.FromSeconds(20));
        Assert.Equal("first", Encoding.ASCII.GetString(buffer));
        seen.SetResult();
        Assert.Equal("second", await new StreamReader(body).ReadToEndAsync());
    }

    [Fact]
    public async Task Request_body_is_streamed_while_it_comes()
    {
        await using var app = (await ScriptedApp.Create()).WithHttpFunction("hello", "hello");
        var begun = new TaskCompletionSource<string>();
        app.AnswerRaw = async context =>
        {
            var buffer = new byte[5];
            await context.Request.Body.ReadExactlyAsync(buffer);
            begun.SetResult(Encoding.ASCII.GetString(buffer));
            await context.Request.Body.CopyToAsync(Stream.Null);
        };
        await using var host = await app.StartHost();
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, host.Address.Port);
        await using var stream = client.GetStream();
        await stream.WriteAsync("POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nConnection: close\r\n\r\nfirst"u8.ToArray());
        Assert.Equal("first", await begun.Task.Within());
        await stream.WriteAsync("later"u8.ToArray());
        Assert.StartsWith("HTTP/1.1 200", await new StreamReader(stream).ReadToEndAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Caller_who_goes_away_aborts_the_request_to_the_handler()
    {
        await using var app = (await ScriptedApp.Create()).WithHttpFunction("hello", "hello");
        var aborted = new TaskCompletionSource<string>();
        app.Answer = async (_, context) =>
        {
            context.RequestAborted.Register(() => aborted.TrySetResult("aborted"));
            await aborted.Task;
        };
        await using var host = await app.StartHost();
        using (var client = new TcpClient())
        {
            await client.ConnectAsync(IPAddress.Loopback, host.Address.Port);
            await client.GetStream().WriteAsync("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"u8.ToArray());
            await Eventually.True(() => app.Requests.Count == 1);
        }
        Assert.Equal("aborted", await aborted.Task.Within());
    }

    [Theory]
    [InlineData("GET", "/nowhere")]
    [InlineData("PUT", "/items/5")]
    [InlineData("GET", "/items/five")]
    [InlineData("POST", "/Secret")]
    [InlineData("GET", "/items/5/more")]
    public async Task What_is_no_functions_answers_404_without_the_handler(string method, string path)
    {
        await using var app = (await ScriptedApp.Create())
            .WithHttpFunction("items", "items/{id:int?}").WithQueueFunction("Secret", "orders");
        await using var host = await app.StartHost();
        using var http = new HttpClient { BaseAddress = host.Address };
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        using var answer = await http.SendAsync(request);
        Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
        Assert.False(answer.Content.Headers.Allow.Any());
        Assert.Empty(app.Requests);
    }

    [Theory]
    [InlineData("/items")]
    [InlineData("/items/5")]
    public async Task Route_template_decides(string path)
    {
        await using var app = (await ScriptedApp.Create()).WithHttpFunction("items", "items/{id:int?}");
        await using var host = await app.StartHost();
        using var http = new HttpClient { BaseAddress = host.Address };
        using var answer = await http.GetAsync(path);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal(path, Assert.Single(app.Requests).Target);
    }

    [Fact]
    public async Task Answer_405_of_the_handler_itself_stays_405()
    {
        await using var app = (await ScriptedApp.Create()).WithHttpFunction("hello", "hello");
        app.Answer = (_, context) => ScriptedApp.Write(context, 405, null, "");
        await using var host = await app.StartHost();
        using var http = new HttpClient { BaseAddress = host.Address };
        using var answer = await http.GetAsync("hello");
        Assert.Equal(HttpStatusCode.MethodNotAllowed, answer.StatusCode);
    }

    [Theory]
    [InlineData("function", "/hello", null, 401)]
    [InlineData("function", "/hello?code=host", null, 200)]
    [InlineData("function", "/hello?code=host", "wrong", 401)]
    [InlineData("function", "/hello?code=wrong", "host", 200)]
    [InlineData("function", "/hello", "master", 200)]
    [InlineData("admin", "/hello", "host", 401)]
    [InlineData("admin", "/hello", "master", 200)]
    [InlineData("anonymous", "/hello", null, 200)]
    public async Task Keys_are_checked_when_there_are_keys_the_header_before_the_query(
        string level, string path, string? header, int status)
    {
        await using var app = (await ScriptedApp.Create()).WithHttpFunction("hello", "hello", level: level);
        await using var host = await app.StartHost(o => o with { Keys = new HostKeys("host", "master") });
        using var http = new HttpClient { BaseAddress = host.Address };
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        if (header is not null)
        {
            request.Headers.Add("x-functions-key", header);
        }
        using var answer = await http.SendAsync(request);
        Assert.Equal(status, (int)answer.StatusCode);
        if (status == 401)
        {
            Assert.Equal("", await answer.Content.ReadAsStringAsync());
            Assert.Empty(app.Requests);
        }
    }

    [Fact]
    public async Task Handler_that_does_not_answer_gives_an_empty_500()
    {
        await using var app = (await ScriptedApp.Create()).WithHttpFunction("hello", "hello");
        await using var host = await app.StartHost();
        await app.StopServing();
        using var http = new HttpClient { BaseAddress = host.Address };
        using var answer = await http.GetAsync("hello");
        Assert.Equal(HttpStatusCode.InternalServerError, answer.StatusCode);
        Assert.Equal("", await answer.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task Body_over_100_MiB_is_refused()
    {
        await using var app = (await ScriptedApp.Create()).WithHttpFunction("hello", "hello");
        await using var host = await app.StartHost();
        var answer = await Send(host, "POST /hello HTTP/1.1\nHost: x\nContent-Length: 104857601\nConnection: close\n\n");
        Assert.StartsWith("HTTP/1.1 413", answer, StringComparison.Ordinal);
    }

    private static async Task<string> Send(FunctionHost host, string request)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, host.Address.Port);
        await using var stream = client.GetStream();
        await stream.WriteAsync(Encoding.Latin1.GetBytes(request.ReplaceLineEndings("\r\n")));
        return await new StreamReader(stream, Encoding.Latin1).ReadToEndAsync().WaitAsync(TimeSpan.FromSeconds(30));
    }
}
