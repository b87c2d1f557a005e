using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Nodes;
using IotHub.Harness;

namespace IotHub.EndToEnd.Support;

/// <summary>The management API as a script with curl would use it.</summary>
public sealed class ManagementApi : IDisposable
{
    private readonly HttpClient _http;
    private readonly LocalEndpoints _endpoints;

    public ManagementApi(LocalEndpoints endpoints)
    {
        _endpoints = endpoints;
        _http = new HttpClient { BaseAddress = new Uri($"{endpoints.ApiUrl}/iot/v1/regions/{endpoints.Region}/") };
        _http.DefaultRequestHeaders.Add("X-Auth-Token", endpoints.SecretKey);
    }

    public Task<JsonElement> Get(string path) => Send(HttpMethod.Get, path, null);

    public Task<JsonElement> Post(string path, JsonObject body) => Send(HttpMethod.Post, path, body);

    public Task<JsonElement> Put(string path, JsonObject body) => Send(HttpMethod.Put, path, body);

    public Task<JsonElement> Patch(string path, JsonObject body) => Send(HttpMethod.Patch, path, body);

    public Task Delete(string path) => Send(HttpMethod.Delete, path, null);

    /// <summary>A hub of one test, ready; deleted with all that is in it when the test ends.</summary>
    public async Task<TestHub> NewHub(string plan = "plan_dedicated")
    {
        var body = new JsonObject
        {
            ["name"] = $"hub-{Guid.NewGuid():N}",
            ["project_id"] = _endpoints.ProjectId.ToString(),
            ["product_plan"] = plan,
        };
        var hub = await Post("hubs", body);
        var id = hub.GetProperty("id").GetGuid();
        await Eventually.True(async () => (await Get($"hubs/{id}")).GetProperty("status").GetString() == "ready");
        return new TestHub(this, _endpoints, id);
    }

    public void Dispose() => _http.Dispose();

    private async Task<JsonElement> Send(HttpMethod method, string path, JsonObject? body)
    {
        using var request = new HttpRequestMessage(method, path) { Content = body is null ? null : JsonContent.Create(body) };
        using var response = await _http.SendAsync(request);
        var text = await response.Content.ReadAsStringAsync();
        if (!response.IsSuccessStatusCode)
        {
            throw new InvalidOperationException($"{method} {path} answered {(int)response.StatusCode}: {text}");
        }
        return response.StatusCode == HttpStatusCode.NoContent ? default : JsonDocument.Parse(text).RootElement;
    }
}
