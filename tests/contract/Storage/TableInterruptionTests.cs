using Azure.Core;
using Azure.Data.Tables;
using IotHub.Core.Domain;
using IotHub.Core.Storage;
using IotHub.Core.Storage.Tables;
using IotHub.Harness;
using Xunit;

namespace IotHub.Contract.Storage;

/// <summary>
/// Each operation is cut off at its first, second, third ... request to storage, before or after that request took effect; afterwards the
/// registry must still be right, and a repeat must finish the work.
/// </summary>
public sealed class TableInterruptionTests : IAsyncLifetime
{
    private readonly FaultyPipeline _faults = new();
    private readonly ShiftedTime _time = new();
    private TableServiceClient _tables = null!;
    private TableRegistry _sound = null!;
    private TableRegistry _faulty = null!;

    public async Task InitializeAsync()
    {
        var account = (await AzuriteServer.Shared()).NewAccount();
        await StorageAccount.At(account).EnsureCreated();
        _tables = StorageAccount.At(account).Tables();
        _sound = new TableRegistry(_tables, new TableChangeFeed(_tables, _time), _time);
        var faulty = Faulty(account, retries: 0);
        _faulty = new TableRegistry(faulty, new TableChangeFeed(faulty, _time), _time);
    }

    public Task DisposeAsync() => Task.CompletedTask;

    [Theory]
    [InlineData(Loss.Request)]
    [InlineData(Loss.Answer)]
    public async Task A_deletion_of_a_hub_can_be_finished_after_any_interruption(Loss loss)
    {
        await AtEveryRequest(loss, async () =>
        {
            var hub = Samples.Hub();
            await _sound.CreateHub(hub);
            for (var i = 0; i < 2; i++)
            {
                var device = Samples.Device(hub.Id, fingerprint: $"f{i}-{hub.Id}");
                await _sound.CreateDevice(device);
                await _sound.RecordActivity([new DeviceActivity(hub.Id, device.Id, true, _time.GetUtcNow())]);
            }
            await _sound.CreateNetwork(Samples.Network(hub.Id));
            await _sound.CreateRoute(Samples.Route(hub.Id));
            return new Attempt(() => _faulty.DeleteHub(hub.Id), async () =>
            {
                // What is left of the hub either still shows it, so that its owner can repeat, or there is nothing left.
                if (await _sound.GetHub(hub.Id) is { } left)
                {
                    Assert.True(left.Value.Deleting || left.Value.DeviceCount == 2);
                }
                await _sound.DeleteHub(hub.Id);
                Assert.Empty(await AllRows());
            });
        });
    }

    [Theory]
    [InlineData(Loss.Request)]
    [InlineData(Loss.Answer)]
    public async Task A_deletion_of_a_device_can_be_finished_after_any_interruption(Loss loss)
    {
        var hub = Samples.Hub();
        await _sound.CreateHub(hub);
        await AtEveryRequest(loss, async () =>
        {
            var device = Samples.Device(hub.Id, "name", "f1");
            await _sound.CreateDevice(device);
            await _sound.RecordActivity([new DeviceActivity(hub.Id, device.Id, true, _time.GetUtcNow())]);
            return new Attempt(() => _faulty.DeleteDevice(device.Id), async () =>
            {
                await AssertCount(hub.Id);
                await _sound.DeleteDevice(device.Id);
                await AssertCount(hub.Id);
                Assert.Null(await _sound.GetDevice(device.Id));
                var rows = await AllRows();
                Assert.DoesNotContain(rows, row => row.Contains("device", StringComparison.Ordinal));
                Assert.DoesNotContain(rows, row => row.Contains("cert", StringComparison.Ordinal));
            });
        });
    }

    [Theory]
    [InlineData(Loss.Request)]
    [InlineData(Loss.Answer)]
    public async Task A_creation_that_was_interrupted_is_there_or_not_and_blocks_nothing(Loss loss)
    {
        var hub = Samples.Hub();
        await _sound.CreateHub(hub);
        await AtEveryRequest(loss, async () =>
        {
            var device = Samples.Device(hub.Id, "name", "f-" + Guid.NewGuid());
            await Task.CompletedTask;
            return new Attempt(() => _faulty.CreateDevice(device), async () =>
            {
                await AssertCount(hub.Id);
                if (await _sound.GetDevice(device.Id) is not null)
                {
                    Assert.Equal(device.Id, (await _sound.FindDeviceByName(hub.Id, "name"))!.Id);
                    Assert.Equal(device.Id, (await _sound.FindDeviceByCertificate(device.CertificateFingerprint))!.Id);
                    await _sound.DeleteDevice(device.Id);
                }
                await _sound.CreateDevice(Samples.Device(hub.Id, "name"));
                await _sound.DeleteDevice((await _sound.FindDeviceByName(hub.Id, "name"))!.Id);
            });
        });
    }

    [Theory]
    [InlineData(Loss.Request)]
    [InlineData(Loss.Answer)]
    public async Task Several_devices_whose_creation_was_interrupted_are_all_there_or_none_and_block_nothing(Loss loss)
    {
        await AtEveryRequest(loss, async () =>
        {
            var hub = Samples.Hub();
            await _sound.CreateHub(hub);
            var devices = Enumerable.Range(0, 3).Select(i => Samples.Device(hub.Id, $"d{i}", $"f{i}-{hub.Id}")).ToList();
            return new Attempt(() => _faulty.CreateDevices(hub.Id, devices), async () =>
            {
                await AssertCount(hub.Id);
                Assert.Contains((await _sound.GetHub(hub.Id))!.Value.DeviceCount, new[] { 0L, 3L });
                Assert.True(await _sound.CreateDevices(hub.Id, devices));
                await AssertCount(hub.Id);
                Assert.Equal(devices[1].Id, (await _sound.FindDeviceByCertificate(devices[1].CertificateFingerprint))!.Id);
                await _sound.DeleteHub(hub.Id);
                Assert.Empty(await AllRows());
            });
        });
    }

    [Theory]
    [InlineData(Loss.Request)]
    [InlineData(Loss.Answer)]
    public async Task A_move_that_was_interrupted_leaves_one_device_and_can_be_repeated_undone_or_deleted(Loss loss)
    {
        var (from, to, third) = (Samples.Hub(), Samples.Hub(), Samples.Hub());
        foreach (var hub in new[] { from, to, third })
        {
            await _sound.CreateHub(hub);
        }
        var turn = 0;
        await AtEveryRequest(loss, async () =>
        {
            var device = Samples.Device(from.Id, "name", "f1");
            await _sound.CreateDevice(device);
            var read = (await _sound.GetDevice(device.Id))!;
            return new Attempt(() => _faulty.ReplaceDevice(read with { Value = device with { HubId = to.Id } }), async () =>
            {
                var now = (await _sound.GetDevice(device.Id))!;
                Assert.Contains(now.Value.HubId, new[] { from.Id, to.Id });
                Assert.Equal(device.Id, (await _sound.FindDeviceByCertificate("f1"))!.Id);
                var goal = new[] { to.Id, from.Id, third.Id }[turn++ % 3];
                await _sound.ReplaceDevice(now with { Value = now.Value with { HubId = goal } });
                // Also when it is there already: any write finishes the move.
                foreach (var hub in new[] { from, to, third })
                {
                    Assert.Equal(hub.Id == goal ? 1 : 0, (await _sound.GetHub(hub.Id))!.Value.DeviceCount);
                    await AssertCount(hub.Id);
                }
                await _sound.DeleteDevice(device.Id);
                foreach (var hub in new[] { from, to, third })
                {
                    await AssertCount(hub.Id);
                    Assert.Equal(0, (await _sound.GetHub(hub.Id))!.Value.DeviceCount);
                }
            });
        });
    }

    [Theory]
    [InlineData(Loss.Request)]
    [InlineData(Loss.Answer)]
    public async Task A_change_of_a_device_that_was_interrupted_is_listed_as_it_is_stored(Loss loss)
    {
        var hub = Samples.Hub();
        await _sound.CreateHub(hub);
        var device = Samples.Device(hub.Id);
        await _sound.CreateDevice(device);
        await AtEveryRequest(loss, async () =>
        {
            await AssertCount(hub.Id);
            var read = (await _sound.GetDevice(device.Id))!;
            return new Attempt(
                () => _faulty.ReplaceDevice(read with { Value = device with { Description = Guid.NewGuid().ToString() } }),
                () => AssertCount(hub.Id));
        });
    }

    [Fact]
    public async Task A_transaction_whose_answer_was_lost_and_that_the_client_repeats_counts_once()
    {
        var account = (await AzuriteServer.Shared()).NewAccount();
        await StorageAccount.At(account).EnsureCreated();
        var tables = Faulty(account, retries: 2);
        var registry = new TableRegistry(tables, new TableChangeFeed(tables, _time), _time);
        var hub = Samples.Hub();
        await registry.CreateHub(hub);
        for (var number = 1; ; number++)
        {
            var device = Samples.Device(hub.Id, $"d{number}", $"f{number}");
            _faults.FailRequest(number, Loss.Answer, once: true);
            await registry.CreateDevice(device);
            var hasFailed = _faults.HasFailed;
            _faults.Heal();
            Assert.Equal(number, (await registry.GetHub(hub.Id))!.Value.DeviceCount);
            Assert.Equal(device.Id, (await registry.FindDeviceByName(hub.Id, device.Name))!.Id);
            if (!hasFailed)
            {
                Assert.True(number > 4);
                return;
            }
        }
    }

    [Fact]
    public async Task A_certificate_that_a_crashed_writer_took_is_free_again_after_a_while()
    {
        var hub = Samples.Hub();
        await _sound.CreateHub(hub);
        await _tables.GetTableClient("owners").AddEntityAsync(
            new TableEntity("cert:f1", "owner") { ["HubId"] = hub.Id, ["DeviceId"] = Guid.NewGuid() });
        await Assert.ThrowsAsync<AlreadyExistsException>(() => _sound.CreateDevice(Samples.Device(hub.Id, fingerprint: "f1")));
        _time.Shift += TimeSpan.FromMinutes(5);
        var device = Samples.Device(hub.Id, fingerprint: "f1");
        await _sound.CreateDevice(device);
        Assert.Equal(device.Id, (await _sound.FindDeviceByCertificate("f1"))!.Id);
    }

    [Theory]
    [InlineData(Loss.Request)]
    [InlineData(Loss.Answer)]
    public async Task A_change_of_authority_can_be_repeated_after_any_interruption_and_frees_the_one_before(Loss loss)
    {
        await AtEveryRequest(loss, async () =>
        {
            var (hub, other) = (Samples.Hub(), Samples.Hub());
            var (before, next) = ($"before-{hub.Id}", $"next-{hub.Id}");
            await _sound.CreateHub(hub);
            await _sound.CreateHub(other);
            var stored = (await _sound.GetHub(hub.Id))!;
            stored = await _sound.ReplaceAuthority(stored, stored.Value with { CustomCaFingerprint = before });
            var wanted = stored.Value with { CustomCaFingerprint = next };
            return new Attempt(() => _faulty.ReplaceAuthority(stored, wanted), async () =>
            {
                var now = (await _sound.GetHub(hub.Id))!;
                Assert.Contains(now.Value.CustomCaFingerprint, new[] { before, next });
                Assert.Equal(hub.Id, (await _sound.FindHubByAuthority(now.Value.CustomCaFingerprint))!.Value.Id);
                await _sound.ReplaceAuthority(now, wanted);
                Assert.Equal(hub.Id, (await _sound.FindHubByAuthority(next))!.Value.Id);
                Assert.Null(await _sound.FindHubByAuthority(before));
                _time.Shift += TimeSpan.FromMinutes(2);
                var taker = (await _sound.GetHub(other.Id))!;
                await Assert.ThrowsAsync<AlreadyExistsException>(() =>
                    _sound.ReplaceAuthority(taker, taker.Value with { CustomCaFingerprint = next }));
                await _sound.ReplaceAuthority(taker, taker.Value with { CustomCaFingerprint = before });
                Assert.Equal(other.Id, (await _sound.FindHubByAuthority(before))!.Value.Id);
            });
        });
    }

    private Task AtEveryRequest(Loss loss, Func<Task<Attempt>> prepare) =>
        _faults.AtEveryRequest(loss, prepare, failure => Assert.IsType<RegistryUnavailableException>(failure));

    private async Task AssertCount(Guid hubId)
    {
        var devices = await _sound.DevicesOfHub(hubId).ToList();
        var hub = (await _sound.GetHub(hubId))!.Value;
        Assert.Equal(devices.Count, hub.DeviceCount);
        var listed = await _sound.ListDevices(new DeviceQuery([hub]) { Order = DeviceOrder.HubId });
        Assert.Equal(
            devices.OrderBy(device => device.Id).Select(device => (device.Id, device.Description)),
            listed.Devices.Select(device => (device.Id, device.Description)));
    }

    /// <summary>All rows but those of the change feed.</summary>
    private async Task<List<string>> AllRows()
    {
        var rows = new List<string>();
        foreach (var table in new[] { "registry", "owners", "projects", "organizations", "activity" })
        {
            await foreach (var row in _tables.GetTableClient(table).QueryAsync<TableEntity>())
            {
                rows.Add($"{table} {row.PartitionKey} {row.RowKey}");
            }
        }
        return rows;
    }

    private TableServiceClient Faulty(string account, int retries)
    {
        var options = new TableClientOptions();
        options.Retry.MaxRetries = retries;
        options.Retry.Delay = TimeSpan.FromMilliseconds(1);
        options.AddPolicy(_faults, HttpPipelinePosition.PerRetry);
        return new TableServiceClient(account, options);
    }
}
