using IotHub.Core.Storage;
using IotHub.Core.Storage.Blobs;
using IotHub.Core.Storage.Memory;
using IotHub.Functions.Routes.Delivery.Sinks;
using Xunit;

namespace IotHub.Contract.Storage;

/// <summary>What every object store driver does.</summary>
public abstract class ObjectStoreContract
{
    private static readonly Dictionary<string, string> Metadata = new() { ["messageid"] = "1", ["receivedat"] = "2026-01-02T03:04:05.0000000Z" };

    protected abstract Task<IObjectStore> NewStore();

    [Fact]
    public async Task An_object_comes_back_as_it_was_put_and_its_bucket_is_made()
    {
        var store = await NewStore();
        var content = Enumerable.Range(0, 256).Select(i => (byte)i).ToArray();
        Assert.Null(await store.Find("bucket-1", "a/b c/ü"));
        Assert.Null(await store.Read("bucket-1", "a/b c/ü"));
        Assert.True(await store.TryPut("bucket-1", "a/b c/ü", content, Metadata, null));
        Assert.Equal(content, await store.Read("bucket-1", "a/b c/ü"));
        Assert.Equal("1", (await store.Find("bucket-1", "a/b c/ü"))!.Metadata["messageid"]);
    }

    [Fact]
    public async Task An_object_that_is_there_is_replaced_only_at_the_expected_version()
    {
        var store = await NewStore();
        Assert.True(await store.TryPut("bucket-1", "k", new byte[] { 1 }, Metadata, null));
        Assert.False(await store.TryPut("bucket-1", "k", new byte[] { 2 }, Metadata, null));
        var first = (await store.Find("bucket-1", "k"))!.Version;
        Assert.True(await store.TryPut("bucket-1", "k", new byte[] { 3 }, Metadata, first));
        Assert.False(await store.TryPut("bucket-1", "k", new byte[] { 4 }, Metadata, first));
        Assert.Equal([3], await store.Read("bucket-1", "k"));
    }

    [Fact]
    public async Task A_name_that_no_bucket_can_have_is_a_refusal_with_status_and_code()
    {
        var store = await NewStore();
        var e = await Assert.ThrowsAsync<ObjectStoreException>(() => store.TryPut("Not_A_Bucket", "k", new byte[] { 1 }, Metadata, null));
        Assert.InRange(e.Status, 400, 499);
        Assert.NotEqual("", e.Code);
        Assert.NotEqual("", e.RequestId);
    }

    [Fact]
    public async Task A_topic_with_dots_stays_in_its_bucket()
    {
        var store = await NewStore();
        var key = ObjectKey.PerTopic("a", "../../other-bucket/x");
        Assert.True(await store.TryPut("bucket-1", key, new byte[] { 1 }, Metadata, null));
        Assert.Equal([1], await store.Read("bucket-1", key));
        Assert.Null(await store.Find("other-bucket", "x"));
    }
}

public sealed class MemoryObjectStoreTests : ObjectStoreContract
{
    protected override Task<IObjectStore> NewStore() => Task.FromResult<IObjectStore>(new MemoryObjectStore());
}

public sealed class BlobObjectStoreTests : ObjectStoreContract
{
    protected override async Task<IObjectStore> NewStore() => new BlobObjectStore((await Stores.NewAccount()).Blobs());

    [Fact]
    public async Task Storage_that_does_not_answer_has_status_0()
    {
        var away = StorageAccount.At(
            "AccountName=a;AccountKey=AAAA;QueueEndpoint=http://127.0.0.1:1/a;BlobEndpoint=http://127.0.0.1:1/a;TableEndpoint=http://127.0.0.1:1/a;");
        var e = await Assert.ThrowsAsync<ObjectStoreException>(() => new BlobObjectStore(away.Blobs()).Find("bucket-1", "k"));
        Assert.Equal(0, e.Status);
    }
}
