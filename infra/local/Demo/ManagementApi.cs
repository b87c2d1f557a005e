using System.Net.Http.Json;
using System.Text.Json;
using IotHub.Local.Launch;

namespace IotHub.Local.Demo;

/// <summary>The management API by plain HTTP, as any script would use it.</summary>
public sealed class ManagementApi : IDisposable
{
    private readonly HttpClient _http;
    private readonly string _root;

    public ManagementApi(Endpoints at)
    {
        _http = new HttpClient(new SocketsHttpHandler { UseProxy = false });
        _http.DefaultRequestHeaders.Add("X-Auth-Token", at.SecretKey);
        _root = at.ManagementUrl;
    }

    public Task<JsonElement> Create(string what, object body, CancellationToken cancel) => Send(HttpMethod.Post, what, body, cancel);

    public Task<JsonElement> Get(string what, CancellationToken cancel) => Send(HttpMethod.Get, what, null, cancel);

    public Task Delete(string what, CancellationToken cancel) => Send(HttpMethod.Delete, what, null, cancel);

    public void Dispose() => _http.Dispose();

    private async Task<JsonElement> Send(HttpMethod method, string what, object? body, CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(method, $"{_root}/{what}") { Content = body is null ? null : JsonContent.Create(body) };
        using var answer = await _http.SendAsync(request, cancel);
        var text = await answer.Content.ReadAsStringAsync(cancel);
        if (!answer.IsSuccessStatusCode)
        {
            throw new LaunchException($"The demo failed: {method} {what} was answered {(int)answer.StatusCode} {text}");
        }
        return text.Length == 0 ? default : JsonDocument.Parse(text).RootElement;
    }
}
