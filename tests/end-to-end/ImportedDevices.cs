using System.Text;
using System.Text.Json;
using IotHub.EndToEnd.Clients;
using IotHub.EndToEnd.Support;
using Xunit;

namespace IotHub.EndToEnd;

[Collection(HubCollection.Name)]
public sealed class ImportedDevices(HubFixture fixture)
{
    private const int Devices = 300;

    [Fact]
    public async Task They_connect_at_once_and_may_do_what_the_explanation_says()
    {
        await using var hub = await fixture.Api.NewHub();
        await using var clients = new MqttClients();
        var text = string.Concat(Enumerable.Range(0, Devices).Select(i => $$$$"""
            {"name":"d{{{{i}}}}","allow_insecure":true,"message_filters":{"subscribe":{"policy":"accept","topics":["{{ device.name }}/#"]}}}

            """));
        var reports = await Send(HttpMethod.Post, $"hubs/{hub.Id}/import-devices", text);
        Assert.Equal(Devices, reports[^1].GetProperty("created").GetInt32());

        var device = new TestDevice(reports[Devices - 1].GetProperty("device_id").GetGuid(), "", "");
        var client = await clients.Connected(ClientKind.MqttNet, hub.Login(device, version: 5));
        foreach (var filter in new[] { $"d{Devices - 1}/#", $"d{Devices - 1}", "d0/#", "#", "$SCW/twins/me/#" })
        {
            var path = $"devices/{device.Id}/explain?action=subscribe&topic={Uri.EscapeDataString(filter)}";
            var allowed = (await fixture.Api.Get(path)).GetProperty("allowed").GetBoolean();
            Assert.Equal((filter, allowed), (filter, await client.Subscribe(filter) < 128));
        }
        Assert.Equal(Devices, (await Send(HttpMethod.Get, $"hubs/{hub.Id}/export-devices", null)).Count);
    }

    /// <summary>An answer of JSON lines.</summary>
    private async Task<List<JsonElement>> Send(HttpMethod method, string path, string? body)
    {
        var endpoints = fixture.Endpoints;
        using var http = new HttpClient();
        using var request = new HttpRequestMessage(method, $"{endpoints.ApiUrl}/iot/v1/regions/{endpoints.Region}/{path}");
        request.Headers.Add("X-Auth-Token", endpoints.SecretKey);
        request.Content = body is null ? null : new StringContent(body, Encoding.UTF8, "application/x-ndjson");
        using var answer = await http.SendAsync(request);
        var text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.IsSuccessStatusCode, text);
        return [.. text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement)];
    }
}
