using System.Text;
using IotHub.Core.Queues;
using IotHub.Core.Queues.Azure;
using IotHub.Core.Queues.Memory;
using IotHub.Core.Storage;
using IotHub.Harness;
using Xunit;

namespace IotHub.Contract.Queues;

/// <summary>What every queue driver does.</summary>
public abstract class MessageQueueContract
{
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(1);

    protected abstract Task<IMessageQueue> NewQueue();

    protected abstract Task PutText(IMessageQueue queue, string text);

    [Fact]
    public async Task A_message_comes_out_as_it_went_in()
    {
        var queue = await NewQueue();
        var body = Enumerable.Range(0, 256).Select(i => (byte)i).ToArray();
        await queue.Send(body);
        var message = Assert.Single(await queue.Receive(32, Long));
        Assert.Equal(body, message.Body!.Value.ToArray());
        Assert.Equal(1, message.DequeueCount);
    }

    [Fact]
    public async Task An_empty_queue_gives_nothing() => Assert.Empty(await (await NewQueue()).Receive(32, Long));

    [Fact]
    public async Task The_largest_body_fits_and_a_byte_more_is_refused()
    {
        var queue = await NewQueue();
        await queue.Send(new byte[IMessageQueue.MaximumBodyBytes]);
        Assert.Equal(IMessageQueue.MaximumBodyBytes, Assert.Single(await queue.Receive(1, Long)).Body!.Value.Length);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => queue.Send(new byte[IMessageQueue.MaximumBodyBytes + 1]));
    }

    [Fact]
    public async Task A_received_message_is_hidden_and_a_returned_one_comes_again()
    {
        var queue = await NewQueue();
        await queue.Send("once"u8.ToArray());
        var first = Assert.Single(await queue.Receive(32, Long));
        Assert.Empty(await queue.Receive(32, Long));
        await queue.Return(first, TimeSpan.Zero);
        var second = Assert.Single(await queue.Receive(32, Long));
        Assert.Equal(2, second.DequeueCount);
        Assert.Equal("once", Encoding.UTF8.GetString(second.Body!.Value.Span));
    }

    [Fact]
    public async Task A_deleted_message_is_gone_and_deleting_again_is_quiet()
    {
        var queue = await NewQueue();
        await queue.Send("x"u8.ToArray());
        var message = Assert.Single(await queue.Receive(32, TimeSpan.FromSeconds(1)));
        await queue.Delete(message);
        await queue.Delete(message);
        await queue.Return(message, TimeSpan.Zero);
        Assert.Empty(await queue.Receive(32, Long));
    }

    [Fact]
    public async Task A_receipt_of_an_earlier_delivery_deletes_nothing()
    {
        var queue = await NewQueue();
        await queue.Send("x"u8.ToArray());
        var first = Assert.Single(await queue.Receive(32, Long));
        await queue.Return(first, TimeSpan.Zero);
        var second = Assert.Single(await queue.Receive(32, Long));
        await queue.Delete(first);
        await queue.Return(second, TimeSpan.Zero);
        Assert.Single(await queue.Receive(32, Long));
    }

    [Fact]
    public async Task A_text_that_is_not_base64_comes_without_a_body()
    {
        var queue = await NewQueue();
        await PutText(queue, "{not base64}");
        var message = Assert.Single(await queue.Receive(32, Long));
        Assert.Null(message.Body);
        Assert.Equal("{not base64}", message.Text);
    }
}

public sealed class MemoryQueueTests : MessageQueueContract
{
    protected override Task<IMessageQueue> NewQueue() => Task.FromResult<IMessageQueue>(new MemoryQueue(TimeProvider.System));

    protected override Task PutText(IMessageQueue queue, string text)
    {
        ((MemoryQueue)queue).AddText(text);
        return Task.CompletedTask;
    }
}

public sealed class AzureQueueTests : MessageQueueContract
{
    private StorageAccount? _account;

    [Fact]
    public async Task Storage_that_does_not_answer_is_named()
    {
        var port = FreePorts.Take();
        var account = StorageAccount.At(
            $"AccountName=a;AccountKey=AAAA;QueueEndpoint=http://127.0.0.1:{port}/a;BlobEndpoint=http://127.0.0.1:{port}/a;TableEndpoint=http://127.0.0.1:{port}/a;");
        var e = await Assert.ThrowsAsync<QueueUnavailableException>(() => new AzureQueue(account.Queues(), "events").Receive(1, TimeSpan.FromSeconds(1)));
        Assert.StartsWith("queue events: ", e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', e.Message);
    }

    protected override async Task<IMessageQueue> NewQueue()
    {
        _account = StorageAccount.At((await AzuriteServer.Shared()).NewAccount());
        return new AzureQueue(_account.Queues(), "work");
    }

    protected override async Task PutText(IMessageQueue queue, string text)
    {
        var client = _account!.Queues().GetQueueClient("work");
        await client.CreateIfNotExistsAsync();
        await client.SendMessageAsync(text);
    }
}
