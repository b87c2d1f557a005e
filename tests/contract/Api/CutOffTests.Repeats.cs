using System.Text.Json.Nodes;
using IotHub.Contract.Storage;
using IotHub.Core.Security;
using IotHub.Harness;
using Xunit;

namespace IotHub.Contract.Api;

/// <content>Imports, and creates under an Idempotency-Key.</content>
public sealed partial class CutOffTests
{
    /// <summary>A hub, a device, a network or a route that is made under an Idempotency-Key: the repeat has the same key.</summary>
    [Theory]
    [InlineData("hubs")]
    [InlineData("devices")]
    [InlineData("networks")]
    [InlineData("routes")]
    public async Task Under_a_key_one_thing_is_made_whatever_was_cut_off(string kind)
    {
        var hub = await NewHub();
        var number = 0;
        await Cut(() =>
        {
            var key = $"{kind} {++number}";
            var body = kind switch
            {
                "hubs" => $$"""{"name":"keyed","project_id":"{{_sound.Organization}}","product_plan":"plan_dedicated"}""",
                "devices" => $$"""{"name":"keyed","hub_id":"{{hub}}"}""",
                _ => BodyOf(kind, hub),
            };
            _dying.IdempotencyKey = key;
            return Task.FromResult(new Call(HttpMethod.Post, kind, body)
            {
                Recovers = async _ =>
                {
                    _sound.IdempotencyKey = key;
                    var made = await _sound.Post(kind, body);
                    Assert.Equal(made.Ok.ToJsonString(), (await _sound.Post(kind, body)).Ok.ToJsonString());
                    _sound.IdempotencyKey = null;
                    _sound.Settle();
                    var member = kind is "devices" or "networks" ? made.Ok[kind.TrimEnd('s')]! : made.Ok;
                    var id = (string)member["id"]!;
                    var listed = (await _sound.Get(kind == "hubs" ? "hubs?name=keyed" : $"{kind}?hub_id={hub}")).Ok;
                    Assert.Equal((1, id), ((int)listed["total_count"]!, (string)listed[kind]![0]!["id"]!));
                    Assert.Equal(200, (await _sound.Get($"{kind}/{id}")).Status);
                    if (kind == "devices")
                    {
                        await AssertConsistent(hub);
                        Assert.Equal(
                            (string)made.Ok["certificate"]!["crt"]!, (string)(await _sound.Get($"devices/{id}/certificate")).Ok["certificate_pem"]!);
                    }
                    Assert.Equal(204, (await _sound.Delete($"{kind}/{id}")).Status);
                    await Timer();
                    Assert.DoesNotContain(await Rows(), row => row.Contains(id, StringComparison.Ordinal));
                },
            });
        });
    }

    /// <summary>Nobody comes back: the timer alone leaves nothing that nobody can see.</summary>
    [Theory]
    [InlineData("devices")]
    [InlineData("networks")]
    [InlineData("routes")]
    [InlineData("import")]
    public async Task What_is_never_repeated_is_there_whole_or_not_at_all(string kind)
    {
        var hub = await NewHub();
        var path = kind == "import" ? $"hubs/{hub}/import-devices" : kind;
        var body = kind switch
        {
            "import" => TwoBatches(),
            "devices" => $$"""{"name":"once","hub_id":"{{hub}}"}""",
            _ => BodyOf(kind, hub),
        };
        await Cut(() => Task.FromResult(new Call(HttpMethod.Post, path, body)
        {
            Recovers = async _ =>
            {
                await Timer();
                await AssertConsistent(hub);
                var what = kind == "import" ? "devices" : kind;
                var listed = (await _sound.Get($"{what}?hub_id={hub}&page_size=100")).Ok[what]!.AsArray();
                var pointers = (await Rows()).Where(row => row.StartsWith($"owners {what.TrimEnd('s')}:", StringComparison.Ordinal));
                Assert.Equal(
                    listed.Select(item => (string)item!["id"]!).Order(StringComparer.Ordinal),
                    pointers.Select(row => row.Split(':', ' ')[2]).Order(StringComparer.Ordinal));
                await Task.WhenAll(listed.Select(item => _sound.Registry.DeleteDevice(Guid.Parse((string)item!["id"]!))));
                foreach (var item in listed.Where(_ => what != "devices"))
                {
                    Assert.Equal(204, (await _sound.Delete($"{what}/{item!["id"]}")).Status);
                }
            },
        }));
    }

    [Fact]
    public async Task An_import_that_was_cut_off_is_finished_by_the_same_lines()
    {
        var hub = await NewHub();
        using var own = TestPki.Leaf("CN=imported", null);
        var (path, certificate) = ($"hubs/{hub}/import-devices", own.ExportCertificatePem());
        var body = TwoBatches(certificate);
        await Cut(() => Task.FromResult(new Call(HttpMethod.Post, path, body)
        {
            Recovers = async _ =>
            {
                await AssertConsistent(hub);
                // A certificate that nobody has is kept a minute for the one who may be about to take it.
                _sound.Time.Shift += TimeSpan.FromMinutes(2);
                var before = (await Listed("devices", hub)).Count;
                var report = (await _sound.Post(path, body)).Text.TrimEnd().Split('\n').Select(line => JsonNode.Parse(line)!).ToList();
                ApiConventions.AssertJson($$"""{"lines":5,"created":{{5 - before}},"refused":{{before}}}""", report[^1]);
                Assert.All(
                    report.SkipLast(1).Where(line => line["problem"] is not null),
                    line => Assert.Equal("already_exists", (string)line["problem"]!["type"]!));
                await AssertConsistent(hub);
                var listed = (await _sound.Get($"devices?hub_id={hub}&page_size=100")).Ok["devices"]!.AsArray();
                Assert.Equal(5, listed.Select(device => (string)device!["name"]!).Distinct().Count());
                Assert.Equal(5, listed.Count);
                var holder = await _sound.Registry.FindDeviceByCertificate(Certificates.Fingerprint(certificate));
                Assert.Equal("d4", holder?.Name);
                await Timer();
                Assert.Equal(5, (await Rows()).Count(row => row.StartsWith("owners device:", StringComparison.Ordinal)));
                await Task.WhenAll(listed.Select(device => _sound.Registry.DeleteDevice(Guid.Parse((string)device!["id"]!))));
            },
        }));
    }

    [Fact]
    public async Task An_import_that_storage_fails_tells_so_in_its_last_line()
    {
        var hub = await NewHub();
        // Behind the first batch: a change, three pointers, the devices.
        _faults.FailRequest(7, Loss.Request);
        _dying.Time.Shift = _sound.Time.Shift;
        var answer = await _dying.Send(HttpMethod.Post, $"hubs/{hub}/import-devices", TwoBatches(), _sound.Secret);
        _faults.Heal();
        Assert.Equal(200, answer.Status);
        var report = answer.Text.TrimEnd().Split('\n').Select(line => JsonNode.Parse(line)!).ToList();
        Assert.Equal(
            ["1 created", "2 created", "3 created", "4 refused", "5 refused"],
            report.SkipLast(1).Select(line => $"{line["line"]} {line["status"]}"));
        Assert.Equal("unavailable", (string)report[3]["problem"]!["type"]!);
        Assert.Equal(("unavailable", 5, 3), ((string)report[^1]["problem"]!["type"]!, (int)report[^1]["lines"]!, (int)report[^1]["created"]!));
        Assert.Equal(3, (await Listed("devices", hub)).Count);
    }

    /// <summary>Five lines, of which three are as much as is stored at once; the last one may have a certificate.</summary>
    private static string TwoBatches(string? certificate = null) => string.Concat(Enumerable.Range(0, 5).Select(i => new JsonObject
    {
        ["name"] = $"d{i}",
        ["certificate"] = i == 4 ? certificate : null,
        ["message_filters"] = i < 4 ? Filters() : null,
    }.ToJsonString() + "\n"));

    private static JsonObject Filters() => new()
    {
        ["publish"] = new JsonObject
        {
            ["policy"] = "accept",
            ["topics"] = new JsonArray([.. Enumerable.Range(0, 4).Select(_ => JsonValue.Create(new string('t', 49_500)))]),
        },
    };
}
