using Azure.Data.Tables;
using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Core.Storage;
using Xunit;

namespace IotHub.Contract.Storage;

/// <summary>What the Table service does to us: it is away, refuses, lacks tables, and answers in pages.</summary>
public sealed class TableServiceTests
{
    [Fact]
    public async Task Nobody_there_is_told_from_nothing_there() => await EveryCallIsUnavailable(StorageAccount.At(Unreachable("AAAA")));

    [Fact]
    public async Task A_missing_table_is_not_an_empty_one() =>
        await EveryCallIsUnavailable(StorageAccount.At((await Harness.AzuriteServer.Shared()).NewAccount()));

    [Fact]
    public async Task A_wrong_key_is_told_without_showing_it()
    {
        var connection = (await Harness.AzuriteServer.Shared()).NewAccount();
        await StorageAccount.At(connection).EnsureCreated();
        var key = connection.Split("AccountKey=")[1].Split(';')[0];
        var wrong = StorageAccount.At(connection.Replace(key, Convert.ToBase64String("wrong key"u8), StringComparison.Ordinal));
        var stores = Stores.InTables(wrong, TimeProvider.System);
        var failure = await Assert.ThrowsAsync<RegistryUnavailableException>(() => stores.Registry.GetHub(Guid.NewGuid()));
        Assert.Contains("403", failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(Convert.ToBase64String("wrong key"u8), failure.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_account_that_does_not_answer_cannot_be_set_up() =>
        await Assert.ThrowsAsync<RegistryUnavailableException>(() => StorageAccount.At(Unreachable("AAAA")).EnsureCreated());

    [Fact]
    public async Task Setting_up_twice_is_harmless_and_keeps_what_is_there()
    {
        var account = await Stores.NewAccount();
        var hub = Samples.Hub();
        await Stores.InTables(account, TimeProvider.System).Registry.CreateHub(hub);
        await account.EnsureCreated();
        Assert.NotNull(await Stores.InTables(account, TimeProvider.System).Registry.GetHub(hub.Id));
    }

    [Fact]
    public async Task A_call_that_its_caller_gives_up_is_cancelled_and_not_unavailable()
    {
        var stores = Stores.InTables(await Stores.NewAccount(), TimeProvider.System);
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => stores.Registry.GetHub(Guid.NewGuid(), cancelled.Token));
    }

    [Fact]
    public async Task Lists_and_deletions_go_on_past_a_page_of_a_thousand_rows()
    {
        var account = await Stores.NewAccount();
        var registry = Stores.InTables(account, TimeProvider.System).Registry;
        var hub = Samples.Hub() with { DeviceCount = 1_234 };
        await registry.CreateHub(hub);
        var table = account.Tables().GetTableClient("registry");
        var devices = Enumerable.Range(0, 1_234).Select(_ => Samples.Device(hub.Id)).ToList();
        foreach (var batch in devices.Chunk(100))
        {
            await table.SubmitTransactionAsync(batch.Select(device => new TableTransactionAction(
                TableTransactionActionType.Add,
                new TableEntity(hub.Id.ToString(), $"device:{device.Id}") { ["Data"] = StoredJson.Write(device) })));
        }
        Assert.Equal(1_234, (await registry.DevicesOfHub(hub.Id).ToList()).Select(device => device.Id).Distinct().Count());
        await registry.DeleteHub(hub.Id);
        Assert.Empty(await registry.DevicesOfHub(hub.Id).ToList());
        Assert.Null(await registry.GetHub(hub.Id));
    }

    [Fact]
    public async Task A_row_of_a_newer_program_is_read_as_far_as_it_is_known()
    {
        var account = await Stores.NewAccount();
        var registry = Stores.InTables(account, TimeProvider.System).Registry;
        var hub = Samples.Hub();
        var json = StoredJson.Write(hub).Replace("{\"id\"", "{\"invented_later\":{\"x\":[1]},\"id\"", StringComparison.Ordinal);
        await account.Tables().GetTableClient("registry").AddEntityAsync(new TableEntity(hub.Id.ToString(), "hub") { ["Data"] = json });
        Assert.Equal(hub, (await registry.GetHub(hub.Id))!.Value);
    }

    [Fact]
    public void Stored_records_keep_their_form()
    {
        var hub = new Guid("9de70985-79a9-42cf-b696-d3f7022d735f");
        var device = Samples.Device(hub, "name", "f1") with { Id = new Guid("926f4a31-a3fc-44be-9740-87b7e0aa8e6a") };
        string[] members =
        [
            "\"id\":\"926f4a31-a3fc-44be-9740-87b7e0aa8e6a\"", "\"hub_id\":\"9de70985-79a9-42cf-b696-d3f7022d735f\"", "\"name\":\"name\"",
            """ "description":"a \"description\" with 'quotes' and é" """.Trim(), "\"status\":\"disabled\"", "\"allow_insecure\":true",
            "\"allow_multiple_connections\":true", "\"filters\":{\"publish\":{\"policy\":\"accept\",\"topics\":[\"a/+\",\"b/#\"]}",
            "\"subscribe\":{\"policy\":\"reject\",\"topics\":[\"c\"]}}",
            """ "certificate_pem":"-----BEGIN CERTIFICATE-----\nBB==\n-----END CERTIFICATE-----\n" """.Trim(),
            "\"certificate_fingerprint\":\"f1\"", "\"has_custom_certificate\":true", "\"created_at\":\"2026-03-12T15:54:39.855+00:00\"",
            "\"updated_at\":\"2026-03-12T15:54:39.855+00:00\"",
        ];
        Assert.Equal("{" + string.Join(',', members) + "}", StoredJson.Write(device));
        AssertNames<HubStatus>("Unknown Error Enabling Ready Disabling Disabled");
        AssertNames<ProductPlan>("PlanUnknown PlanShared PlanDedicated PlanHa");
        AssertNames<DeviceStatus>("Unknown Error Enabled Disabled");
        AssertNames<MessageFilterPolicy>("Unknown Accept Reject");
        AssertNames<NetworkType>("Unknown Sigfox Rest");
        AssertNames<DatabaseEngine>("Unknown Postgresql Mysql");
        AssertNames<RestVerb>("Unknown Get Post Put Patch Delete");
        AssertNames<S3Strategy>("Unknown PerTopic PerMessage");
        AssertNames<ApiRole>("Reader Operator Administrator");
        AssertNames<ChangedKind>("Hub Device Network Route");
    }

    /// <summary>These names are stored: the list may only grow.</summary>
    private static void AssertNames<T>(string names)
        where T : struct, Enum => Assert.Equal(names.Split(' '), Enum.GetNames<T>().Take(names.Split(' ').Length));

    private static string Unreachable(string key) =>
        $"DefaultEndpointsProtocol=http;AccountName=a;AccountKey={key};TableEndpoint=http://127.0.0.1:1/a;"
        + "QueueEndpoint=http://127.0.0.1:1/a;BlobEndpoint=http://127.0.0.1:1/a";

    private static async Task EveryCallIsUnavailable(StorageAccount account)
    {
        var stores = Stores.InTables(account, TimeProvider.System);
        var (registry, keys, changes) = stores;
        var (hub, id) = (Samples.Hub(), Guid.NewGuid());
        Func<Task>[] calls =
        [
            () => registry.CreateHub(hub),
            () => registry.GetHub(id),
            () => registry.ReplaceHub(new Versioned<Hub>(hub, "*")),
            () => registry.DeleteHub(id),
            () => registry.HubsOfProject(id).ToList(),
            () => registry.HubsOfOrganization(id).ToList(),
            () => registry.CreateDevice(Samples.Device(id)),
            () => registry.GetDevice(id),
            () => registry.FindDeviceByName(id, "name"),
            () => registry.FindDeviceByCertificate("f"),
            () => registry.ReplaceDevice(new Versioned<Device>(Samples.Device(id), "*")),
            () => registry.DeleteDevice(id),
            () => registry.DevicesOfHub(id).ToList(),
            () => registry.GetActivity(id, id),
            () => registry.ActivityOfHub(id).ToList(),
            () => registry.CountConnected(id),
            () => registry.RecordActivity([new DeviceActivity(id, id, true, DateTimeOffset.UtcNow)]),
            () => registry.CreateNetwork(Samples.Network(id)),
            () => registry.GetNetwork(id),
            () => registry.DeleteNetwork(id),
            () => registry.NetworksOfHub(id).ToList(),
            () => registry.CreateRoute(Samples.Route(id)),
            () => registry.GetRoute(id),
            () => registry.ReplaceRoute(new Versioned<Route>(Samples.Route(id), "*")),
            () => registry.DeleteRoute(id),
            () => registry.RoutesOfHub(id).ToList(),
            () => keys.Create(Samples.ApiKey(id, "SCW00000000000000001")),
            () => keys.FindBySecretHash("hash"),
            () => keys.All().ToList(),
            () => keys.OfOrganization(id).ToList(),
            () => keys.Delete("SCW00000000000000001"),
            () => changes.Append(id, ChangedKind.Hub, id),
            () => changes.ReadSince(DateTimeOffset.UtcNow),
            () => changes.Trim(DateTimeOffset.UtcNow),
            () => changes.ReadHours(DateTimeOffset.UnixEpoch, DateTimeOffset.UtcNow),
            () => registry.RecordBroker("broker", id),
            () => stores.Twins.Names(id),
            () => stores.Twins.Get(id, "a"),
            () => stores.Twins.Create(id, new TwinDocument(id, "a", 1, [])),
            () => stores.Twins.Replace(new Versioned<TwinDocument>(new TwinDocument(id, "a", 1, []), "2 *")),
            () => stores.Twins.Delete(id, "a"),
            () => stores.Twins.DeleteAll(id),
            () => stores.Twins.OfHub(id),
            () => stores.Twins.Moved(id, id, null),
            () => stores.Metrics.Record(new MetricsEnvelope { HubId = id, Source = "0123abcd", Minute = DateTimeOffset.UtcNow }),
            () => stores.Metrics.Read(id, null, MetricSpan.Hour, DateTimeOffset.UtcNow),
            () => stores.Metrics.Devices(id, MetricSpan.Hour, DateTimeOffset.UtcNow).ToList(),
            () => stores.Metrics.Write(id, MetricSpan.Hour, DateTimeOffset.UtcNow, []),
            () => stores.Metrics.ToRollUp(DateTimeOffset.UtcNow),
            () => stores.Metrics.RolledUp(new MetricHour(id, DateTimeOffset.UtcNow, "*")),
            () => stores.Metrics.Trim(DateTimeOffset.UtcNow),
            () => stores.Metrics.DeleteHub(id),
            () => stores.Events.Newest(id, 10),
            () => stores.Events.Trim(DateTimeOffset.UtcNow),
            () => stores.Events.DeleteHub(id),
        ];
        var failures = await Task.WhenAll(calls.Select(call => Record.ExceptionAsync(call)));
        Assert.All(failures, failure => Assert.IsType<RegistryUnavailableException>(failure));
    }
}
