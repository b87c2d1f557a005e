using IotHub.Core.Queues;
using IotHub.Core.Queues.Azure;
using IotHub.Core.Queues.Memory;
using IotHub.Core.Storage;
using IotHub.Harness;
using Xunit;

namespace IotHub.Contract.Queues;

/// <summary>What every store of large payloads does.</summary>
public abstract class PayloadsContract
{
    protected abstract Task<IPayloads> NewPayloads();

    [Fact]
    public async Task A_payload_is_stored_replaced_and_deleted()
    {
        var payloads = await NewPayloads();
        await payloads.Put("a/b", new byte[] { 1, 2, 3 });
        await payloads.Put("a/b", new byte[] { 4, 5 });
        Assert.Equal([4, 5], await payloads.Get("a/b", 2));
        await payloads.Delete("a/b");
        Assert.Null(await payloads.Get("a/b", 2));
        await payloads.Delete("a/b");
    }

    [Fact]
    public async Task A_payload_that_is_not_there_is_null_even_before_the_first() => Assert.Null(await (await NewPayloads()).Get("nothing", 100));

    [Fact]
    public async Task A_payload_over_the_limit_is_refused_before_it_is_read()
    {
        var payloads = await NewPayloads();
        await payloads.Put("big", new byte[1001]);
        await Assert.ThrowsAsync<InvalidDataException>(() => payloads.Get("big", 1000));
    }

    [Fact]
    public async Task Trimming_drops_what_was_stored_before_and_nothing_else()
    {
        var payloads = await NewPayloads();
        await payloads.Trim(DateTimeOffset.UtcNow);
        await payloads.Put("hub/a", new byte[] { 1 });
        await payloads.Put("hub/b", new byte[] { 2 });
        await payloads.Trim(DateTimeOffset.UtcNow.AddHours(-1));
        Assert.NotNull(await payloads.Get("hub/a", 1));
        await payloads.Trim(DateTimeOffset.UtcNow.AddHours(1));
        Assert.Null(await payloads.Get("hub/a", 1));
        Assert.Null(await payloads.Get("hub/b", 1));
    }

    [Fact]
    public async Task Four_mebibytes_come_back_whole()
    {
        var payloads = await NewPayloads();
        var payload = new byte[4 * 1024 * 1024];
        new Random(1).NextBytes(payload);
        await payloads.Put("big", payload);
        var back = await payloads.Get("big", payload.Length);
        Assert.True(payload.AsSpan().SequenceEqual(back));
    }
}

public sealed class MemoryPayloadsTests : PayloadsContract
{
    protected override Task<IPayloads> NewPayloads() => Task.FromResult<IPayloads>(new MemoryPayloads());
}

public sealed class AzurePayloadsTests : PayloadsContract
{
    protected override async Task<IPayloads> NewPayloads() => new AzurePayloads(
        StorageAccount.At((await AzuriteServer.Shared()).NewAccount()).Blobs(), "payloads");
}
