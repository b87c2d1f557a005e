using System.Net;
using System.Text;
using System.Text.Json;

namespace IotHub.EndToEnd.Support;

public sealed record IngestAnswer(HttpStatusCode Status, string? ContentType, string Body)
{
    /// <summary>A member of the error object; fails when the answer is not one.</summary>
    public string? Error(string member) => JsonDocument.Parse(Body).RootElement.GetProperty(member).GetString();
}

/// <summary>Posts as Sigfox's backend and as curl do.</summary>
public static class Ingest
{
    private static readonly HttpClient Http = new() { Timeout = TimeSpan.FromSeconds(60) };

    public static Task<IngestAnswer> Post(this TestNetwork network, string? topic, string body, string? secret = null) =>
        Post(network, topic, Encoding.UTF8.GetBytes(body), secret);

    /// <param name="topic">Header X-Topic; left out when null.</param>
    /// <param name="secret">Header X-Secret; the network's own when null, left out when empty.</param>
    public static async Task<IngestAnswer> Post(this TestNetwork network, string? topic, byte[] body, string? secret = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, network.Url) { Content = new ByteArrayContent(body) };
        request.Content.Headers.TryAddWithoutValidation("Content-Type", "application/json");
        if (secret != "")
        {
            request.Headers.TryAddWithoutValidation("X-Secret", secret ?? network.Secret);
        }
        if (topic is not null)
        {
            request.Headers.TryAddWithoutValidation("X-Topic", topic);
        }
        using var response = await Http.SendAsync(request);
        return new IngestAnswer(
            response.StatusCode, response.Content.Headers.ContentType?.ToString(), await response.Content.ReadAsStringAsync());
    }
}
