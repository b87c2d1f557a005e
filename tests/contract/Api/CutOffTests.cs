using System.Text.Json.Nodes;
using Azure.Core;
using Azure.Data.Tables;
using IotHub.Contract.Storage;
using IotHub.Core.Domain;
using IotHub.Core.Security;
using IotHub.Core.Storage;
using IotHub.Core.Storage.Tables;
using IotHub.Harness;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace IotHub.Contract.Api;

/// <summary>
/// A process dies right after its first, second, third ... write to storage, in the middle of a call of the management API. Another process on
/// the same storage then shows a registry that is right, and a repeat of the call (or, for what is left of things that are gone, the timer)
/// finishes the work.
/// </summary>
public sealed partial class CutOffTests : IAsyncLifetime
{
    private readonly FaultyPipeline _faults = new() { CountsOnlyWrites = true };
    private readonly IssuedCertificate _ca = new CertificateAuthority(TimeProvider.System).NewHubCa();
    private DateTimeOffset _since;
    private TableServiceClient _tables = null!;
    private TestApi _sound = null!;
    private TestApi _dying = null!;

    public async Task InitializeAsync()
    {
        var account = (await AzuriteServer.Shared()).NewAccount();
        await StorageAccount.At(account).EnsureCreated();
        _tables = StorageAccount.At(account).Tables();
        _sound = await TestApi.Over(time => Over(_tables, time), withKey: true);
        var options = new TableClientOptions();
        options.Retry.MaxRetries = 0;
        options.AddPolicy(_faults, HttpPipelinePosition.PerRetry);
        _dying = await TestApi.Over(time => Over(new TableServiceClient(account, options), time), withKey: false);
    }

    public async Task DisposeAsync()
    {
        await _dying.DisposeAsync();
        await _sound.DisposeAsync();
    }

    [Fact]
    public Task A_hub_is_made_whole_or_not_at_all()
    {
        var body = $$"""{"name":"made","project_id":"{{_sound.Organization}}","product_plan":"plan_dedicated"}""";
        return Cut(() => Task.FromResult(new Call(HttpMethod.Post, "hubs", body)
        {
            Recovers = async _ =>
            {
                var repeated = (await _sound.Post("hubs", body)).Ok;
                _sound.Settle();
                var listed = (await _sound.Get("hubs?name=made")).Ok;
                Assert.Equal(listed["hubs"]!.AsArray().Count, (int)listed["total_count"]!);
                Assert.Contains((string)repeated["id"]!, listed["hubs"]!.AsArray().Select(hub => (string)hub!["id"]!));
                foreach (var hub in listed["hubs"]!.AsArray())
                {
                    Assert.Equal("made", (string)(await _sound.Get($"hubs/{hub!["id"]}")).Ok["name"]!);
                    Assert.Equal(204, (await _sound.Delete($"hubs/{hub["id"]}")).Status);
                }
                Assert.Equal(0, (int)(await _sound.Get("hubs?name=made")).Ok["total_count"]!);
            },
        }));
    }

    [Fact]
    public Task A_deletion_of_a_hub_goes_on_where_it_stopped() => Cut(async () =>
    {
        var hub = await FullHub();
        return new Call(HttpMethod.Delete, $"hubs/{hub}?delete_devices=true")
        {
            Recovers = async status =>
            {
                if (status != 204 && (await _sound.Get($"hubs/{hub}")).Status == 200)
                {
                    Assert.Equal(204, (await _sound.Delete($"hubs/{hub}?delete_devices=true")).Status);
                }
                await Timer();
                await AssertNothingLeft(hub);
            },
        };
    });

    [Fact]
    public async Task A_device_joins_with_its_name_its_certificate_and_the_count_or_not_at_all()
    {
        var hub = await NewHub();
        var body = $$"""{"name":"joins","hub_id":"{{hub}}"}""";
        await Cut(() => Task.FromResult(new Call(HttpMethod.Post, "devices", body)
        {
            Recovers = async _ =>
            {
                await AssertConsistent(hub);
                var repeated = await _sound.Post("devices", body);
                var id = repeated.Status == 200
                    ? (string)repeated.Json["device"]!["id"]!
                    : (string)repeated.Problem(409, "already_exists")["resource_id"]!;
                await AssertConsistent(hub);
                Assert.Equal(204, (await _sound.Delete($"devices/{id}")).Status);
                Assert.Equal(0, (int)(await _sound.Get($"hubs/{hub}")).Ok["device_count"]!);
                await Timer();
                Assert.DoesNotContain(await Rows(), row => row.StartsWith("owners device:", StringComparison.Ordinal));
            },
        }));
    }

    [Fact]
    public async Task A_deletion_of_a_device_goes_on_where_it_stopped()
    {
        var hub = await NewHub();
        await Cut(async () =>
        {
            var device = await NewDevice(hub, "leaves");
            Assert.Equal(200, (await _sound.Put($"twins/{device}/documents/d", """{"data":{"a":1}}""")).Status);
            await _sound.Registry.RecordActivity([DeviceActivity.Never(Guid.Parse(hub), Guid.Parse(device)) with { IsConnected = true }]);
            return new Call(HttpMethod.Delete, $"devices/{device}")
            {
                Recovers = async status =>
                {
                    // It is there with all it has, its certificate too, or it is gone; and the timer needs no repeat to clear up.
                    await AssertConsistent(hub);
                    var isThere = (await Listed("devices", hub)).Count > 0;
                    Assert.False(isThere && status == 204);
                    Assert.Equal(isThere ? 200 : 404, (await _sound.Get($"devices/{device}")).Status);
                    await Timer();
                    Assert.Equal(isThere, (await Rows()).Any(row => row.Contains(device, StringComparison.Ordinal)));
                    Assert.Equal(isThere ? 200 : 404, (await _sound.Get($"twins/{device}/documents/d")).Status);
                    Assert.Equal(isThere ? 204 : 404, (await _sound.Delete($"devices/{device}")).Status);
                    Assert.DoesNotContain(await Rows(), row => row.Contains(device, StringComparison.Ordinal));
                    // The name is free again.
                    Assert.Equal(204, (await _sound.Delete($"devices/{await NewDevice(hub, "leaves")}")).Status);
                },
            };
        });
    }

    [Fact]
    public async Task A_device_that_moves_is_always_on_one_hub()
    {
        var (from, to) = (await NewHub(), await NewHub());
        await Cut(async () =>
        {
            var device = await NewDevice(from, "moves");
            var body = $$"""{"hub_id":"{{to}}"}""";
            return new Call(HttpMethod.Patch, $"devices/{device}", body)
            {
                Recovers = async _ =>
                {
                    Assert.Contains((string)(await _sound.Get($"devices/{device}")).Ok["hub_id"]!, new[] { from, to });
                    await Timer();
                    await AssertConsistent(from);
                    await AssertConsistent(to);
                    Assert.Equal(to, (string)(await _sound.Patch($"devices/{device}", body)).Ok["hub_id"]!);
                    await AssertConsistent(from);
                    await AssertConsistent(to);
                    Assert.Equal(0, (int)(await _sound.Get($"hubs/{from}")).Ok["device_count"]!);
                    Assert.Equal(204, (await _sound.Delete($"devices/{device}")).Status);
                },
            };
        });
    }

    [Fact]
    public async Task A_certificate_is_renewed_or_still_the_one_before()
    {
        var hub = await NewHub();
        var device = await NewDevice(hub, "renewed");
        await Cut(() => Task.FromResult(new Call(HttpMethod.Post, $"devices/{device}/renew-certificate", "{}")
        {
            Recovers = async _ =>
            {
                await AssertConsistent(hub);
                var renewed = (string)(await _sound.Post($"devices/{device}/renew-certificate")).Ok["certificate"]!["crt"]!;
                Assert.Equal(renewed, (string)(await _sound.Get($"devices/{device}/certificate")).Ok["certificate_pem"]!);
                await AssertConsistent(hub);
            },
        }));
    }

    [Fact]
    public async Task An_own_certificate_is_set_by_a_repeat()
    {
        var hub = await NewHub();
        await Cut(async () =>
        {
            var device = await NewDevice(hub, "own");
            using var own = TestPki.Leaf("CN=own", null);
            var body = new JsonObject { ["certificate_pem"] = own.ExportCertificatePem() }.ToJsonString();
            return new Call(HttpMethod.Put, $"devices/{device}/certificate", body)
            {
                Recovers = async _ =>
                {
                    await AssertConsistent(hub);
                    Assert.True((bool)(await _sound.Put($"devices/{device}/certificate", body)).Ok["device"]!["has_custom_certificate"]!);
                    await AssertConsistent(hub);
                    Assert.Equal(204, (await _sound.Delete($"devices/{device}")).Status);
                    // Free for another device.
                    var other = await NewDevice(hub, "other");
                    Assert.Equal(200, (await _sound.Put($"devices/{other}/certificate", body)).Status);
                    Assert.Equal(204, (await _sound.Delete($"devices/{other}")).Status);
                },
            };
        });
    }

    [Fact]
    public Task An_own_authority_takes_all_generated_certificates_away() => Cut(async () =>
    {
        var hub = await NewHub();
        var device = await NewDevice(hub, "one");
        using var authority = TestPki.Authority($"CN=of {hub}");
        using var challenge = TestPki.Leaf($"CN={hub}", authority);
        var body = new JsonObject
        {
            ["ca_cert_pem"] = authority.ExportCertificatePem(),
            ["challenge_cert_pem"] = challenge.ExportCertificatePem(),
        }.ToJsonString();
        return new Call(HttpMethod.Post, $"hubs/{hub}/ca", body)
        {
            Recovers = async _ =>
            {
                await AssertConsistent(hub);
                Assert.True((bool)(await _sound.Post($"hubs/{hub}/ca", body)).Ok["has_custom_ca"]!);
                Assert.Equal("", (string)(await _sound.Get($"devices/{device}/certificate")).Ok["certificate_pem"]!);
                await AssertConsistent(hub);
                Assert.Equal(204, (await _sound.Delete($"hubs/{hub}?delete_devices=true")).Status);
                await AssertNothingLeft(hub);
            },
        };
    });

    [Theory]
    [InlineData("networks")]
    [InlineData("routes")]
    public async Task Networks_and_routes_come_whole_and_go_whole(string kind)
    {
        var hub = await NewHub();
        await Cut(() => Task.FromResult(new Call(HttpMethod.Post, kind, BodyOf(kind, hub))
        {
            Recovers = async _ =>
            {
                foreach (var id in await Listed(kind, hub))
                {
                    Assert.Equal(200, (await _sound.Get($"{kind}/{id}")).Status);
                    Assert.Equal(204, (await _sound.Delete($"{kind}/{id}")).Status);
                }
                Assert.Equal(200, (await _sound.Post(kind, BodyOf(kind, hub))).Status);
                Assert.Equal(204, (await _sound.Delete($"{kind}/{Assert.Single(await Listed(kind, hub))}")).Status);
                await Timer();
                var pointer = $"owners {kind.TrimEnd('s')}:";
                Assert.DoesNotContain(await Rows(), row => row.StartsWith(pointer, StringComparison.Ordinal));
            },
        }));
        await Cut(async () =>
        {
            Assert.Equal(200, (await _sound.Post(kind, BodyOf(kind, hub))).Status);
            var id = Assert.Single(await Listed(kind, hub));
            return new Call(HttpMethod.Delete, $"{kind}/{id}")
            {
                Recovers = async _ =>
                {
                    // Listed is there and there is listed, however far it came.
                    Assert.Equal((await Listed(kind, hub)).Count > 0 ? 200 : 404, (await _sound.Get($"{kind}/{id}")).Status);
                    await _sound.Delete($"{kind}/{id}");
                    Assert.Empty(await Listed(kind, hub));
                    await Timer();
                    Assert.DoesNotContain(await Rows(), row => row.Contains(id, StringComparison.Ordinal));
                },
            };
        });
    }

    [Fact]
    public async Task An_api_key_opens_and_is_listed_or_neither()
    {
        await Cut(() => Task.FromResult(new Call(HttpMethod.Post, "api-keys", """{"role":"reader","description":"cut"}""")
        {
            Recovers = async _ =>
            {
                // Its secret was never told, so what is there of it can only be revoked.
                foreach (var accessKey in await Keys())
                {
                    Assert.Equal(204, (await _sound.Delete($"api-keys/{accessKey}")).Status);
                }
                Assert.Empty(await Keys());
                Assert.Equal(200, (await _sound.Post("api-keys", """{"role":"reader","description":"cut"}""")).Status);
                Assert.Equal(204, (await _sound.Delete($"api-keys/{Assert.Single(await Keys())}")).Status);
            },
        }));
        await Cut(async () =>
        {
            var made = (await _sound.Post("api-keys", """{"role":"reader","description":"cut"}""")).Ok;
            var (accessKey, secret) = ((string)made["api_key"]!["access_key"]!, (string)made["secret_key"]!);
            return new Call(HttpMethod.Delete, $"api-keys/{accessKey}")
            {
                Recovers = async status =>
                {
                    var stillOpens = (await _sound.Get("hubs", secret)).Status == 200;
                    Assert.False(status == 204 && stillOpens);
                    if (stillOpens)
                    {
                        Assert.Equal(204, (await _sound.Delete($"api-keys/{accessKey}")).Status);
                    }
                    (await _sound.Get("hubs", secret)).Problem(401, "denied_authentication");
                    Assert.Empty(await Keys());
                },
            };
        });

        async Task<List<string>> Keys() => [.. (await _sound.Get("api-keys")).Ok["api_keys"]!.AsArray()
            .Where(key => (string)key!["description"]! == "cut").Select(key => (string)key!["access_key"]!)];
    }

    private static Stores Over(TableServiceClient tables, TimeProvider time)
    {
        var changes = new TableChangeFeed(tables, time);
        return new Stores(new TableRegistry(tables, changes, time), new TableApiKeys(tables), changes)
        {
            Twins = new TableTwins(tables),
            Metrics = new TableMetrics(tables),
            Events = new TableEventLog(tables),
            Creations = new TableCreations(tables),
        };
    }

    private static string BodyOf(string kind, string hub) => kind == "networks"
        ? $$"""{"name":"n","type":"rest","hub_id":"{{hub}}"}"""
        : $$$"""{"name":"r","topic":"#","hub_id":"{{{hub}}}","rest_config":{"verb":"get","uri":"http://a"}}""";

    private sealed record Call(HttpMethod Method, string Path, string? Body = null)
    {
        /// <summary>Given the status that the dying process answered: brings all in order, and asserts that it is.</summary>
        public required Func<int, Task> Recovers { get; init; }
    }

    private Task Cut(Func<Task<Call>> prepare) => _faults.AtEveryRequest(Loss.Answer, async () =>
    {
        _since = _sound.Time.GetUtcNow();
        var (call, status) = (await prepare(), 0);
        _dying.Time.Shift = _sound.Time.Shift;
        return new Attempt(
            async () =>
            {
                var answer = await _dying.Send(call.Method, call.Path, call.Body, _sound.Secret);
                status = answer.Status;
                Assert.True(status is 200 or 204 || (status == 503 && _faults.HasFailed), $"{status}: {answer.Text}");
            },
            () => call.Recovers(status));
    }, Assert.Null);

    private async Task<string> NewHub()
    {
        var hub = Samples.Hub(_sound.Organization, _sound.Organization) with { SealedTwinsGraphitePushUri = null };
        await _sound.Registry.CreateHub(hub with
        {
            CaCertificatePem = _ca.CertificatePem,
            SealedCaKey = new Sealer(new byte[Sealer.KeyBytes]).Seal(_ca.KeyPem, SealPurposes.HubCa(hub.Id)),
        });
        return $"{hub.Id}";
    }

    private async Task<string> NewDevice(string hub, string name) =>
        (string)(await _sound.Post("devices", $$"""{"name":"{{name}}","hub_id":"{{hub}}"}""")).Ok["device"]!["id"]!;

    private async Task<string> FullHub()
    {
        var hub = await NewHub();
        var device = await NewDevice(hub, "of a full hub");
        Assert.Equal(200, (await _sound.Put($"twins/{device}/documents/d", """{"data":{"a":1}}""")).Status);
        Assert.Equal(200, (await _sound.Post("networks", BodyOf("networks", hub))).Status);
        Assert.Equal(200, (await _sound.Post("routes", BodyOf("routes", hub))).Status);
        return hub;
    }

    private async Task<List<string>> Listed(string kind, string hub) =>
        [.. (await _sound.Get($"{kind}?hub_id={hub}&page_size=100")).Ok[kind]!.AsArray().Select(item => (string)item!["id"]!)];

    /// <summary>What is listed is what is counted, can be read by its id, and has the certificate it is known by.</summary>
    private async Task AssertConsistent(string hub)
    {
        var listed = await Listed("devices", hub);
        Assert.Equal(listed.Count, (int)(await _sound.Get($"hubs/{hub}")).Ok["device_count"]!);
        foreach (var id in listed)
        {
            var device = (await _sound.Get($"devices/{id}")).Ok;
            Assert.Equal(hub, (string)device["hub_id"]!);
            var stored = (await _sound.Registry.GetDevice(Guid.Parse(id)))!.Value;
            if (stored.CertificateFingerprint.Length > 0)
            {
                Assert.Equal(stored.Id, (await _sound.Registry.FindDeviceByCertificate(stored.CertificateFingerprint))?.Id);
            }
            Assert.Equal(stored.Id, (await _sound.Registry.FindDeviceByName(Guid.Parse(hub), stored.Name))?.Id);
        }
    }

    /// <summary>As the timer function does it an hour later.</summary>
    private async Task Timer() => await _sound.Services.GetRequiredService<Belongings>()
        .Sweep(await _sound.Services.GetRequiredService<IChangeFeed>().ReadSince(_since));

    private async Task AssertNothingLeft(string hub)
    {
        (await _sound.Get($"hubs/{hub}")).Problem(404, "not_found");
        Assert.DoesNotContain(await Rows(), row => row.Contains(hub, StringComparison.Ordinal));
    }

    /// <summary>
    /// All rows with their columns, but for the change feed, and for pointers from certificates that nobody has any more: whoever wants such a
    /// certificate takes the pointer over.
    /// </summary>
    private async Task<List<string>> Rows()
    {
        var rows = new List<string>();
        foreach (var table in new[] { "registry", "owners", "projects", "organizations", "activity", "twins" })
        {
            await foreach (var row in _tables.GetTableClient(table).QueryAsync<TableEntity>())
            {
                if (!row.PartitionKey.StartsWith("cert:", StringComparison.Ordinal)
                    || await _sound.Registry.FindDeviceByCertificate(row.PartitionKey["cert:".Length..]) is not null)
                {
                    rows.Add($"{table} {row.PartitionKey} {row.RowKey} {string.Join(' ', row.Keys.Select(column => row[column]))}");
                }
            }
        }
        return rows;
    }
}
