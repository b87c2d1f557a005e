using System.Text;
using System.Text.Json.Nodes;
using IotHub.Contract.Storage;
using IotHub.Core.Domain;
using IotHub.Core.Security;
using IotHub.Core.Storage;
using IotHub.Functions;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace IotHub.Contract.Api;

/// <summary>An answer as it came over the wire.</summary>
public sealed record ApiAnswer(int Status, IReadOnlyDictionary<string, string> Headers, string Text)
{
    public JsonNode Json => JsonNode.Parse(Text)!;

    /// <summary>The body, which must be a success.</summary>
    public JsonNode Ok
    {
        get
        {
            Assert.True(Status == 200, $"{Status}: {Text}");
            return Json;
        }
    }

    /// <summary>The body, which must be that problem.</summary>
    public JsonNode Problem(int status, string type)
    {
        Assert.True(Status == status && (string?)Json["type"] == type, $"{Status}: {Text}");
        return Json;
    }

    /// <summary>The names of the arguments that are wrong, with the reason.</summary>
    public IEnumerable<(string Argument, string Reason)> WrongArguments() => Problem(400, "invalid_arguments")["details"]!.AsArray()
        .Select(detail => ((string)detail!["argument_name"]!, (string)detail["reason"]!));
}

/// <summary>The whole function app in this process, asked over real HTTP.</summary>
public sealed class TestApi : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly HttpClient _http;

    private TestApi(WebApplication app, ShiftedTime time)
    {
        _app = app;
        _http = new HttpClient
        {
            BaseAddress = new Uri(app.Urls.Single() + "/iot/v1/regions/fr-par/"),
            // One call may be ten thousand devices, and the machine may have other things to do.
            Timeout = TimeSpan.FromMinutes(5),
        };
        Time = time;
        Registry = app.Services.GetRequiredService<IRegistry>();
        Keys = app.Services.GetRequiredService<IApiKeys>();
    }

    /// <summary>A millisecond passes with each request, and no more by itself.</summary>
    public ShiftedTime Time { get; }
    public IRegistry Registry { get; }
    public IApiKeys Keys { get; }

    /// <summary>Where it listens.</summary>
    public Uri Url => new(_http.BaseAddress!, "/");

    /// <summary>All that is mapped.</summary>
    public IReadOnlyList<Microsoft.AspNetCore.Http.Endpoint> Endpoints =>
        _app.Services.GetRequiredService<Microsoft.AspNetCore.Routing.EndpointDataSource>().Endpoints;
    public ITwins Twins => Services.GetRequiredService<ITwins>();

    /// <summary>What the app is made of, for what has no endpoint.</summary>
    public IServiceProvider Services => _app.Services;

    /// <summary>An organization of its own for each test; its default project has the same id.</summary>
    public Guid Organization { get; } = Guid.NewGuid();

    /// <summary>Where the requests seem to come from, as the host in front of the app tells.</summary>
    public string? Address { get; set; }

    /// <summary>What is sent as <c>X-Session-Token</c>; null to send none.</summary>
    public string? SessionToken { get; set; }

    /// <summary>Sent with every request from here on, unless null.</summary>
    public string? IdempotencyKey { get; set; }

    /// <summary>The key that <see cref="Send"/> uses: may do all in its organization.</summary>
    public string Secret { get; private set; } = "";

    public static Task<TestApi> InMemory(Uri? broker = null, string serverCaPem = "") =>
        Start(broker, Stores.InMemory, serverCaPem: serverCaPem);

    public static async Task<TestApi> InTables(Uri? broker = null)
    {
        var account = await Stores.NewAccount();
        return await Start(broker, time => Stores.InTables(account, time));
    }

    public static Task<TestApi> Over(Func<TimeProvider, Stores> storage, bool withKey) => Start(null, storage, withKey);

    private static async Task<TestApi> Start(
        Uri? broker, Func<TimeProvider, Stores> storage, bool withKey = true, string serverCaPem = "")
    {
        var time = new ShiftedTime();
        var stores = storage(time);
        var settings = new FunctionsSettings
        {
            Port = 0,
            Storage = StorageAccount.At("UseDevelopmentStorage=true"),
            BrokerUrl = broker ?? new Uri("http://127.0.0.1:1"),
            BrokerKey = "broker key",
            SealingKey = new byte[Sealer.KeyBytes],
            MqttEndpoint = "iot.example.com",
            RestEndpoint = "rest.example.com",
            SigfoxEndpoint = "sigfox.example.com",
            ServerCaPem = serverCaPem,
        };
        var app = FunctionsHost.Build(settings, services =>
        {
            services.AddMemoryStorage();
            services.AddSingleton<TimeProvider>(time);
            services.AddSingleton(stores.Registry);
            services.AddSingleton(stores.Keys);
            services.AddSingleton(stores.Changes);
            services.AddSingleton(stores.Twins);
            services.AddSingleton(stores.Metrics);
            services.AddSingleton(stores.Events);
            services.AddSingleton(stores.Creations);
        });
        await app.StartAsync();
        var api = new TestApi(app, time);
        api.Secret = withKey ? await api.NewKey(ApiRole.Administrator) : "";
        return api;
    }

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        await _app.DisposeAsync();
    }

    public async Task<string> NewKey(ApiRole role, Guid? project = null, Guid? organization = null)
    {
        var secret = Secrets.NewUuid();
        await Keys.Create(new ApiKey(
            Secrets.NewAccessKey(), Secrets.Hash(secret), organization ?? Organization, project, role, "test", DateTimeOffset.UtcNow));
        return secret;
    }

    public Task<ApiAnswer> Send(
        HttpMethod method, string path, string? body = null, string? secret = null, string? contentType = null) =>
        SendBytes(method, path, body is null ? null : Encoding.UTF8.GetBytes(body), secret, contentType);

    public async Task<ApiAnswer> SendBytes(
        HttpMethod method, string path, byte[]? body, string? secret = null, string? contentType = null)
    {
        Time.Shift += TimeSpan.FromMilliseconds(1);
        using var request = new HttpRequestMessage(method, path);
        if (Address is { } address)
        {
            request.Headers.Add("X-Forwarded-For", address);
        }
        if (IdempotencyKey is { } key)
        {
            request.Headers.Add("Idempotency-Key", key);
        }
        if (SessionToken is { } token)
        {
            request.Headers.TryAddWithoutValidation("X-Session-Token", token);
        }
        if (secret != "")
        {
            request.Headers.Add("X-Auth-Token", secret ?? Secret);
        }
        if (body is not null)
        {
            request.Content = new ByteArrayContent(body);
            if (contentType is not null)
            {
                request.Content.Headers.TryAddWithoutValidation("Content-Type", contentType);
            }
        }
        using var response = await _http.SendAsync(request);
        var headers = response.Headers.NonValidated.Concat(response.Content.Headers.NonValidated)
            .ToDictionary(header => header.Key, header => header.Value.ToString(), StringComparer.OrdinalIgnoreCase);
        return new ApiAnswer((int)response.StatusCode, headers, await response.Content.ReadAsStringAsync());
    }

    public Task<ApiAnswer> Get(string path, string? secret = null) => Send(HttpMethod.Get, path, null, secret);

    public Task<ApiAnswer> Post(string path, string body = "{}", string? secret = null) =>
        Send(HttpMethod.Post, path, body, secret, "application/json");

    public Task<ApiAnswer> Put(string path, string body, string? secret = null) =>
        Send(HttpMethod.Put, path, body, secret, "application/json");

    public Task<ApiAnswer> Patch(string path, string body, string? secret = null) =>
        Send(HttpMethod.Patch, path, body, secret, "application/json");

    public Task<ApiAnswer> Delete(string path, string? secret = null) => Send(HttpMethod.Delete, path, null, secret);

    /// <summary>A hub that has settled.</summary>
    public async Task<JsonNode> NewHub(string name = "hub", string plan = "plan_shared", Guid? project = null)
    {
        var hub = await Post("hubs", $$"""{"name":"{{name}}","project_id":"{{project ?? Organization}}","product_plan":"{{plan}}"}""");
        Settle();
        return hub.Ok;
    }

    public async Task<JsonNode> NewDevice(JsonNode hub, string name = "device", string more = "") =>
        (await Post("devices", $$"""{"name":"{{name}}","hub_id":"{{hub["id"]}}"{{more}}}""")).Ok["device"]!;

    /// <summary>Lets the time pass in which hubs stay enabling or disabling.</summary>
    public void Settle() => Time.Shift += TimeSpan.FromSeconds(1);

    /// <summary>The names of a JSON object's members, in alphabetical order.</summary>
    public static IEnumerable<string> Members(JsonNode json) => json.AsObject().Select(member => member.Key).Order(StringComparer.Ordinal);
}
