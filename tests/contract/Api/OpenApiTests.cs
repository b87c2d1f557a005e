using System.Text.Json.Nodes;
using IotHub.Harness;
using Microsoft.AspNetCore.Routing;
using Xunit;

namespace IotHub.Contract.Api;

/// <summary>The OpenAPI description is of exactly the routes that are mapped, and of what they answer.</summary>
public sealed class OpenApiTests : IAsyncLifetime
{
    private TestApi _api = null!;
    private JsonNode _document = null!;

    public async Task InitializeAsync()
    {
        _api = await TestApi.InMemory();
        var answer = await _api.Get("/iot/openapi.json", "");
        Assert.Equal("application/json", answer.Headers["Content-Type"]);
        _document = answer.Ok;
    }

    public async Task DisposeAsync() => await _api.DisposeAsync();

    [Fact]
    public void Every_route_of_the_management_api_is_described_and_nothing_else()
    {
        Assert.Equal("3.1.0", (string)_document["openapi"]!);
        var described = _document["paths"]!.AsObject()
            .SelectMany(path => path.Value!.AsObject().Select(operation => $"{operation.Key.ToUpperInvariant()} {path.Key}"));
        var mapped = _api.Endpoints.OfType<RouteEndpoint>()
            .Where(route => route.RoutePattern.RawText!.StartsWith("/iot/v1/", StringComparison.Ordinal)
                && !route.RoutePattern.RawText.Contains("**", StringComparison.Ordinal))
            .SelectMany(route => route.Metadata.GetMetadata<HttpMethodMetadata>()!.HttpMethods
                .Select(method => $"{method} {route.RoutePattern.RawText}"));
        Assert.Equal(mapped.Order(StringComparer.Ordinal), described.Order(StringComparer.Ordinal));
        Assert.True(described.Count() >= 36);
        var ids = _document["paths"]!.AsObject()
            .SelectMany(path => path.Value!.AsObject().Select(operation => (string)operation.Value!["operationId"]!)).ToList();
        Assert.Equal(ids.Count, ids.Distinct().Count());
    }

    [Fact]
    public async Task Every_reference_leads_somewhere_and_answers_have_the_described_members()
    {
        var schemas = _document["components"]!["schemas"]!.AsObject();
        foreach (var reference in References(_document))
        {
            Assert.Contains(reference["#/components/schemas/".Length..], schemas.Select(schema => schema.Key));
        }
        var hub = await _api.NewHub();
        var device = await _api.NewDevice(hub);
        foreach (var (schema, answer) in new[] { ("HubAnswer", hub), ("DeviceAnswer", device) })
        {
            var members = schemas[schema]!["properties"]!.AsObject().Select(member => member.Key).ToHashSet();
            Assert.Subset(members, TestApi.Members(answer).ToHashSet());
        }
        var status = schemas["HubAnswer"]!["properties"]!["status"]!["enum"]!.AsArray().Select(value => (string?)value);
        Assert.Equal(["unknown", "error", "enabling", "ready", "disabling", "disabled"], status);
        Assert.Equal("date-time", (string)schemas["HubAnswer"]!["properties"]!["created_at"]!["format"]!);
    }

    [Fact]
    public async Task The_page_that_shows_the_document_takes_everything_from_this_server()
    {
        var page = await _api.Get("/iot/reference/", "");
        Assert.Equal((200, "text/html; charset=utf-8"), (page.Status, page.Headers["Content-Type"]));
        var policy = page.Headers["Content-Security-Policy"];
        Assert.StartsWith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
        foreach (var (name, type) in new[] { ("reference.js", "text/javascript"), ("reference.css", "text/css") })
        {
            Assert.Contains($"\"{name}\"", page.Text, StringComparison.Ordinal);
            var file = await _api.Get("/iot/reference/" + name, "");
            Assert.Equal((200, $"{type}; charset=utf-8", "nosniff"), (file.Status, file.Headers["Content-Type"], file.Headers["X-Content-Type-Options"]));
            Assert.DoesNotContain("://", file.Text, StringComparison.Ordinal);
        }
        Assert.DoesNotContain("://", page.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("<script>", page.Text, StringComparison.Ordinal);
        Assert.Equal(200, (await _api.Get("/iot/reference", "")).Status);
    }

    [Fact]
    public async Task The_page_shows_every_operation_and_sends_what_its_form_says()
    {
        var hub = await _api.NewHub();
        var told = await NodeScript.Run("tests/contract/Api/scripts/reference-page.mjs", new
        {
            pageUrl = new Uri(_api.Url, "iot/reference/"),
            secret = _api.Secret,
            operation = "get_hubs_hub_id",
            path = new Dictionary<string, string> { ["hub_id"] = $"{hub["id"]}" },
        });
        var described = _document["paths"]!.AsObject()
            .SelectMany(path => path.Value!.AsObject().Select(operation => (string)operation.Value!["operationId"]!));
        var shown = told.GetProperty("operations").EnumerateArray().Select(id => id.GetString()!);
        Assert.Equal(described.Order(StringComparer.Ordinal), shown.Order(StringComparer.Ordinal));
        Assert.Equal(200, told.GetProperty("status").GetInt32());
        Assert.Equal(new Uri(_api.Url, $"iot/v1/regions/fr-par/hubs/{hub["id"]}").ToString(), told.GetProperty("url").GetString());
    }

    private static IEnumerable<string> References(JsonNode? node) => node switch
    {
        JsonObject members => members.SelectMany(member => member.Key == "$ref" && member.Value is JsonValue text
            && ((string)text!).StartsWith("#/components", StringComparison.Ordinal) ? [(string)text!] : References(member.Value)),
        JsonArray items => items.SelectMany(References),
        _ => [],
    };
}
