using IotHub.Harness;
using Xunit;

namespace IotHub.Contract.Api;

/// <summary>Calls every operation of the OpenAPI document with success; each answer has the members and types that are described.</summary>
public sealed class EveryOperationTests : IAsyncLifetime
{
    private readonly HashSet<string> _called = [];
    private readonly Dictionary<string, string> _ids = [];
    private TestApi _api = null!;
    private DescribedApi _described = null!;

    public async Task InitializeAsync()
    {
        _api = await TestApi.InMemory();
        _described = await DescribedApi.Of(_api);
    }

    public async Task DisposeAsync() => await _api.DisposeAsync();

    [Fact]
    public async Task Every_operation_of_the_document_is_called_and_answers_as_described()
    {
        await Hubs();
        await Devices();
        await Networks();
        await Routes();
        await Keys();
        await Authority();
        await Deletions();
        Assert.Equal(
            _described.Operations.Select(operation => operation.Name).Order(StringComparer.Ordinal), _called.Order(StringComparer.Ordinal));
    }

    private async Task Hubs()
    {
        var hub = await Call("POST hubs", $$"""
            {"name":"h","project_id":"{{_api.Organization}}","product_plan":"plan_dedicated",
             "twins_graphite_config":{"push_uri":"https://u:p@graphite.example/"} }
            """);
        _ids["hub_id"] = (string)hub.Json["id"]!;
        _api.Settle();
        await Call("GET hubs");
        await Call("GET hubs/{hub_id}");
        await Call("PATCH hubs/{hub_id}", """{"name":"new"}""");
        await Call("POST hubs/{hub_id}/disable");
        _api.Settle();
        await Call("POST hubs/{hub_id}/enable");
        _api.Settle();
        await Call("GET hubs/{hub_id}/metrics");
        await Call("GET hubs/{hub_id}/events");
        await Call("GET hubs/{hub_id}/ca");
    }

    private async Task Devices()
    {
        var device = await Call("POST devices", """
            {"name":"d","hub_id":"{hub_id}","message_filters":{"publish":{"policy":"accept","topics":["a/#"]} } }
            """);
        _ids["device_id"] = _ids["twin_id"] = (string)device.Json["device"]!["id"]!;
        await Call("GET devices");
        await Call("POST hubs/{hub_id}/import-devices", """{"name":"imported"}""");
        await Call("GET hubs/{hub_id}/export-devices");
        await Call("GET hubs/{hub_id}/export");
        await Call("GET devices/{device_id}");
        await Call("GET devices/{device_id}/explain", query: "?action=publish&topic=a");
        await Call("PATCH devices/{device_id}", """{"description":"new"}""");
        await Call("POST devices/{device_id}/disable");
        await Call("POST devices/{device_id}/enable");
        await Call("GET devices/{device_id}/metrics");
        await Call("GET devices/{device_id}/certificate");
        await Call("POST devices/{device_id}/renew-certificate");
        using var authority = TestPki.Authority("CN=own");
        using var leaf = TestPki.Leaf("CN=d", authority);
        await Call("PUT devices/{device_id}/certificate", Json(("certificate_pem", leaf.ExportCertificatePem())));
        _ids["document_name"] = "current";
        await Call("PUT twins/{twin_id}/documents/{document_name}", """{"data":{"a":1}}""");
        await Call("PATCH twins/{twin_id}/documents/{document_name}", """{"version":1,"data":{"b":[2]}}""");
        await Call("GET twins/{twin_id}/documents/{document_name}");
        await Call("GET twins/{twin_id}");
        await Call("DELETE twins/{twin_id}/documents/{document_name}");
        await Call("DELETE twins/{twin_id}");
    }

    private async Task Networks()
    {
        var network = await Call("POST networks", """{"name":"n","hub_id":"{hub_id}","type":"rest"}""");
        _ids["network_id"] = (string)network.Json["network"]!["id"]!;
        await Call("GET networks");
        await Call("GET networks/{network_id}");
    }

    private async Task Routes()
    {
        foreach (var config in new[]
        {
            """ "s3_config":{"bucket_name":"bucket"} """,
            """ "db_config":{"host":"h","port":1,"dbname":"d","username":"u","password":"p","query":"q"} """,
            """ "rest_config":{"verb":"post","uri":"https://example.com","headers":{"X-A":"b"} } """,
        })
        {
            var route = await Call("POST routes", $$"""{"name":"r","hub_id":"{hub_id}","topic":"#",{{config}}}""");
            _ids["route_id"] = (string)route.Json["id"]!;
            await Call("GET routes/{route_id}");
        }
        await Call("GET routes");
        await Call("PATCH routes/{route_id}", """{"name":"new"}""");
    }

    private async Task Keys()
    {
        var key = await Call("POST api-keys", """{"role":"reader","description":"d"}""");
        _ids["access_key"] = (string)key.Json["api_key"]!["access_key"]!;
        await Call("GET api-keys");
    }

    private async Task Authority()
    {
        using var authority = TestPki.Authority("CN=customer");
        using var challenge = TestPki.Leaf($"CN={_ids["hub_id"]}", authority);
        await Call("POST hubs/{hub_id}/ca", Json(
            ("ca_cert_pem", authority.ExportCertificatePem()), ("challenge_cert_pem", challenge.ExportCertificatePem())));
    }

    private async Task Deletions()
    {
        await Call("DELETE devices/{device_id}");
        await Call("DELETE networks/{network_id}");
        await Call("DELETE routes/{route_id}");
        await Call("DELETE api-keys/{access_key}");
        await Call("DELETE hubs/{hub_id}", query: "?delete_devices=true");
    }

    private async Task<ApiAnswer> Call(string name, string? body = null, string query = "")
    {
        var operation = _described.Operations.Single(operation => operation.Name == name);
        _called.Add(name);
        var answer = await _api.Send(new HttpMethod(operation.Method), Fill(operation.Path) + query, body is null ? null : Fill(body));
        _described.AssertAnswers(operation, answer);
        return answer;
    }

    private string Fill(string text) =>
        _ids.Aggregate(text, (filled, id) => filled.Replace($"{{{id.Key}}}", id.Value, StringComparison.Ordinal));

    private static string Json(params (string Name, string Value)[] members) =>
        System.Text.Json.JsonSerializer.Serialize(members.ToDictionary(member => member.Name, member => member.Value));
}
