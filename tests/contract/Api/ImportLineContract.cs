using System.Text;
using System.Text.Json.Nodes;
using IotHub.Core.Security;
using IotHub.Harness;
using Xunit;

namespace IotHub.Contract.Api;

/// <summary>Lines of an import that are wrong, and certificates in them, on every driver.</summary>
public abstract class ImportLineContract : IAsyncLifetime
{
    private const int LongestLine = 262_144;
    private TestApi _api = null!;
    private JsonNode _hub = null!;

    protected abstract Task<TestApi> NewApi();

    public async Task InitializeAsync()
    {
        _api = await NewApi();
        _hub = await _api.NewHub(plan: "plan_dedicated");
    }

    public async Task DisposeAsync() => await _api.DisposeAsync();

    [Fact]
    public async Task A_line_of_JSON_that_cannot_be_read_is_reported_and_the_next_one_is_read()
    {
        byte[] text =
        [
            .. "\uFEFF{\"name\":\"a\"}\r\n\n"u8,
            .. """{"name":"b","description":" """u8, .. Encoding.ASCII.GetBytes(new string('x', LongestLine)), .. "\"}\n"u8,
            .. """{"name":"c"""u8, 0xFF, 0xC3, .. "\"}\n"u8,
            .. "{\"unknown\":\""u8, 0xFF, .. "\",\"name\":\"d\"}\n"u8,
            .. """{"name":"e"}{"name":"f"}"""u8, .. "\n"u8,
            .. LineOf(LongestLine), .. "\n"u8,
            .. LineOf(LongestLine + 1), .. "\n"u8,
            .. """{"name":"last","descr"""u8,
        ];
        var lines = await Import(text, "application/x-ndjson");
        Assert.Equal(
            [
                "1 created ", "3 refused line constraint", "4 refused line format", "5 refused line format", "6 refused body format",
                "7 refused description constraint", "8 refused line constraint", "9 refused body format",
            ],
            lines.SkipLast(1).Select(Told));
        ApiConventions.AssertJson("""{"lines":8,"created":1,"refused":7}""", lines[^1]);
        Assert.Equal(["a"], await Names());

        byte[] LineOf(int bytes)
        {
            const string Begin = """{"name":"long","description":" """, End = "\"}";
            return Encoding.ASCII.GetBytes(Begin + new string('x', bytes - Begin.Length - End.Length) + End);
        }
    }

    [Fact]
    public async Task A_record_of_CSV_that_cannot_be_read_is_reported_and_the_next_one_is_read()
    {
        byte[] text =
        [
            .. "\uFEFF\"name\",description\r\n"u8,
            .. "\"a, \"\"A\"\"\",\"one\r\ntwo\n\nthree\"\r\n"u8,
            .. "b,\"closed\" and more\r\n"u8,
            .. "c,not \"opened\r\n"u8,
            .. "d\r\n"u8,
            .. "e,f,g\r\n"u8,
            .. "h"u8, 0xFF, .. ",\r\n"u8,
            .. "i,"u8, .. Encoding.ASCII.GetBytes(new string('x', LongestLine)), .. ",\"y\"\r\n"u8,
            .. "\r\n"u8,
            .. "j,\"\"\r"u8,
            .. "k,"u8,
        ];
        var lines = await Import(text, "text/csv");
        Assert.Equal(
            [
                "2 created ", "6 refused line format", "7 refused line format", "8 refused line format", "9 refused line format",
                "10 refused line format", "11 refused line constraint", "13 created ", "14 created ",
            ],
            lines.SkipLast(1).Select(Told));
        ApiConventions.AssertJson("""{"lines":9,"created":3,"refused":6}""", lines[^1]);
        Assert.Equal(["a, \"A\"", "j", "k"], await Names());
        var described = (await _api.Get($"devices/{lines[0]["device_id"]}")).Ok;
        Assert.Equal("one\r\ntwo\n\nthree", (string)described["description"]!);
    }

    [Theory]
    [InlineData(100)]
    [InlineData(LongestLine + 100_000)]
    public async Task Behind_a_quote_that_is_not_closed_nothing_is_taken_for_a_device(int behind)
    {
        var text = "name,description\na,\nb,\"open\n" + string.Concat(Enumerable.Repeat("evil,x\n", behind / 7));
        var lines = await Import(Encoding.ASCII.GetBytes(text), "text/csv");
        Assert.Equal(["2 created ", "3 refused line format"], lines.SkipLast(1).Select(Told));
        Assert.Equal((2, 1, 1), ((int)lines[^1]["lines"]!, (int)lines[^1]["created"]!, (int)lines[^1]["refused"]!));
        Assert.Equal("invalid_arguments", (string)lines[^1]["problem"]!["type"]!);
        Assert.Equal(["a"], await Names());
    }

    [Fact]
    public async Task A_line_may_bring_its_own_certificate_which_is_checked_as_the_call_for_one_device_checks_it()
    {
        using var own = TestPki.Leaf("CN=own", null);
        using var other = TestPki.Leaf("CN=other", null);
        var (pem, otherPem) = (own.ExportCertificatePem(), other.ExportCertificatePem());
        var lines = await Import(
            $$"""
            {{Line("a", pem)}}
            {{Line("b", pem)}}
            {{Line("c", "no certificate")}}
            {{Line("d", "")}}
            {{Line("e", pem + "-----BEGIN PRIVATE KEY-----")}}
            {{Line("f", null)}}
            {{Line("g", otherPem)}}
            """,
            "application/x-ndjson",
            "?certificates=true");
        Assert.Equal(
            [
                "1 created ", "2 refused ", "3 refused certificate format", "4 refused certificate required", "5 refused certificate constraint",
                "6 created ", "7 created ",
            ],
            lines.SkipLast(1).Select(Told));
        Assert.Equal("already_exists", (string)lines[1]["problem"]!["type"]!);
        Assert.Equal((string)lines[0]["device_id"]!, (string)lines[1]["problem"]!["resource_id"]!);
        // Issued only where none was brought.
        Assert.Equal([false, true, false], new[] { 0, 5, 6 }.Select(i => lines[i]["certificate"] is not null));
        foreach (var (line, expected) in new[] { (0, pem), (6, otherPem) })
        {
            var device = (await _api.Get($"devices/{lines[line]["device_id"]}/certificate")).Ok;
            Assert.Equal(expected, (string)device["certificate_pem"]!);
            Assert.True((bool)device["device"]!["has_custom_certificate"]!);
            var found = await _api.Registry.FindDeviceByCertificate(Certificates.Fingerprint(expected));
            Assert.Equal((string)lines[line]["device_id"]!, $"{found?.Id}");
        }
        Assert.False((bool)(await _api.Get($"devices/{lines[5]["device_id"]}")).Ok["has_custom_certificate"]!);

        // In a column of CSV it stands between quotes, over several lines.
        using var third = TestPki.Leaf("CN=third", null);
        var csv = await Import($"certificate,name\r\n\"{third.ExportCertificatePem()}\",x\r\n,y\r\n\"{pem}\",z\r\n", "text/csv");
        Assert.Equal(["created", "created", "refused"], csv.SkipLast(1).Select(line => (string)line["status"]!));
        Assert.Equal(
            third.ExportCertificatePem(), (string)(await _api.Get($"devices/{csv[0]["device_id"]}/certificate")).Ok["certificate_pem"]!);

        static string Line(string name, string? certificate) =>
            new JsonObject { ["name"] = name, ["certificate"] = certificate }.ToJsonString();
    }

    [Fact]
    public async Task A_wrong_name_is_not_said_again_when_it_is_longer_than_a_name()
    {
        var lines = await Import("{\"name\":\"" + new string('n', 100_000) + "\"}", "application/x-ndjson");
        Assert.Equal("1 refused name constraint", Told(lines[0]));
        Assert.Null(lines[0]["name"]);
    }

    private Task<List<JsonNode>> Import(string text, string contentType, string query = "") =>
        Import(Encoding.UTF8.GetBytes(text), contentType, query);

    private async Task<List<JsonNode>> Import(byte[] text, string contentType, string query = "")
    {
        var answer = await _api.SendBytes(HttpMethod.Post, $"hubs/{_hub["id"]}/import-devices{query}", text, contentType: contentType);
        Assert.True(answer.Status == 200, $"{answer.Status}: {answer.Text}");
        return [.. answer.Text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonNode.Parse(line)!)];
    }

    private async Task<IEnumerable<string>> Names() => (await _api.Get($"devices?hub_id={_hub["id"]}&order_by=name_asc")).Ok["devices"]!.AsArray()
        .Select(device => (string)device!["name"]!);

    /// <summary>Line, status, and the argument that is wrong with the reason.</summary>
    private static string Told(JsonNode line) => $"{line["line"]} {line["status"]} " + string.Join(
        ' ', (line["problem"]?["details"]?.AsArray() ?? []).Select(detail => $"{detail!["argument_name"]} {detail["reason"]}"));
}
