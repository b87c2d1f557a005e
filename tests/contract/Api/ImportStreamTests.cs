using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using IotHub.Core.Domain;
using IotHub.Harness;
using Xunit;

namespace IotHub.Contract.Api;

/// <summary>An import is read, stored and reported at the same time, whatever the client does meanwhile.</summary>
public sealed class ImportStreamTests : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private TestApi _api = null!;
    private JsonNode _hub = null!;

    public async Task InitializeAsync()
    {
        _api = await TestApi.InMemory();
        _hub = await _api.NewHub(plan: "plan_dedicated");
    }

    public async Task DisposeAsync() => await _api.DisposeAsync();

    [Fact]
    public async Task Devices_are_there_and_reported_while_the_rest_is_still_to_come()
    {
        using var client = await Begin("Transfer-Encoding: chunked");
        await client.Chunk(Lines(0, 100));
        await client.Head(200);
        for (var line = 1; line <= 98; line++)
        {
            Assert.Equal((line, "created"), Told(await client.Line()));
        }
        Assert.Equal(98, await Count());
        await client.Chunk(Lines(100, 20));
        await client.Chunk("");
        for (var line = 99; line <= 120; line++)
        {
            Assert.Equal((line, "created"), Told(await client.Line()));
        }
        ApiConventions.AssertJson("""{"lines":120,"created":120,"refused":0}""", JsonNode.Parse(await client.Line())!);
    }

    [Fact]
    public async Task When_the_request_breaks_behind_the_status_the_last_line_says_so()
    {
        using var client = await Begin("Transfer-Encoding: chunked");
        await client.Chunk(Lines(0, 60) + """{"name":"half a li""");
        await client.Head(200);
        await client.Send("this is no chunk\r\n");
        for (var line = 1; line <= 60; line++)
        {
            Assert.Equal((line, "created"), Told(await client.Line()));
        }
        var last = JsonNode.Parse(await client.Line())!;
        Assert.Equal((60, 60, 0), ((int)last["lines"]!, (int)last["created"]!, (int)last["refused"]!));
        Assert.Equal("body", (string)last["problem"]!["details"]![0]!["argument_name"]!);
        Assert.Equal(60, await Count());
    }

    [Fact]
    public async Task A_request_that_says_it_is_longer_than_the_app_takes_is_refused_at_once()
    {
        using var client = await Begin($"Content-Length: {(100 << 20) + 1}");
        await client.Head(400);
        Assert.Contains("too large", await client.Rest(), StringComparison.Ordinal);
        Assert.Equal(0, await Count());
    }

    [Fact]
    public async Task A_client_that_goes_away_leaves_whole_devices_and_sends_the_same_again()
    {
        using (var client = await Begin("Content-Length: 1000000"))
        {
            await client.Send(Lines(0, 75) + """{"name":"device-0007""");
            await client.Head(200);
            // The first batch, while the second is not complete.
            await Eventually.True(async () => await Count() == 49);
        }
        await Eventually.True(async () => (await Listed()).Count == await Count());
        Assert.DoesNotContain("device-0007", await Listed());
        var there = await Count();
        var answer = await _api.Send(HttpMethod.Post, Path, Lines(0, 200), contentType: "application/x-ndjson");
        ApiConventions.AssertJson(
            $$"""{"lines":200,"created":{{200 - there}},"refused":{{there}}}""", JsonNode.Parse(answer.Text.TrimEnd().Split('\n')[^1])!);
        Assert.Equal(Enumerable.Range(0, 200).Select(i => $"device-{i:D5}"), await Listed());
    }

    /// <summary>
    /// So do the common client of .NET and with it the proxy of the Functions host. Request and report are longer than all buffers between the
    /// two, so whoever waits for the other here waits for ever.
    /// </summary>
    [Fact]
    public async Task A_client_that_reads_nothing_before_it_has_sent_everything_gets_the_whole_report()
    {
        const int Count = Quotas.DevicesOfHub;
        var wrong = """{"name":"NAME","description":"DESCRIPTION","tags":["",""],"message_filters":{"publish":{"topics":["#a"]},"subscribe":{"topics":["#a"]}}}"""
            .Replace("NAME", new string('n', 120) + "\\u0001", StringComparison.Ordinal)
            .Replace("DESCRIPTION", new string('d', 10_001), StringComparison.Ordinal) + "\n";
        using var client = await Begin($"Content-Length: {(long)wrong.Length * Count}", receiveBuffer: 4096);
        var piece = string.Concat(Enumerable.Repeat(wrong, 100));
        for (var sent = 0; sent < Count; sent += 100)
        {
            await client.Send(piece);
        }
        await client.Head(200);
        for (var line = 1; line <= Count; line++)
        {
            Assert.Equal((line, "refused"), Told(await client.Line()));
        }
        ApiConventions.AssertJson("""{"lines":10000,"created":0,"refused":10000}""", JsonNode.Parse(await client.Line())!);
        Assert.True(client.Received > 8_000_000, $"only {client.Received} bytes: they may have fit into the buffers");
    }

    private string Path => $"hubs/{_hub["id"]}/import-devices";

    private Task<Client> Begin(string header, int receiveBuffer = 0) => Client.Open(
        _api.Url.Port,
        $"POST /iot/v1/regions/fr-par/{Path} HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: {_api.Secret}\r\n{header}\r\n\r\n",
        receiveBuffer);

    private static string Lines(int from, int count) =>
        string.Concat(Enumerable.Range(from, count).Select(i => $$"""{"name":"device-{{i:D5}}"}""" + "\n"));

    private static (int Line, string Status) Told(string text)
    {
        var line = JsonNode.Parse(text)!;
        return ((int)line["line"]!, (string)line["status"]!);
    }

    private async Task<int> Count() => (int)(await _api.Get($"hubs/{_hub["id"]}")).Ok["device_count"]!;

    private async Task<List<string>> Listed()
    {
        var names = new List<string>();
        await foreach (var device in _api.Registry.DevicesOfHub(Guid.Parse((string)_hub["id"]!)))
        {
            names.Add(device.Name);
        }
        return [.. names.Order(StringComparer.Ordinal)];
    }

    /// <summary>Sends and reads by hand, each when the test says so.</summary>
    private sealed class Client : IDisposable
    {
        private readonly TcpClient _tcp = new();
        private readonly CancellationTokenSource _patience = new(Patience);
        private readonly Queue<string> _lines = new();
        private StreamReader _reader = null!;
        private string _begun = "";

        public long Received { get; private set; }

        public static async Task<Client> Open(int port, string head, int receiveBuffer)
        {
            var client = new Client();
            if (receiveBuffer > 0)
            {
                client._tcp.ReceiveBufferSize = receiveBuffer;
            }
            await client._tcp.ConnectAsync("127.0.0.1", port);
            client._reader = new StreamReader(client._tcp.GetStream(), Encoding.UTF8);
            await client.Send(head);
            return client;
        }

        public async Task Send(string text) => await _tcp.GetStream().WriteAsync(Encoding.UTF8.GetBytes(text), _patience.Token);

        /// <summary>A chunk; an empty one is the last.</summary>
        public Task Chunk(string text) =>
            Send(Encoding.UTF8.GetByteCount(text).ToString("x", CultureInfo.InvariantCulture) + "\r\n" + text + "\r\n");

        public async Task Head(int status)
        {
            Assert.StartsWith($"HTTP/1.1 {status} ", await Raw(), StringComparison.Ordinal);
            var isChunked = status != 200;
            while (await Raw() is { Length: > 0 } header)
            {
                isChunked |= header == "Transfer-Encoding: chunked";
            }
            Assert.True(isChunked);
        }

        /// <summary>A line of the body, taken out of its chunks.</summary>
        public async Task<string> Line()
        {
            while (_lines.Count == 0)
            {
                var length = int.Parse(await Raw(), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
                Assert.True(length > 0, "the answer has ended");
                var chunk = new char[length];
                await _reader.ReadBlockAsync(chunk, _patience.Token);
                await Raw();
                Received += length;
                var parts = (_begun + new string(chunk)).Split('\n');
                _begun = parts[^1];
                foreach (var line in parts[..^1])
                {
                    _lines.Enqueue(line);
                }
            }
            return _lines.Dequeue();
        }

        /// <summary>All that comes until the server closes the connection.</summary>
        public Task<string> Rest() => _reader.ReadToEndAsync(_patience.Token);

        public void Dispose()
        {
            _tcp.Dispose();
            _patience.Dispose();
        }

        private async Task<string> Raw() => await _reader.ReadLineAsync(_patience.Token) ?? throw new IOException("the connection has ended");
    }
}
