using Azure;
using Azure.Storage.Queues;
using Azure.Storage.Queues.Models;
using Microsoft.Extensions.Logging;

namespace IotHub.Local.StandInHost;

/// <summary>
/// Feeds one queue function: receives in batches, runs all of them at once, refills when few are left, waits longer and longer while the
/// queue is empty, and moves to the poison queue what failed too often. The queue itself is never created here, as the host never does.
/// </summary>
public sealed partial class QueuePump
{
    private const string PoisonEnding = "-poison";
    private const int QueueNameMax = 63;

    private readonly FunctionDefinition _function;
    private readonly QueueTrigger _trigger;
    private readonly QueueSettings _settings;
    private readonly TimeSpan _visibility;
    private readonly InvocationClient _invocations;
    private readonly QueueClient _queue;
    private readonly QueueClient? _poison;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;

    /// <param name="visibility">How long a received message is hidden; renewed at half of it.</param>
    public QueuePump(
        FunctionDefinition function, QueueSettings settings, TimeSpan visibility, QueueServiceClient storage, InvocationClient invocations,
        TimeProvider time, ILoggerFactory loggers)
    {
        _function = function;
        _trigger = (QueueTrigger)function.Trigger;
        _settings = settings;
        _visibility = visibility;
        _invocations = invocations;
        _time = time;
        _logger = loggers.CreateLogger("Host.Queues");
        _queue = storage.GetQueueClient(_trigger.Queue);
        var poison = _trigger.Queue + PoisonEnding;
        var canHavePoison = !_trigger.Queue.EndsWith(PoisonEnding, StringComparison.Ordinal) && poison.Length <= QueueNameMax;
        _poison = canHavePoison ? storage.GetQueueClient(poison) : null;
    }

    /// <summary>
    /// Runs until <paramref name="stopReceiving"/>; returns when the last running message is done, or given up by
    /// <paramref name="abandon"/> (it then comes back when its visibility ends, as after the death of a host).
    /// </summary>
    public async Task Run(CancellationToken stopReceiving, CancellationToken abandon)
    {
        var backOff = new PollingBackOff(_settings.MaxPollingInterval, Random.Shared);
        var running = new HashSet<Task>();
        try
        {
            while (!stopReceiving.IsCancellationRequested)
            {
                running.RemoveWhere(task => task.IsCompleted);
                if (running.Count > _settings.NewBatchThreshold)
                {
                    await Task.WhenAny(running).WaitAsync(stopReceiving);
                    continue;
                }
                var messages = await Receive(stopReceiving);
                if (messages.Length == 0)
                {
                    await Task.Delay(backOff.NextWait(), _time, stopReceiving);
                    continue;
                }
                backOff.MessagesFound();
                running.UnionWith(messages.Select(message => Task.Run(() => Process(message, abandon), CancellationToken.None)));
            }
        }
        catch (OperationCanceledException) when (stopReceiving.IsCancellationRequested)
        {
            // Asked to stop.
        }
        await Task.WhenAll(running);
    }

    /// <summary>
    /// A missing queue and a storage account with troubles of its own look like an empty queue; anything else ends the host.
    /// </summary>
    private async Task<QueueMessage[]> Receive(CancellationToken cancel)
    {
        try
        {
            return await _queue.ReceiveMessagesAsync(_settings.BatchSize, _visibility, cancel);
        }
        catch (RequestFailedException e)
            when (e.Status is 0 or >= 500 || e.ErrorCode is "QueueNotFound" or "QueueBeingDeleted" or "QueueDisabled")
        {
            return [];
        }
        catch (AggregateException e) when (e.InnerExceptions.All(inner => inner is RequestFailedException { Status: 0 }))
        {
            return [];
        }
    }

    private async Task Process(QueueMessage message, CancellationToken abandon)
    {
        try
        {
            if (message.DequeueCount > _settings.MaxDequeueCount || !TryDecode(message, out var body))
            {
                await Poison(message, message.PopReceipt, abandon);
                return;
            }
            var payload = InvocationPayload.ForQueue(_function.Name, _trigger, message, body, _time.GetUtcNow());
            var (result, receipt) = await InvokeRenewing(message, payload, abandon);
            if (result.Succeeded)
            {
                await _queue.DeleteMessageAsync(message.MessageId, receipt, abandon);
            }
            else if (message.DequeueCount >= _settings.MaxDequeueCount)
            {
                await Poison(message, receipt, abandon);
            }
            else
            {
                await _queue.UpdateMessageAsync(message.MessageId, receipt, message.Body, _settings.VisibilityTimeout, abandon);
            }
        }
        catch (OperationCanceledException) when (abandon.IsCancellationRequested)
        {
            // The host is gone; the message comes back by itself.
        }
        catch (Exception e) when (e is RequestFailedException or FunctionAppException or AggregateException)
        {
            Log.NotSettled(_logger, _function.Name, message.MessageId, e.Message);
        }
    }

    /// <summary>Invokes, and hides the message for longer while that runs. The receipt changes with each renewal.</summary>
    private async Task<(InvocationResult Result, string Receipt)> InvokeRenewing(
        QueueMessage message, string payload, CancellationToken abandon)
    {
        using var done = CancellationTokenSource.CreateLinkedTokenSource(abandon);
        var renewal = Renew(message, done.Token);
        try
        {
            var result = await _invocations.Invoke(_function.Name, payload, abandon);
            await done.CancelAsync();
            return (result, await renewal);
        }
        finally
        {
            await done.CancelAsync();
        }
    }

    private async Task<string> Renew(QueueMessage message, CancellationToken done)
    {
        var receipt = message.PopReceipt;
        while (true)
        {
            await Task.Delay(_visibility / 2, _time, done).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (done.IsCancellationRequested)
            {
                return receipt;
            }
            try
            {
                var renewed = await _queue.UpdateMessageAsync(
                    message.MessageId, receipt, message.Body, _visibility, CancellationToken.None);
                receipt = renewed.Value.PopReceipt;
            }
            catch (RequestFailedException e)
            {
                Log.NotRenewed(_logger, _function.Name, message.MessageId, e.Message);
            }
        }
    }

    private bool TryDecode(QueueMessage message, out byte[] body)
    {
        body = message.Body.ToArray();
        if (!_settings.Base64)
        {
            return true;
        }
        try
        {
            body = Convert.FromBase64String(message.Body.ToString());
            return true;
        }
        catch (FormatException)
        {
            Log.NotBase64(_logger, _trigger.Queue, message.MessageId);
            return false;
        }
    }

    private async Task Poison(QueueMessage message, string receipt, CancellationToken abandon)
    {
        if (_poison is null)
        {
            Log.NoPoisonQueue(_logger, _trigger.Queue, message.MessageId);
            return;
        }
        try
        {
            await _poison.SendMessageAsync(message.Body, cancellationToken: abandon);
        }
        catch (RequestFailedException e) when (e.ErrorCode == "QueueNotFound")
        {
            await _poison.CreateIfNotExistsAsync(cancellationToken: abandon);
            await _poison.SendMessageAsync(message.Body, cancellationToken: abandon);
        }
        Log.Poisoned(_logger, message.MessageId, _poison.Name, message.DequeueCount);
        await _queue.DeleteMessageAsync(message.MessageId, receipt, abandon);
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Warning, "message {MessageId} went to {Queue} after {Count} deliveries")]
        public static partial void Poisoned(ILogger logger, string messageId, string queue, long count);

        [LoggerMessage(LogLevel.Warning, "message {MessageId} of {Queue} failed; the queue can have no poison queue, so it comes back")]
        public static partial void NoPoisonQueue(ILogger logger, string queue, string messageId);

        [LoggerMessage(LogLevel.Error, "message {MessageId} of {Queue} is not base64 and never reaches the handler")]
        public static partial void NotBase64(ILogger logger, string queue, string messageId);

        [LoggerMessage(LogLevel.Warning, "{Function}: message {MessageId} could not be hidden for longer: {Reason}")]
        public static partial void NotRenewed(ILogger logger, string function, string messageId, string reason);

        [LoggerMessage(LogLevel.Error, "{Function}: message {MessageId} could not be settled and will come back: {Reason}")]
        public static partial void NotSettled(ILogger logger, string function, string messageId, string reason);
    }
}
