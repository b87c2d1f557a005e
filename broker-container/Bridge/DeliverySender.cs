using System.Runtime.InteropServices;
using System.Threading.Channels;
using IotHub.Core.Messages;
using IotHub.Core.Queues;

namespace IotHub.Broker.Bridge;

/// <summary>
/// What is owed to routes, on its way to the deliveries queue. Each route has a lane of its own: its messages leave in order, in batches
/// of what came while the batch before was under way, and never two batches at once. While storage is down nothing is given up; the
/// bounded buffer fills, and then <see cref="Offer"/> says no.
/// </summary>
internal sealed partial class DeliverySender(EnvelopeQueue queue, TimeProvider clock, BridgeLimits limits, ILogger logger)
{
    /// <summary>What an envelope needs beside its messages, and a message beside topic and payload; both on the generous side.</summary>
    private const int EnvelopeOverhead = 512;
    private const int MessageOverhead = 256;

    private readonly Lock _lock = new();
    private readonly Dictionary<(Guid Hub, Guid Route), Lane> _lanes = [];
    private readonly Channel<Lane> _ready = Channel.CreateUnbounded<Lane>();
    private int _count;
    private long _bytes;
    private bool _closed;
    private TaskCompletionSource? _empty;
    private int _failing;

    /// <summary>Deliveries that wait or are under way.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _count;
            }
        }
    }

    public bool HasRoom(IReadOnlyList<Guid> routeIds, DeviceMessage message)
    {
        lock (_lock)
        {
            return HasRoom(routeIds.Count, BytesOf(message));
        }
    }

    public bool Offer(Guid hubId, IReadOnlyList<Guid> routeIds, DeviceMessage message, Action? stored)
    {
        if (routeIds.Count == 0)
        {
            stored?.Invoke();
            return true;
        }
        var owed = new Owed(message, routeIds.Count, stored);
        lock (_lock)
        {
            if (!HasRoom(routeIds.Count, owed.Bytes))
            {
                return false;
            }
            _count += routeIds.Count;
            _bytes += owed.Bytes;
            for (var i = 0; i < routeIds.Count; i++)
            {
                Enqueue(hubId, routeIds[i], owed);
            }
        }
        return true;
    }

    private static long BytesOf(DeviceMessage message) => message.Payload.Length + (2L * message.Topic.Length) + MessageOverhead;

    private bool HasRoom(int deliveries, long bytes) =>
        !_closed && _count + deliveries <= limits.BufferedDeliveries && _bytes + bytes <= limits.BufferedDeliveryBytes;

    /// <summary>Sends until cancelled.</summary>
    public Task Run(CancellationToken cancel) =>
        Task.WhenAll(Enumerable.Range(0, limits.ConcurrentDeliverySends).Select(_ => Work(cancel)));

    /// <summary>Takes nothing more, and completes when everything is sent.</summary>
    public Task Drain()
    {
        lock (_lock)
        {
            _closed = true;
            if (_count == 0)
            {
                return Task.CompletedTask;
            }
            _empty ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _empty.Task;
        }
    }

    private void Enqueue(Guid hubId, Guid routeId, Owed owed)
    {
        if (!_lanes.TryGetValue((hubId, routeId), out var lane))
        {
            _lanes[(hubId, routeId)] = lane = new Lane(hubId, routeId);
            _ready.Writer.TryWrite(lane);
        }
        lane.Waiting.Enqueue(owed);
    }

    private async Task Work(CancellationToken cancel)
    {
        try
        {
            await foreach (var lane in _ready.Reader.ReadAllAsync(cancel))
            {
                var batch = NextBatch(lane);
                await Send(lane, batch, cancel);
                Finish(lane, batch);
            }
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
        }
    }

    private List<Owed> NextBatch(Lane lane)
    {
        List<Owed> batch = [];
        lock (_lock)
        {
            var size = EnvelopeOverhead;
            while (batch.Count < limits.EnvelopeMessages && lane.Waiting.TryPeek(out var next))
            {
                size += MessageOverhead + next.JsonBytes;
                if (batch.Count > 0 && size > limits.EnvelopeBytes)
                {
                    break;
                }
                batch.Add(lane.Waiting.Dequeue());
            }
        }
        return batch;
    }

    private async Task Send(Lane lane, List<Owed> batch, CancellationToken cancel)
    {
        var envelope = new DeliveryEnvelope
        {
            HubId = lane.HubId,
            RouteId = lane.RouteId,
            CreatedAt = clock.GetUtcNow(),
            Messages = [.. batch.Select(owed => owed.ForEnvelope())],
        };
        var backOff = new BackOff(limits.FirstBackOff, limits.LongestBackOff, clock);
        while (true)
        {
            try
            {
                await queue.Send(envelope, TimeSpan.Zero, cancel);
                if (backOff.Failures > 0 && Interlocked.Exchange(ref _failing, 0) == 1)
                {
                    Log.Works(logger);
                }
                return;
            }
            catch (EnvelopeTooLargeException) when (batch.Count == 1)
            {
                // No way to deliver it exists: the topic alone does not fit.
                Log.TopicTooLong(logger, batch[0].Message.Id, lane.RouteId, lane.HubId);
                return;
            }
            catch (EnvelopeTooLargeException)
            {
                await SendApart(lane, batch, cancel);
                return;
            }
            catch (Exception e) when (!cancel.IsCancellationRequested)
            {
                if (Interlocked.Exchange(ref _failing, 1) == 0)
                {
                    Log.Fails(logger, e.Message, Count);
                }
            }
            await backOff.Wait(cancel);
        }
    }

    private async Task SendApart(Lane lane, List<Owed> batch, CancellationToken cancel)
    {
        foreach (var owed in batch)
        {
            await Send(lane, [owed], cancel);
        }
    }

    private void Finish(Lane lane, List<Owed> batch)
    {
        List<Action> stored = [];
        TaskCompletionSource? empty = null;
        lock (_lock)
        {
            foreach (var owed in batch)
            {
                if (--owed.Remaining == 0)
                {
                    _bytes -= owed.Bytes;
                    if (owed.Stored is { } callback)
                    {
                        stored.Add(callback);
                    }
                }
            }
            _count -= batch.Count;
            if (lane.Waiting.Count > 0)
            {
                _ready.Writer.TryWrite(lane);
            }
            else
            {
                _lanes.Remove((lane.HubId, lane.RouteId));
            }
            if (_count == 0)
            {
                empty = _empty;
            }
        }
        foreach (var callback in stored)
        {
            try
            {
                callback();
            }
            catch (Exception e)
            {
                Log.CallbackFailed(logger, e);
            }
        }
        empty?.TrySetResult();
    }

    private sealed class Lane(Guid hubId, Guid routeId)
    {
        public Guid HubId { get; } = hubId;
        public Guid RouteId { get; } = routeId;
        public Queue<Owed> Waiting { get; } = new();
    }

    /// <summary>One message and the routes that do not have it yet.</summary>
    private sealed class Owed(DeviceMessage message, int routes, Action? stored)
    {
        public DeviceMessage Message { get; } = message;
        public Action? Stored { get; } = stored;
        public int Remaining { get; set; } = routes;
        public long Bytes => BytesOf(Message);

        /// <summary>At most: base64 of the payload, and six bytes for an escaped character of the topic.</summary>
        public int JsonBytes => (Message.Payload.Length / 3 * 4) + 4 + (6 * Message.Topic.Length);

        public EnvelopeMessage ForEnvelope() => new()
        {
            Id = Message.Id,
            Topic = Message.Topic,
            Payload = WholeArray(Message.Payload) ?? Message.Payload.ToArray(),
            Retain = Message.Retain,
            ReceivedAt = Message.ReceivedAt,
        };

        private static byte[]? WholeArray(ReadOnlyMemory<byte> payload) =>
            MemoryMarshal.TryGetArray(payload, out var segment) && segment.Count == segment.Array!.Length ? segment.Array : null;
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning,
            "Deliveries cannot be put on their queue, trying until it works: {Reason}. {Count} are waiting")]
        public static partial void Fails(ILogger logger, string reason, int count);

        [LoggerMessage(2, LogLevel.Information, "Deliveries can be put on their queue again")]
        public static partial void Works(ILogger logger);

        [LoggerMessage(3, LogLevel.Error,
            "Message {MessageId} is not delivered to route {RouteId} of hub {HubId}: its topic is too long for a queue")]
        public static partial void TopicTooLong(ILogger logger, Guid messageId, Guid routeId, Guid hubId);

        [LoggerMessage(4, LogLevel.Error, "A message was handed over, but its publisher could not be told")]
        public static partial void CallbackFailed(ILogger logger, Exception exception);
    }
}
