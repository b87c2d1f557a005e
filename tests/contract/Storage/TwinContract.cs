using System.Text.Json.Nodes;
using IotHub.Core.Domain;
using IotHub.Core.Queues.Memory;
using IotHub.Core.Storage;
using Xunit;

namespace IotHub.Contract.Storage;

/// <summary>What every driver of the twins does, and the editing that stands on it.</summary>
public abstract class TwinContract
{
    protected abstract Task<Stores> NewStores();

    private static TwinDocument Document(Guid twinId, string name, uint version, string data) =>
        new(twinId, name, version, TwinRules.Parse(System.Text.Encoding.UTF8.GetBytes(data)));

    [Fact]
    public async Task A_document_is_stored_replaced_listed_and_deleted()
    {
        var twins = (await NewStores()).Twins;
        var (hub, twin, other) = (Guid.NewGuid(), Guid.NewGuid(), Guid.NewGuid());
        Assert.Empty(await twins.Names(twin));
        Assert.Null(await twins.Get(twin, "a"));
        await twins.Create(hub, Document(twin, "b", 1, """{"x":[1.50,"é\"'<",{}]}"""));
        await twins.Create(hub, Document(twin, "a", 1, "{}"));
        await twins.Create(hub, Document(other, "c", 1, "{}"));
        Assert.Equal(["a", "b"], await twins.Names(twin));
        var read = (await twins.Get(twin, "b"))!;
        Assert.Equal((twin, "b", 1u), (read.Value.TwinId, read.Value.Name, read.Value.Version));
        Assert.Equal("""{"x":[1.50,"é\"'<",{}]}""", System.Text.Encoding.UTF8.GetString(TwinRules.Write(read.Value.Data)));
        await twins.Replace(read with { Value = Document(twin, "b", 4_000_000_000, """{"y":1}""") });
        Assert.Equal(4_000_000_000, (await twins.Get(twin, "b"))!.Value.Version);
        Assert.True(await twins.Delete(twin, "b"));
        Assert.False(await twins.Delete(twin, "b"));
        Assert.Equal(["a"], await twins.Names(twin));
        await twins.DeleteAll(twin);
        await twins.DeleteAll(twin);
        Assert.Empty(await twins.Names(twin));
        Assert.Equal(["c"], await twins.Names(other));
    }

    [Fact]
    public async Task A_write_that_is_based_on_an_old_version_is_refused()
    {
        var twins = (await NewStores()).Twins;
        var twin = Guid.NewGuid();
        await twins.Create(Guid.NewGuid(), Document(twin, "a", 1, "{}"));
        await Assert.ThrowsAsync<AlreadyExistsException>(() => twins.Create(Guid.NewGuid(), Document(twin, "a", 1, "{}")));
        var read = (await twins.Get(twin, "a"))!;
        await twins.Replace(read with { Value = Document(twin, "a", 2, "{}") });
        await Assert.ThrowsAsync<StaleVersionException>(() => twins.Replace(read with { Value = Document(twin, "a", 2, "{}") }));
        await twins.Delete(twin, "a");
        await Assert.ThrowsAsync<StaleVersionException>(() => twins.Replace(read with { Value = Document(twin, "a", 3, "{}") }));
    }

    [Theory]
    [InlineData(65_536)]
    [InlineData(524_288)]
    [InlineData(524_289)]
    [InlineData(1_048_576)]
    public async Task Documents_of_all_sizes_come_back_and_change_their_size(int bytes)
    {
        var twins = (await NewStores()).Twins;
        var twin = Guid.NewGuid();
        var large = Document(twin, "a", 1, $$"""{"x":"{{new string('y', bytes - 8)}}"}""");
        Assert.Equal(bytes, TwinRules.Write(large.Data).Length);
        await twins.Create(Guid.NewGuid(), large);
        var read = (await twins.Get(twin, "a"))!;
        Assert.True(JsonNode.DeepEquals(large.Data, read.Value.Data));
        await twins.Replace(read with { Value = Document(twin, "a", 2, """{"x":1}""") });
        read = (await twins.Get(twin, "a"))!;
        Assert.Equal("""{"x":1}""", read.Value.Data.ToJsonString());
        await twins.Replace(read with { Value = large with { Version = 3 } });
        Assert.True(JsonNode.DeepEquals(large.Data, (await twins.Get(twin, "a"))!.Value.Data));
        Assert.Equal(["a"], await twins.Names(twin));
        Assert.True(await twins.Delete(twin, "a"));
        Assert.Null(await twins.Get(twin, "a"));
        await twins.Create(Guid.NewGuid(), large);
        Assert.NotNull(await twins.Get(twin, "a"));
    }

    [Fact]
    public async Task A_hub_knows_the_twins_that_were_written_on_it_and_follows_their_moves()
    {
        var twins = (await NewStores()).Twins;
        var (from, to, one, two) = (Guid.NewGuid(), Guid.NewGuid(), Guid.NewGuid(), Guid.NewGuid());
        await twins.Create(from, Document(one, "a", 1, "{}"));
        await twins.Create(from, Document(two, "a", 1, "{}"));
        await twins.Moved(one, from, to);
        await twins.Moved(Guid.NewGuid(), from, to);
        Assert.Equal([two], await twins.OfHub(from));
        Assert.Equal([one], await twins.OfHub(to));
        await twins.Moved(two, from, null);
        Assert.Empty(await twins.OfHub(from));
    }

    [Fact]
    public async Task Of_patches_at_the_same_time_none_is_lost()
    {
        var stores = await NewStores();
        var (editing, device) = await NewEditing(stores);
        await editing.Write(new TwinWrite(device.HubId, device.Id, "a", false, 0, [], false));
        var written = await Task.WhenAll(Enumerable.Range(0, 12).Select(i => Task.Run(() => editing.Write(
            new TwinWrite(device.HubId, device.Id, "a", true, 0, new JsonObject { [$"k{i}"] = i }, false)))));
        Assert.Equal(
            Enumerable.Range(2, 12).Select(v => (uint)v),
            written.Select(w => Assert.IsType<TwinWritten.Stored>(w).Document.Version).Order());
        Assert.Equal(12, (await stores.Twins.Get(device.Id, "a"))!.Value.Data.Count);
    }

    [Fact]
    public async Task Of_writes_that_expect_one_version_at_the_same_time_one_succeeds()
    {
        var stores = await NewStores();
        var (editing, device) = await NewEditing(stores);
        await editing.Write(new TwinWrite(device.HubId, device.Id, "a", false, 0, [], false));
        var written = await Task.WhenAll(Enumerable.Range(0, 8).Select(i => Task.Run(() => editing.Write(
            new TwinWrite(device.HubId, device.Id, "a", false, 1, new JsonObject { ["i"] = i }, false)))));
        Assert.Single(written.OfType<TwinWritten.Stored>());
        Assert.All(written.OfType<TwinWritten.VersionMismatch>(), m => Assert.Equal((1u, 2u), (m.Expected, m.Actual)));
        Assert.Equal(7, written.OfType<TwinWritten.VersionMismatch>().Count());
    }

    [Fact]
    public async Task A_document_cannot_be_made_for_a_device_that_is_gone()
    {
        var stores = await NewStores();
        var (editing, device) = await NewEditing(stores);
        await stores.Registry.DeleteDevice(device.Id);
        Assert.IsType<TwinWritten.TwinGone>(await editing.Write(new TwinWrite(device.HubId, device.Id, "a", false, 0, [], false)));
        Assert.Empty(await stores.Twins.Names(device.Id));
    }

    [Fact]
    public async Task The_sweep_removes_what_a_process_left_that_ended_after_the_deletion()
    {
        var stores = await NewStores();
        var (editing, device) = await NewEditing(stores);
        var (_, kept) = await NewEditing(stores);
        var (_, ofHub) = await NewEditing(stores);
        foreach (var one in new[] { device, kept, ofHub })
        {
            await editing.Write(new TwinWrite(one.HubId, one.Id, "a", false, 0, [], false));
        }
        await stores.Registry.DeleteDevice(device.Id);
        await stores.Registry.DeleteHub(ofHub.HubId);
        Assert.NotEmpty(await stores.Twins.Names(device.Id));
        Assert.NotEmpty(await stores.Twins.Names(ofHub.Id));
        await stores.Belongings.Sweep(await stores.Changes.ReadSince(DateTimeOffset.UtcNow.AddHours(-1)));
        Assert.Empty(await stores.Twins.Names(device.Id));
        Assert.Empty(await stores.Twins.Names(ofHub.Id));
        Assert.Empty(await stores.Twins.OfHub(ofHub.HubId));
        Assert.Equal(["a"], await stores.Twins.Names(kept.Id));
    }

    [Fact]
    public async Task The_sweep_finishes_the_deletion_of_a_hub_and_spares_a_device_that_moved_away()
    {
        var stores = await NewStores();
        var (editing, device) = await NewEditing(stores);
        var (_, elsewhere) = await NewEditing(stores);
        await editing.Write(new TwinWrite(device.HubId, device.Id, "a", false, 0, [], false));
        var read = (await stores.Registry.GetDevice(device.Id))!;
        await stores.Registry.ReplaceDevice(read with { Value = read.Value with { HubId = elsewhere.HubId } });
        var hub = (await stores.Registry.GetHub(device.HubId))!;
        await stores.Registry.ReplaceHub(hub with { Value = hub.Value with { Deleting = true } });
        await stores.Belongings.Sweep(await stores.Changes.ReadSince(DateTimeOffset.UtcNow.AddHours(-1)));
        Assert.Null(await stores.Registry.GetHub(device.HubId));
        Assert.Equal(["a"], await stores.Twins.Names(device.Id));
        Assert.Equal([device.Id], await stores.Twins.OfHub(elsewhere.HubId));
    }

    private static async Task<(TwinEditing Editing, Device Device)> NewEditing(Stores stores)
    {
        var hub = Samples.Hub();
        await stores.Registry.CreateHub(hub);
        var device = Samples.Device(hub.Id);
        await stores.Registry.CreateDevice(device);
        return (new TwinEditing(stores.Twins, stores.Registry, new MemoryQueue(TimeProvider.System), TimeProvider.System), device);
    }
}

public sealed class MemoryTwinTests : TwinContract
{
    protected override Task<Stores> NewStores() => Task.FromResult(Stores.InMemory(TimeProvider.System));
}

public sealed class TableTwinTests : TwinContract
{
    protected override async Task<Stores> NewStores() => Stores.InTables(await Stores.NewAccount(), TimeProvider.System);
}
