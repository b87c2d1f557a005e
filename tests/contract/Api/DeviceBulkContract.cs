using System.Text.Json.Nodes;
using IotHub.Core.Domain;
using Xunit;

namespace IotHub.Contract.Api;

/// <summary>Import and export of many devices, and of a whole hub: extensions, on every driver.</summary>
public abstract class DeviceBulkContract : IAsyncLifetime
{
    private TestApi _api = null!;
    private JsonNode _hub = null!;

    private string Import => $"hubs/{_hub["id"]}/import-devices";

    private string Export => $"hubs/{_hub["id"]}/export-devices";

    protected abstract Task<TestApi> NewApi();

    public async Task InitializeAsync()
    {
        _api = await NewApi();
        _hub = await _api.NewHub(plan: "plan_dedicated");
    }

    public async Task DisposeAsync() => await _api.DisposeAsync();

    [Fact]
    public async Task Each_line_is_reported_and_a_bad_one_does_not_stand_in_the_way_of_the_others()
    {
        var taken = await _api.NewDevice(_hub, "taken");
        var lines = Lines(await _api.Post(Import, """
            {"name":"a","description":"first","allow_insecure":true,"tags":["x"],"message_filters":{"publish":{"policy":"accept","topics":["t/#"]}}}

            {"name":"taken"}
            {"name":""}
            {"name":"a"}
            {"name":"b","message_filters":{"publish":{"topics":["a#"]}}}
            {"name":7}
            no JSON
            {"name":"c","hub_id":"ignored","unknown":1}
            """));
        Assert.Equal(
            ["1 created", "3 refused", "4 refused", "5 refused", "6 refused", "7 refused", "8 refused", "9 created"],
            lines.SkipLast(1).Select(line => $"{line["line"]} {line["status"]}"));
        Assert.Equal(
            ["already_exists", "invalid_arguments", "already_exists", "invalid_arguments", "invalid_arguments", "invalid_arguments"],
            lines.Where(line => line["problem"] is not null).Select(line => (string)line["problem"]!["type"]!));
        Assert.Equal((string)taken["id"]!, (string)lines[1]["problem"]!["resource_id"]!);
        ApiConventions.AssertJson("""{"lines":8,"created":2,"refused":6}""", lines[^1]);

        var device = (await _api.Get($"devices/{lines[0]["device_id"]}")).Ok;
        Assert.Equal(("a", "first", true), ((string)device["name"]!, (string)device["description"]!, (bool)device["allow_insecure"]!));
        Assert.Equal("t/#", (string)device["message_filters"]!["publish"]!["topics"]![0]!);
        Assert.Equal("", (string)(await _api.Get($"devices/{lines[0]["device_id"]}/certificate")).Ok["certificate_pem"]!);
        Assert.Equal(3, (int)(await _api.Get($"hubs/{_hub["id"]}")).Ok["device_count"]!);
    }

    [Fact]
    public async Task Comma_separated_lines_come_out_as_they_went_in()
    {
        const string Csv = "name,tags,allow_insecure,description,message_filters,colour\r\n"
            + "a,x;y,true,\"one, \"\"two\"\"\nthree\",\"{\"\"publish\"\":{\"\"policy\"\":\"\"accept\"\",\"\"topics\"\":[\"\"a,b\"\"]}}\",red\r\n"
            + "b,,maybe,,,\r\n"
            + "c,,,,{},\r\n";
        var lines = Lines(await _api.Send(HttpMethod.Post, Import, Csv, contentType: "text/csv"));
        Assert.Equal(["2 created", "4 refused", "5 created"], lines.SkipLast(1).Select(line => $"{line["line"]} {line["status"]}"));
        Assert.Equal("allow_insecure", (string)lines[1]["problem"]!["details"]![0]!["argument_name"]!);

        var exported = await _api.Get(Export + "?format=csv");
        Assert.Equal("text/csv; charset=utf-8", exported.Headers["Content-Type"]);
        var other = await _api.NewHub("other", "plan_dedicated");
        var again = Lines(await _api.Send(HttpMethod.Post, $"hubs/{other["id"]}/import-devices?format=csv", exported.Text));
        ApiConventions.AssertJson("""{"lines":2,"created":2,"refused":0}""", again[^1]);
        var (before, after) = (await Devices(_hub), await Devices(other));
        foreach (var member in new[] { "name", "description", "allow_insecure", "message_filters", "tags" })
        {
            Assert.Equal(before.Select(device => device[member]?.ToJsonString()), after.Select(device => device[member]?.ToJsonString()));
        }
        Assert.Equal("one, \"two\"\nthree", (string)after[0]["description"]!);
    }

    [Fact]
    public async Task Certificates_are_issued_when_they_are_asked_for()
    {
        var lines = Lines(await _api.Post(Import + "?certificates=true", """{"name":"a"}"""));
        Assert.StartsWith("-----BEGIN RSA PRIVATE KEY-----", (string)lines[0]["certificate"]!["key"]!, StringComparison.Ordinal);
        Assert.Equal(
            (string)lines[0]["certificate"]!["crt"]!, (string)(await _api.Get($"devices/{lines[0]["device_id"]}/certificate")).Ok["certificate_pem"]!);
    }

    [Fact]
    public async Task What_is_no_import_is_refused_as_a_whole()
    {
        Assert.Equal([("body", "constraint")], (await _api.Post(Import, "")).WrongArguments());
        Assert.Equal([("body", "constraint")], (await _api.Post(Import, " \r\n\n")).WrongArguments());
        Assert.Equal([("body", "constraint")], (await _api.Post(Import + "?format=csv", "name\n")).WrongArguments());
        foreach (var heading in new[] { "colour\nred", "name,name\na,b", "name,\"open\na,b", "", new string('x', 262_145) })
        {
            Assert.Equal([("body", "format")], (await _api.Post(Import + "?format=csv", heading)).WrongArguments());
        }
        (await _api.Post($"hubs/{Guid.NewGuid()}/import-devices", "{}")).Problem(404, "not_found");
        (await _api.Post(Import, "{}", await _api.NewKey(ApiRole.Reader))).Problem(403, "permissions_denied");
    }

    [Fact]
    public async Task Ten_thousand_devices_come_in_and_go_out_in_one_call_each_and_no_more_fit()
    {
        var text = string.Concat(Enumerable.Range(0, 10_000).Select(i => $$"""{"name":"device-{{i:D5}}"}""" + "\n"));
        var lines = Lines(await _api.Post(Import, text));
        ApiConventions.AssertJson("""{"lines":10000,"created":10000,"refused":0}""", lines[^1]);
        Assert.Equal(10_000, lines.SkipLast(1).Select(line => (string)line["device_id"]!).Distinct().Count());
        Assert.Equal(10_000, (int)(await _api.Get($"hubs/{_hub["id"]}")).Ok["device_count"]!);
        Assert.Equal("device-04711", (string)(await _api.Get($"devices/{lines[4711]["device_id"]}")).Ok["name"]!);
        var exported = Lines(await _api.Get(Export));
        Assert.Equal(
            Enumerable.Range(0, 10_000).Select(i => $"device-{i:D5}"),
            exported.Select(device => (string)device["name"]!).Order(StringComparer.Ordinal));
        var more = Lines(await _api.Post(Import, """{"name":"one more"}"""));
        Assert.Equal("quotas_exceeded", (string)more[0]["problem"]!["type"]!);
        ApiConventions.AssertJson("""{"lines":1,"created":0,"refused":1}""", more[^1]);
        var body = $$"""{"name":"one more","hub_id":"{{_hub["id"]}}"}""";
        var detail = (await _api.Post("devices", body)).Problem(403, "quotas_exceeded")["details"]![0]!;
        ApiConventions.AssertJson("""{"resource":"device","quota":10000,"current":10000,"scope":"hub"}""", detail);

        // With one place free, the second of two that come is one too many, each way.
        Assert.Equal(204, (await _api.Delete($"devices/{lines[17]["device_id"]}")).Status);
        var last = Lines(await _api.Post(Import, """{"name":"fits"}""" + "\n" + """{"name":"does not"}"""));
        Assert.Equal(("created", "quotas_exceeded"), ((string)last[0]["status"]!, (string)last[1]["problem"]!["type"]!));
        Assert.Equal(10_000, (int)(await _api.Get($"hubs/{_hub["id"]}")).Ok["device_count"]!);
        (await _api.Post("devices", body)).Problem(403, "quotas_exceeded");

        // What is there is known by its name; what comes behind the ten thousandth line is not looked at.
        var again = Lines(await _api.Post(Import, text + """{"name":"line 10001"}"""));
        Assert.Equal(10_001, again.Count);
        Assert.Equal((10_000, 0), ((int)again[^1]["lines"]!, (int)again[^1]["created"]!));
        Assert.Contains("line 10001", (string)again[^1]["problem"]!["details"]![0]!["help_message"]!, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_whole_hub_is_one_document_without_secrets()
    {
        var device = await _api.NewDevice(_hub);
        await _api.Put($"twins/{device["id"]}/documents/current", """{"data":{"a":1.10}}""");
        await _api.Post("networks", $$"""{"name":"n","type":"rest","hub_id":"{{_hub["id"]}}"}""");
        await _api.Post("routes", $$$"""
            {"name":"r","hub_id":"{{{_hub["id"]}}}","topic":"#",
             "db_config":{"host":"h","port":1,"dbname":"d","username":"u","password":"hush-hush","query":"q"}}
            """);
        var answer = await _api.Get($"hubs/{_hub["id"]}/export");
        Assert.Equal("application/json", answer.Headers["Content-Type"]);
        var document = answer.Ok;
        Assert.Equal(["ca_cert_pem", "devices", "hub", "networks", "routes"], TestApi.Members(document));
        ApiConventions.AssertJson((await _api.Get($"hubs/{_hub["id"]}")).Ok.ToJsonString(), document["hub"]!);
        ApiConventions.AssertJson((await _api.Get($"devices/{device["id"]}")).Ok.ToJsonString(), document["devices"]![0]!["device"]!);
        ApiConventions.AssertJson(
            """[{"document_name":"current","version":1,"data":{"a":1.10}}]""", document["devices"]![0]!["twin_documents"]!);
        Assert.Single(document["networks"]!.AsArray());
        Assert.Equal("", (string)document["routes"]![0]!["db_config"]!["password"]!);
        Assert.DoesNotContain("hush", answer.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("PRIVATE KEY", answer.Text, StringComparison.Ordinal);
        (await _api.Get($"hubs/{Guid.NewGuid()}/export")).Problem(404, "not_found");
    }

    private async Task<List<JsonNode>> Devices(JsonNode hub) =>
        [.. (await _api.Get($"devices?hub_id={hub["id"]}")).Ok["devices"]!.AsArray().Select(device => device!)];

    private static List<JsonNode> Lines(ApiAnswer answer)
    {
        Assert.True(answer.Status == 200, $"{answer.Status}: {answer.Text}");
        Assert.Equal("application/x-ndjson", answer.Headers["Content-Type"]);
        return [.. answer.Text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonNode.Parse(line)!)];
    }
}
