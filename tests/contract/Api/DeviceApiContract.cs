using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json.Nodes;
using IotHub.Core.Domain;
using Xunit;
using static IotHub.Contract.Api.ApiConventions;

namespace IotHub.Contract.Api;

/// <summary>Devices over the API, on every driver of the registry.</summary>
public abstract class DeviceApiContract : IAsyncLifetime
{
    private TestApi _api = null!;

    protected abstract Task<TestApi> NewApi();

    public async Task InitializeAsync() => _api = await NewApi();

    public async Task DisposeAsync() => await _api.DisposeAsync();

    [Fact]
    public async Task A_created_device_has_the_recorded_shape_and_its_key_is_given_once()
    {
        var hub = await _api.NewHub();
        var answer = (await _api.Post("devices", $$"""
            {"name":"default-1","hub_id":"{{hub["id"]}}","allow_insecure":false,"allow_multiple_connections":false}
            """)).Ok;
        Assert.Equal(["certificate", "device"], TestApi.Members(answer));
        var device = answer["device"]!;
        AssertJson(
            $$"""
            {"allow_insecure":false,"allow_multiple_connections":false,"created_at":"{{device["created_at"]}}","description":"",
             "has_custom_certificate":false,"hub_id":"{{hub["id"]}}","id":"{{device["id"]}}","is_connected":false,
             "last_activity_at":"1970-01-01T00:00:00Z",
             "message_filters":{"publish":{"policy":"reject","topics":[]},"subscribe":{"policy":"reject","topics":[]} },
             "name":"default-1","region":"fr-par","status":"enabled","updated_at":"{{device["created_at"]}}"}
            """,
            device);
        Assert.Equal(["crt", "key"], TestApi.Members(answer["certificate"]!));
        var (crt, key) = ((string)answer["certificate"]!["crt"]!, (string)answer["certificate"]!["key"]!);
        Assert.StartsWith("-----BEGIN RSA PRIVATE KEY-----\n", key, StringComparison.Ordinal);
        using var certificate = X509Certificate2.CreateFromPem(crt, key);
        Assert.Equal("default-1", certificate.GetNameInfo(X509NameType.SimpleName, false));

        AssertJson(device.ToJsonString(), (await _api.Get($"devices/{device["id"]}")).Ok);
        var read = (await _api.Get($"devices/{device["id"]}/certificate")).Ok;
        Assert.Equal(["certificate_pem", "device"], TestApi.Members(read));
        Assert.Equal(crt, (string)read["certificate_pem"]!);
        Assert.DoesNotContain("PRIVATE", (await _api.Registry.GetDevice(Id(device)))!.Value.ToString(), StringComparison.Ordinal);
        var stored = (await _api.Get($"hubs/{hub["id"]}")).Ok;
        Assert.Equal((1, (string)hub["updated_at"]!), ((int)stored["device_count"]!, (string)stored["updated_at"]!));
    }

    [Fact]
    public async Task Null_topics_become_an_empty_list()
    {
        var hub = await _api.NewHub();
        var device = await _api.NewDevice(hub, "empty", """
            ,"message_filters":{"publish":{"policy":"reject","topics":null},"subscribe":{"policy":"unknown","topics":null}},
             "description":null
            """);
        AssertJson(
            """{"publish":{"policy":"reject","topics":[]},"subscribe":{"policy":"reject","topics":[]} }""", device["message_filters"]!);
    }

    [Fact]
    public async Task An_update_changes_what_it_names_and_no_more()
    {
        var hub = await _api.NewHub();
        var device = await _api.NewDevice(hub);
        var path = $"devices/{device["id"]}";
        var insecure = (await _api.Patch(path, """
            {"description":null,"allow_insecure":true,"allow_multiple_connections":null,"message_filters":null,"hub_id":null}
            """)).Ok;
        Assert.True((bool)insecure["allow_insecure"]!);
        Assert.NotEqual((string)device["updated_at"]!, (string)insecure["updated_at"]!);
        var filtered = (await _api.Patch(path, """
            {"message_filters":{"publish":{"policy":"reject","topics":["1","2","3"]},
                                "subscribe":{"policy":"accept","topics":["4","5","6"]}}}
            """)).Ok;
        AssertJson(
            """{"publish":{"policy":"reject","topics":["1","2","3"]},"subscribe":{"policy":"accept","topics":["4","5","6"]} }""",
            filtered["message_filters"]!);
        var one = (await _api.Patch(path, """{"message_filters":{"subscribe":{"policy":"reject","topics":[]}},"description":"text"}""")).Ok;
        AssertJson(
            """{"publish":{"policy":"reject","topics":["1","2","3"]},"subscribe":{"policy":"reject","topics":[]} }""",
            one["message_filters"]!);
        AssertJson(one.ToJsonString(), (await _api.Get(path)).Ok);
        Assert.Equal(("text", true), ((string)one["description"]!, (bool)one["allow_insecure"]!));
        Assert.Equal("device", (string)(await _api.Patch(path, """{"name":"other"}""")).Ok["name"]!);
    }

    [Theory]
    [InlineData(""","message_filters":{"publish":{"policy":"accept","topics":["a/#/b"]}}""", "message_filters.publish.topics")]
    [InlineData(""","message_filters":{"subscribe":{"topics":[null]}}""", "message_filters.subscribe.topics")]
    [InlineData(""","allow_multiple_connections":true""", "allow_multiple_connections")]
    public async Task A_wrong_argument_is_named(string more, string argument)
    {
        var hub = await _api.NewHub();
        var answer = await _api.Post("devices", $$"""{"name":"d","hub_id":"{{hub["id"]}}"{{more}} }""");
        Assert.Equal(argument, Assert.Single(answer.WrongArguments()).Argument);
        Assert.Equal(0, (int)(await _api.Get("devices")).Ok["total_count"]!);
    }

    [Fact]
    public async Task Several_connections_are_a_matter_of_the_plan()
    {
        var device = await _api.NewDevice(await _api.NewHub("hub", "plan_dedicated"), "d", ""","allow_multiple_connections":"true" """);
        Assert.True((bool)device["allow_multiple_connections"]!);
    }

    [Fact]
    public async Task A_name_is_taken_once_in_a_hub()
    {
        var hub = await _api.NewHub();
        var device = await _api.NewDevice(hub, "name");
        var refusal = (await _api.Post("devices", $$"""{"name":"name","hub_id":"{{hub["id"]}}"}""")).Problem(409, "already_exists");
        Assert.Equal(["help_message", "message", "resource", "resource_id", "type"], TestApi.Members(refusal));
        Assert.Equal(("device", (string)device["id"]!), ((string)refusal["resource"]!, (string)refusal["resource_id"]!));
    }

    [Fact]
    public async Task Enable_and_disable_set_the_status()
    {
        var device = await _api.NewDevice(await _api.NewHub());
        var disabled = (await _api.Post($"devices/{device["id"]}/disable")).Ok;
        Assert.Equal("disabled", (string)disabled["status"]!);
        AssertJson(disabled.ToJsonString(), (await _api.Post($"devices/{device["id"]}/disable")).Ok);
        Assert.Equal("enabled", (string)(await _api.Post($"devices/{device["id"]}/enable")).Ok["status"]!);
    }

    [Fact]
    public async Task A_renewed_certificate_takes_the_place_of_the_old_one()
    {
        var hub = await _api.NewHub();
        var created = (await _api.Post("devices", $$"""{"name":"d","hub_id":"{{hub["id"]}}"}""")).Ok;
        var path = $"devices/{created["device"]!["id"]}";
        var renewed = (await _api.Post($"{path}/renew-certificate")).Ok;
        Assert.Equal(["certificate", "device"], TestApi.Members(renewed));
        Assert.NotEqual((string)created["certificate"]!["crt"]!, (string)renewed["certificate"]!["crt"]!);
        var (crt, key) = ((string)renewed["certificate"]!["crt"]!, (string)renewed["certificate"]!["key"]!);
        using var certificate = X509Certificate2.CreateFromPem(crt, key);
        Assert.Equal(crt, (string)(await _api.Get($"{path}/certificate")).Ok["certificate_pem"]!);
        using var old = X509Certificate2.CreateFromPem((string)created["certificate"]!["crt"]!);
        Assert.Null(await _api.Registry.FindDeviceByCertificate(Core.Security.Certificates.Fingerprint(old)));
        Assert.NotNull(await _api.Registry.FindDeviceByCertificate(Core.Security.Certificates.Fingerprint(certificate)));
    }

    [Fact]
    public async Task Any_certificate_can_be_set_and_is_echoed_byte_for_byte()
    {
        var device = await _api.NewDevice(await _api.NewHub());
        var pem = NewCertificate("").ReplaceLineEndings("\r\n");
        var answer = (await SetCertificate(device, pem)).Ok;
        Assert.Equal(["certificate_pem", "device"], TestApi.Members(answer));
        Assert.Equal(pem, (string)answer["certificate_pem"]!);
        Assert.True((bool)answer["device"]!["has_custom_certificate"]!);
        Assert.NotEqual((string)device["updated_at"]!, (string)answer["device"]!["updated_at"]!);
        Assert.Equal(pem, (string)(await _api.Get($"devices/{device["id"]}/certificate")).Ok["certificate_pem"]!);
        (await _api.Post($"devices/{device["id"]}/renew-certificate")).Problem(412, "precondition_failed");
        Assert.Equal(200, (await SetCertificate(device, pem)).Status);
    }

    [Fact]
    public async Task A_certificate_of_another_device_is_refused_without_telling_strangers_whose_it_is()
    {
        var hub = await _api.NewHub();
        var (one, two) = (await _api.NewDevice(hub, "one"), await _api.NewDevice(hub, "two"));
        var pem = NewCertificate("CN=x");
        await SetCertificate(one, pem);
        var refusal = (await SetCertificate(two, pem)).Problem(409, "already_exists");
        Assert.Equal((string)one["id"]!, (string)refusal["resource_id"]!);

        var stranger = await _api.NewKey(ApiRole.Administrator, organization: Guid.NewGuid());
        var foreignHub = (await _api.Post("hubs", $$"""{"name":"h","project_id":"{{Guid.NewGuid()}}"}""", stranger)).Ok;
        var foreign = (await _api.Post("devices", $$"""{"name":"d","hub_id":"{{foreignHub["id"]}}"}""", stranger)).Ok["device"]!;
        var blind = (await SetCertificate(foreign, pem, stranger)).Problem(409, "already_exists");
        Assert.Equal("", (string)blind["resource_id"]!);
        Assert.DoesNotContain((string)one["id"]!, blind.ToJsonString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "required")]
    [InlineData("no certificate", "format")]
    [InlineData("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", "constraint")]
    public async Task What_is_no_certificate_is_refused(string pem, string reason)
    {
        var device = await _api.NewDevice(await _api.NewHub());
        Assert.Equal(("certificate_pem", reason), Assert.Single((await SetCertificate(device, pem)).WrongArguments()));
    }

    [Fact]
    public async Task A_device_moves_to_another_hub_also_by_its_regional_id()
    {
        var (from, to) = (await _api.NewHub("from"), await _api.NewHub("to"));
        var device = await _api.NewDevice(from);
        var moved = (await _api.Patch($"devices/{device["id"]}", $$"""{"hub_id":"fr-par/{{to["id"]}}"}""")).Ok;
        Assert.Equal((string)to["id"]!, (string)moved["hub_id"]!);
        Assert.Equal(0, (int)(await _api.Get($"hubs/{from["id"]}")).Ok["device_count"]!);
        Assert.Equal(1, (int)(await _api.Get($"devices?hub_id={to["id"]}")).Ok["total_count"]!);
        (await _api.Patch($"devices/{device["id"]}", $$"""{"hub_id":"{{Guid.NewGuid()}}"}""")).Problem(404, "not_found");
        Assert.Equal([("hub_id", "format")], (await _api.Patch($"devices/{device["id"]}", """{"hub_id":"x"}""")).WrongArguments());
    }

    [Fact]
    public async Task A_deleted_device_is_gone()
    {
        var hub = await _api.NewHub();
        var device = await _api.NewDevice(hub);
        Assert.Equal(204, (await _api.Delete($"devices/{device["id"]}")).Status);
        (await _api.Get($"devices/{device["id"]}")).Problem(404, "not_found");
        (await _api.Delete($"devices/{device["id"]}")).Problem(404, "not_found");
        Assert.Equal(0, (int)(await _api.Get($"hubs/{hub["id"]}")).Ok["device_count"]!);
        await _api.NewDevice(hub);
    }

    [Fact]
    public async Task What_the_broker_reports_is_shown()
    {
        var hub = await _api.NewHub();
        var device = await _api.NewDevice(hub);
        var at = new DateTimeOffset(2026, 1, 2, 3, 4, 5, 678, TimeSpan.Zero);
        await _api.Registry.RecordActivity([new DeviceActivity(Id(hub), Id(device), true, at)]);
        var shown = (await _api.Get($"devices/{device["id"]}")).Ok;
        Assert.Equal((true, "2026-01-02T03:04:05.678Z"), ((bool)shown["is_connected"]!, (string)shown["last_activity_at"]!));
        Assert.Equal(1, (int)(await _api.Get($"hubs/{hub["id"]}")).Ok["connected_device_count"]!);
    }

    [Fact]
    public async Task Lists_filter_and_sort()
    {
        var (first, second) = (await _api.NewHub("first"), await _api.NewHub("second"));
        await _api.NewDevice(first, "b", ""","allow_insecure":true""");
        var c = await _api.NewDevice(second, "c");
        await _api.NewDevice(first, "a");
        await _api.Post($"devices/{c["id"]}/disable");
        async Task<string> Names(string query) => string.Join(
            ' ', (await _api.Get("devices?" + query)).Ok["devices"]!.AsArray().Select(device => (string)device!["name"]!));
        Assert.Equal("a b c", await Names("order_by=name_asc&status=unknown"));
        Assert.Equal("c b a", await Names("order_by=name_desc"));
        Assert.Equal("a b", await Names($"hub_id={first["id"]}"));
        Assert.Equal("b", await Names("allow_insecure=True"));
        Assert.Equal("a c", await Names("allow_insecure=false"));
        Assert.Equal("c", await Names("status=disabled"));
        Assert.Equal("a", await Names($"name=a&hub_id={first["id"]}&order_by=name_asc&status=unknown"));
        Assert.Equal("", await Names($"hub_id={Guid.NewGuid()}"));
        Assert.Equal("b c a", await Names("order_by=created_at_asc"));
        Assert.Equal("c a b", await Names("order_by=updated_at_desc"));
        Assert.Equal("c", (await Names("order_by=status_asc"))[..1]);
        Assert.Equal("b", (await Names("order_by=allow_insecure_desc"))[..1]);
        Assert.Equal("c", string.CompareOrdinal($"{first["id"]}", $"{second["id"]}") > 0
            ? (await Names("order_by=hub_id_asc"))[..1]
            : (await Names("order_by=hub_id_desc"))[..1]);
        Assert.Equal([("status", "constraint")], (await _api.Get("devices?status=asleep")).WrongArguments());
        Assert.Equal([("allow_insecure", "format")], (await _api.Get("devices?allow_insecure=maybe")).WrongArguments());
    }

    private static Guid Id(JsonNode json) => Guid.Parse((string)json["id"]!);

    private Task<ApiAnswer> SetCertificate(JsonNode device, string pem, string? secret = null) => _api.Send(
        HttpMethod.Put, $"devices/{device["id"]}/certificate", new JsonObject { ["certificate_pem"] = pem }.ToJsonString(), secret);

    private static string NewCertificate(string subject)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(subject, key, HashAlgorithmName.SHA256);
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddYears(1));
        return certificate.ExportCertificatePem() + "\n";
    }
}
