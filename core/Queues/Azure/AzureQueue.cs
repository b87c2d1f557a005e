using Azure;
using Azure.Storage.Queues;
using Azure.Storage.Queues.Models;

namespace IotHub.Core.Queues.Azure;

/// <summary>A queue of the storage account, made on first use.</summary>
public sealed class AzureQueue : IMessageQueue
{
    private readonly QueueClient _client;

    /// <param name="service">Made with <see cref="QueueMessageEncoding.None"/>: what is not base64 must be seen, not thrown at.</param>
    public AzureQueue(QueueServiceClient service, string name) => _client = service.GetQueueClient(name);

    public async Task Send(ReadOnlyMemory<byte> body, TimeSpan delay = default, CancellationToken cancel = default)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(body.Length, IMessageQueue.MaximumBodyBytes);
        var text = QueueText.Encode(body.Span);
        await Creating(() => _client.SendMessageAsync(text, delay, timeToLive: null, cancel), cancel);
    }

    public async Task<IReadOnlyList<QueuedMessage>> Receive(int maximum, TimeSpan hideFor, CancellationToken cancel = default)
    {
        var messages = await Creating(() => _client.ReceiveMessagesAsync(maximum, hideFor, cancel), cancel);
        return
        [
            .. messages.Value.Select(message => new QueuedMessage(
                message.MessageId, message.PopReceipt, QueueText.Decode(message.MessageText), message.MessageText, message.DequeueCount)),
        ];
    }

    public async Task Delete(QueuedMessage message, CancellationToken cancel = default) =>
        await Quietly(() => _client.DeleteMessageAsync(message.Id, message.Receipt, cancel), cancel);

    public async Task Return(QueuedMessage message, TimeSpan delay, CancellationToken cancel = default) =>
        await Quietly(() => _client.UpdateMessageAsync(message.Id, message.Receipt, message.Text, delay, cancel), cancel);

    private async Task<T> Creating<T>(Func<Task<T>> call, CancellationToken cancel)
    {
        try
        {
            return await call();
        }
        catch (RequestFailedException e) when (e.ErrorCode == QueueErrorCode.QueueNotFound)
        {
            return await Failing(
                async () =>
                {
                    await _client.CreateIfNotExistsAsync(cancellationToken: cancel);
                    return await call();
                },
                cancel);
        }
        catch (Exception e) when (AzureFailure.Is(e, cancel))
        {
            throw AzureFailure.Of($"queue {_client.Name}", e, cancel);
        }
    }

    private async Task Quietly<T>(Func<Task<T>> call, CancellationToken cancel)
    {
        try
        {
            await call();
        }
        catch (RequestFailedException e) when (IsGone(e.ErrorCode))
        {
            // Its time ran out and someone else took or deleted it: theirs now.
        }
        catch (Exception e) when (AzureFailure.Is(e, cancel))
        {
            throw AzureFailure.Of($"queue {_client.Name}", e, cancel);
        }
    }

    private async Task<T> Failing<T>(Func<Task<T>> call, CancellationToken cancel)
    {
        try
        {
            return await call();
        }
        catch (Exception e) when (AzureFailure.Is(e, cancel))
        {
            throw AzureFailure.Of($"queue {_client.Name}", e, cancel);
        }
    }

    private static bool IsGone(string? code) =>
        code == QueueErrorCode.MessageNotFound || code == QueueErrorCode.PopReceiptMismatch || code == QueueErrorCode.QueueNotFound;
}
