using System.Text.Json.Nodes;
using Azure.Core;
using Azure.Data.Tables;
using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Core.Queues.Memory;
using IotHub.Core.Storage;
using IotHub.Core.Storage.Tables;
using IotHub.Functions.Metrics;
using IotHub.Harness;
using Xunit;

namespace IotHub.Contract.Storage;

/// <summary>
/// A process dies at its first, second, third ... request to storage while it writes or removes twins, metrics and events; the next call
/// or the timer makes up for it.
/// </summary>
public sealed class BelongingsInterruptionTests : IAsyncLifetime
{
    private readonly FaultyPipeline _faults = new();
    private TableServiceClient _tables = null!;
    private World _sound = null!;
    private World _faulty = null!;

    public async Task InitializeAsync()
    {
        var account = (await AzuriteServer.Shared()).NewAccount();
        await StorageAccount.At(account).EnsureCreated();
        _tables = StorageAccount.At(account).Tables();
        _sound = new World(_tables);
        var options = new TableClientOptions();
        options.Retry.MaxRetries = 0;
        options.AddPolicy(_faults, HttpPipelinePosition.PerRetry);
        _faulty = new World(new TableServiceClient(account, options));
    }

    public Task DisposeAsync() => Task.CompletedTask;

    [Theory]
    [InlineData(Loss.Request)]
    [InlineData(Loss.Answer)]
    public async Task A_document_is_written_whole_or_not_and_can_be_written_again(Loss loss)
    {
        await _faults.AtEveryRequest(loss, async () =>
        {
            var device = await NewDevice();
            var data = new JsonObject { ["x"] = new string('y', 600_000) };
            return new Attempt(
                () => Put(_faulty, device, data),
                async () =>
                {
                    if (await _sound.Twins.Get(device.Id, "a") is { } written)
                    {
                        Assert.True(JsonNode.DeepEquals(data, written.Value.Data));
                    }
                    Assert.IsType<TwinWritten.Stored>(await Put(_sound, device, new JsonObject { ["z"] = 1 }));
                    Assert.Equal("""{"z":1}""", (await _sound.Twins.Get(device.Id, "a"))!.Value.Data.ToJsonString());
                    await Remove(device.HubId);
                    Assert.Empty(await Rows());
                });
        });
    }

    [Theory]
    [InlineData(Loss.Request)]
    [InlineData(Loss.Answer)]
    public async Task What_a_deleted_hub_leaves_behind_is_removed_by_the_timer(Loss loss)
    {
        await _faults.AtEveryRequest(loss, async () =>
        {
            var (device, since) = (await NewDevice(), DateTimeOffset.UtcNow);
            await Fill(device);
            return new Attempt(
                () => Remove(device.HubId, _faulty),
                async () =>
                {
                    var hub = await _sound.Registry.GetHub(device.HubId);
                    if (hub is { Value.Deleting: false })
                    {
                        // It died before it began: its caller knows nothing either, and asks again.
                        await Remove(device.HubId);
                    }
                    await _sound.Belongings.Sweep(await _sound.Changes.ReadSince(since.AddMinutes(-1)));
                    Assert.Null(await _sound.Registry.GetHub(device.HubId));
                    Assert.Empty(await Rows());
                });
        });
    }

    [Theory]
    [InlineData(Loss.Request)]
    [InlineData(Loss.Answer)]
    public async Task What_a_deleted_device_leaves_behind_is_removed_by_the_timer(Loss loss)
    {
        await _faults.AtEveryRequest(loss, async () =>
        {
            var (device, since) = (await NewDevice(), DateTimeOffset.UtcNow);
            await Fill(device);
            return new Attempt(
                async () =>
                {
                    await _faulty.Registry.DeleteDevice(device.Id);
                    await _faulty.Belongings.OfDevice(device.HubId, device.Id);
                },
                async () =>
                {
                    await _sound.Registry.DeleteDevice(device.Id);
                    await _sound.Belongings.Sweep(await _sound.Changes.ReadSince(since.AddMinutes(-1)));
                    Assert.DoesNotContain(await Rows(), row => row.Contains($"{device.Id}", StringComparison.Ordinal));
                    await Remove(device.HubId);
                    Assert.Empty(await Rows());
                });
        });
    }

    [Theory]
    [InlineData(Loss.Request)]
    [InlineData(Loss.Answer)]
    public async Task A_roll_up_that_was_cut_off_is_done_by_the_next(Loss loss)
    {
        await _faults.AtEveryRequest(loss, async () =>
        {
            var device = await NewDevice();
            await _sound.Metrics.Record(Counted(device));
            return new Attempt(
                () => new RollUpFunction(_faulty.Metrics, TimeProvider.System).Run(default),
                async () =>
                {
                    await new RollUpFunction(_sound.Metrics, TimeProvider.System).Run(default);
                    foreach (var span in new[] { MetricSpan.Day, MetricSpan.Month, MetricSpan.Year })
                    {
                        var hub = (await _sound.Metrics.Read(device.HubId, null, span, Hour)).Slots[MetricTimes.SlotOf(span, Hour)];
                        var own = (await _sound.Metrics.Read(device.HubId, device.Id, span, Hour)).Slots[MetricTimes.SlotOf(span, Hour)];
                        Assert.Equal((new MetricValue(8, 1), new MetricValue(8, 1)), (hub, own));
                    }
                    Assert.Empty(await _sound.Metrics.ToRollUp(DateTimeOffset.UtcNow));
                    await Remove(device.HubId);
                    Assert.Empty(await Rows());
                });
        });
    }

    private static DateTimeOffset Hour => MetricTimes.StartOf(MetricSpan.Hour, DateTimeOffset.UtcNow.AddHours(-1));

    private async Task<Device> NewDevice()
    {
        var hub = Samples.Hub();
        await _sound.Registry.CreateHub(hub);
        var device = Samples.Device(hub.Id);
        await _sound.Registry.CreateDevice(device);
        return device;
    }

    private static Task<TwinWritten> Put(World world, Device device, JsonObject data) =>
        world.Editing.Write(new TwinWrite(device.HubId, device.Id, "a", false, 0, data, false));

    private async Task Fill(Device device)
    {
        await Put(_sound, device, new JsonObject { ["x"] = new string('y', 600_000) });
        await _sound.Metrics.Record(Counted(device));
        await new RollUpFunction(_sound.Metrics, TimeProvider.System).Run(default);
        var happened = new HubEvent
        {
            Time = DateTimeOffset.UtcNow,
            Severity = "error",
            ObjectType = "hub",
            ObjectId = $"{device.HubId}",
            Message = "text",
        };
        await _sound.Events.Append(device.HubId, [new LoggedEvent("id", happened)]);
    }

    private static MetricsEnvelope Counted(Device device) => new()
    {
        HubId = device.HubId,
        Source = "0123abcd",
        Minute = Hour,
        Hub = new HubCounts(8, 1, 1),
        Devices = [new DeviceCounts(device.Id, 8)],
    };

    /// <summary>As the management function does it.</summary>
    private async Task Remove(Guid hubId, World? world = null)
    {
        world ??= _sound;
        await world.Registry.DeleteHub(hubId);
        await world.Belongings.OfHub(hubId);
    }

    /// <summary>All rows of hubs and devices; lists of what to look at some day name only hubs.</summary>
    private async Task<List<string>> Rows()
    {
        var rows = new List<string>();
        foreach (var table in new[] { "twins", "metrics", "events" })
        {
            await foreach (var row in _tables.GetTableClient(table).QueryAsync<TableEntity>())
            {
                if (row.PartitionKey.Split('|')[0] is not ("rollup" or "expire" or "day"))
                {
                    rows.Add($"{table} {row.PartitionKey} {row.RowKey}");
                }
            }
        }
        return rows;
    }

    private sealed class World
    {
        public World(TableServiceClient tables)
        {
            Changes = new TableChangeFeed(tables, TimeProvider.System);
            Registry = new TableRegistry(tables, Changes, TimeProvider.System);
            (Twins, Metrics, Events) = (new TableTwins(tables), new TableMetrics(tables), new TableEventLog(tables));
            Editing = new TwinEditing(Twins, Registry, new MemoryQueue(TimeProvider.System), TimeProvider.System);
            Belongings = new Belongings(Registry, Twins, Metrics, Events, TimeProvider.System);
        }

        public TableChangeFeed Changes { get; }
        public TableRegistry Registry { get; }
        public TableTwins Twins { get; }
        public TableMetrics Metrics { get; }
        public TableEventLog Events { get; }
        public TwinEditing Editing { get; }
        public Belongings Belongings { get; }
    }
}
