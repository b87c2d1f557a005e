using System.Collections.Concurrent;
using System.Globalization;
using System.Runtime.InteropServices;
using IotHub.Harness.Mqtt;

namespace IotHub.Benchmarks.Soak;

/// <summary>
/// Retained messages under change: a publisher that renews topics in turn, and new clients that must find exactly one on each, no older
/// than what was acknowledged before they asked.
/// </summary>
internal sealed class RetainedCheck(int port) : IAsyncDisposable
{
    private const int Topics = 50;
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(10);
    private readonly LastingClient _publisher = new(port, "soak-retained out", true, keepsSession: false);
    private readonly ConcurrentQueue<string> _faults = new();
    private long _published;

    public IEnumerable<string> Faults => _faults;
    public int Looks { get; private set; }

    public async Task Start()
    {
        await _publisher.Connect();
        for (var i = 0; i < Topics; i++)
        {
            await PublishNext();
        }
        while (_publisher.OpenPublishes > 0)
        {
            await Task.Delay(10);
        }
    }

    public async Task Publish(CancellationToken cancel)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        while (!cancel.IsCancellationRequested)
        {
            await timer.WaitForNextTickAsync(CancellationToken.None);
            await PublishNext();
        }
    }

    public async Task Look(CancellationToken cancel)
    {
        while (!cancel.IsCancellationRequested)
        {
            Looks++;
            await LookOnce(isV5: Looks % 2 == 0);
            await Task.Delay(2_000, cancel).ContinueWith(_ => { }, TaskScheduler.Default);
        }
    }

    public ValueTask DisposeAsync() => _publisher.DisposeAsync();

    private async Task LookOnce(bool isV5)
    {
        // Numbers go round the topics: all but the last Topics of those acknowledged have been replaced.
        var oldest = Volatile.Read(ref _published) - _publisher.OpenPublishes - Topics;
        var found = new ConcurrentDictionary<string, long>();
        var all = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var client = new LastingClient(port, $"soak-retained-{Looks}", isV5, keepsSession: false)
        {
            OnMessage = message =>
            {
                var number = MemoryMarshal.Read<long>(message.Payload.Span);
                if (message.Retain && !found.TryAdd(message.Topic, number))
                {
                    _faults.Enqueue($"{message.Topic} was retained twice for one subscription");
                }
                if (message.Retain && number < oldest)
                {
                    _faults.Enqueue($"{message.Topic} had an old retained message");
                }
                if (found.Count == Topics)
                {
                    all.TrySetResult();
                }
                return Task.CompletedTask;
            },
        };
        await client.Connect();
        await client.Subscribe("soak/retained/+", 1);
        if (await Task.WhenAny(all.Task, Task.Delay(Deadline)) != all.Task)
        {
            _faults.Enqueue(string.Create(CultureInfo.InvariantCulture, $"{found.Count} retained messages came instead of {Topics}"));
        }
        await client.Leave();
    }

    private async Task PublishNext()
    {
        var payload = new byte[64];
        MemoryMarshal.Write(payload, _published);
        await _publisher.Publish($"soak/retained/{_published % Topics}", payload, 1, retain: true);
        Interlocked.Increment(ref _published);
    }
}
