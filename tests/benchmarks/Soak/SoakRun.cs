using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using IotHub.Harness.Mqtt;

namespace IotHub.Benchmarks.Soak;

/// <summary>Everyone who takes part in a soak: publishers, receivers, and those who come and go.</summary>
internal sealed class SoakRun(int port) : IAsyncDisposable
{
    private const int TicksPerSecond = 50;
    private const int StampSize = 12;
    private const int DeafTicks = 3;
    private const int ChurnTopics = 500;
    private const int PingSeconds = 10;
    private static readonly TimeSpan DrainDeadline = TimeSpan.FromSeconds(60);

    private readonly List<MessageStream> _streams = [];
    private readonly ConcurrentDictionary<string, LastingClient> _clients = new();
    private readonly List<Func<CancellationToken, Task>> _publishing = [];
    private readonly List<Func<CancellationToken, Task>> _comingAndGoing = [];
    private readonly ConcurrentQueue<string> _faults = new();
    private int _cuts;
    private int _churned;

    public IReadOnlyList<MessageStream> Streams => _streams;
    public RetainedCheck Retained { get; } = new(port);
    public int Cuts => _cuts;
    public int Churned => _churned;
    public long SlowReaderTook { get; private set; }

    /// <summary>What went wrong besides messages, each kind once.</summary>
    public IEnumerable<string> Faults =>
        _faults.Concat(_clients.Values.Select(c => c.Refusal).OfType<string>()).Concat(Retained.Faults).Distinct().Take(20);

    /// <summary>Runs everyone for a time, then lets all that is on its way arrive.</summary>
    public async Task Execute(TimeSpan duration, Action eachSecond)
    {
        await Populate();
        using var stopPublishing = new CancellationTokenSource();
        using var stopGoing = new CancellationTokenSource();
        var publishing = _publishing.ConvertAll(work => Guarded(() => work(stopPublishing.Token)));
        var going = _comingAndGoing.ConvertAll(work => Guarded(() => work(stopGoing.Token)));
        var until = DateTime.UtcNow + duration;
        var seconds = 0;
        while (DateTime.UtcNow < until)
        {
            await Task.Delay(TimeSpan.FromSeconds(1));
            eachSecond();
            await Task.WhenAll(++seconds % PingSeconds == 0 ? _clients.Values.Select(client => client.Ping()) : []);
        }
        await stopPublishing.CancelAsync();
        await Task.WhenAll(publishing);
        await stopGoing.CancelAsync();
        await Task.WhenAll(going);
        var drainUntil = DateTime.UtcNow + DrainDeadline;
        while (_streams.Exists(s => s.Lost > 0) && DateTime.UtcNow < drainUntil)
        {
            await Task.Delay(50);
        }
        // What comes twice may come late.
        await Task.Delay(500);
    }

    public async ValueTask DisposeAsync()
    {
        await Retained.DisposeAsync();
        foreach (var client in _clients.Values)
        {
            await client.DisposeAsync();
        }
    }

    private async Task Populate()
    {
        foreach (var isV5 in new[] { false, true })
        {
            var version = isV5 ? "5.0" : "3.1.1";
            for (byte qos = 0; qos <= 2; qos++)
            {
                await AddPair($"steady QoS {qos} {version}", qos, isV5, 200);
            }
            for (byte qos = 1; qos <= 2; qos++)
            {
                await AddPair($"receiver returns QoS {qos} {version}", qos, isV5, 100, receiverGoes: true);
                await AddPair($"publisher returns QoS {qos} {version}", qos, isV5, 100, publisherGoes: true);
            }
        }
        await AddShared("shared QoS 1", 1, withLeaver: true);
        await AddShared("shared QoS 2", 2, withLeaver: false);
        await AddPair("slow reader QoS 1, window 10", 1, true, 30, delay: TimeSpan.FromMilliseconds(20), receiveMaximum: 10);
        await AddFirehose();
        await Retained.Start();
        _publishing.Add(Retained.Publish);
        _comingAndGoing.Add(Retained.Look);
        _comingAndGoing.Add(Churn);
    }

    private async Task AddPair(
        string name, byte qos, bool isV5, int perSecond, bool receiverGoes = false, bool publisherGoes = false, TimeSpan delay = default,
        ushort receiveMaximum = 0)
    {
        var stream = AddStream(name, qos, isShared: false);
        var receiver = await AddReceiver(stream, $"{name} in", stream.Topic, isV5, delay, receiveMaximum);
        if (receiverGoes)
        {
            _comingAndGoing.Add(cancel => GoAndReturn(receiver, cancel));
        }
        await AddPublisher(stream, isV5, perSecond, StampSize + 52, publisherGoes);
    }

    /// <summary>Three members, of which one comes back to its session; with a leaver a fourth that ends its session each time.</summary>
    private async Task AddShared(string name, byte qos, bool withLeaver)
    {
        var stream = AddStream(name, qos, isShared: true);
        var filter = $"$share/soak/{stream.Topic}";
        for (var i = 0; i < 3; i++)
        {
            var member = await AddReceiver(stream, $"{name} member {i}", filter, isV5: true);
            if (i == 0)
            {
                _comingAndGoing.Add(cancel => GoAndReturn(member, cancel));
            }
        }
        if (withLeaver)
        {
            _comingAndGoing.Add(cancel => JoinAndLeave(stream, filter, cancel));
        }
        await AddPublisher(stream, true, 200, StampSize + 52, goes: false);
    }

    /// <summary>Large messages to one who keeps up, beside one who does not: the broker must drop for the latter alone.</summary>
    private async Task AddFirehose()
    {
        var stream = AddStream("beside a stalled reader QoS 0", 0, isShared: false);
        await AddReceiver(stream, "firehose in", stream.Topic, isV5: false);
        var slow = AddClient(new LastingClient(port, "soak-slow", true, keepsSession: false)
        {
            OnMessage = async _ =>
            {
                SlowReaderTook++;
                await Task.Delay(100);
            },
        });
        await slow.Connect();
        await slow.Subscribe(stream.Topic, 0);
        await AddPublisher(stream, true, 500, 2_048, goes: false);
    }

    private MessageStream AddStream(string name, byte qos, bool isShared)
    {
        var stream = new MessageStream(_streams.Count, name, qos, isShared, HasEnded);
        _streams.Add(stream);
        return stream;
    }

    private bool HasEnded(string id, int session) =>
        !_clients.TryGetValue(id, out var client) || client.Connections > session || !client.IsConnected;

    private LastingClient AddClient(LastingClient client) => _clients[client.Id] = client;

    private async Task<LastingClient> AddReceiver(
        MessageStream stream, string name, string filter, bool isV5, TimeSpan delay = default, ushort receiveMaximum = 0)
    {
        var client = AddClient(Receiver(stream, $"soak-{name}", isV5, keepsSession: true, delay, receiveMaximum));
        await client.Connect();
        await client.Subscribe(filter, stream.Qos);
        return client;
    }

    private LastingClient Receiver(
        MessageStream stream, string id, bool isV5, bool keepsSession, TimeSpan delay = default, ushort receiveMaximum = 0) =>
        new(port, id, isV5, keepsSession)
        {
            ReceiveMaximum = receiveMaximum,
            OnMessage = async message =>
            {
                if (MemoryMarshal.Read<int>(message.Payload.Span) != stream.Index)
                {
                    _faults.Enqueue($"{id} got a message of {message.Topic}");
                }
                stream.Took(MemoryMarshal.Read<long>(message.Payload.Span[4..]), message.Dup, id, message.Session);
                if (delay > TimeSpan.Zero)
                {
                    await Task.Delay(delay);
                }
            },
        };

    private async Task AddPublisher(MessageStream stream, bool isV5, int perSecond, int size, bool goes)
    {
        var client = AddClient(new LastingClient(port, $"soak-{stream.Name} out", isV5, keepsSession: true));
        await client.Connect();
        _publishing.Add(cancel => PublishSteadily(client, stream, perSecond, size, goes, cancel));
    }

    /// <summary>An even rate; one that goes cuts its connection now and then and sends again what was open.</summary>
    private async Task PublishSteadily(
        LastingClient client, MessageStream stream, int perSecond, int size, bool goes, CancellationToken cancel)
    {
        var random = new Random(stream.Index);
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1.0 / TicksPerSecond));
        var (owed, ticksToCut) = (0.0, random.Next(TicksPerSecond, 6 * TicksPerSecond));
        while (!cancel.IsCancellationRequested)
        {
            await timer.WaitForNextTickAsync(CancellationToken.None);
            for (owed += (double)perSecond / TicksPerSecond; owed >= 1; owed--)
            {
                var payload = new byte[size];
                MemoryMarshal.Write(payload, stream.Index);
                MemoryMarshal.Write(payload.AsSpan(4), stream.Next());
                await client.Publish(stream.Topic, payload, stream.Qos);
            }
            client.IsDeaf = goes && ticksToCut <= DeafTicks;
            if (goes && --ticksToCut == 0)
            {
                ticksToCut = random.Next(TicksPerSecond, 6 * TicksPerSecond);
                stream.MayBeSentAgain(stream.Published - client.OpenPublishes);
                await Return(client, random);
            }
        }
        while (client.OpenPublishes > 0 && client.IsConnected)
        {
            await Task.Delay(10, CancellationToken.None);
        }
    }

    private async Task GoAndReturn(LastingClient client, CancellationToken cancel)
    {
        var random = new Random(client.Id.Length);
        while (await Wait(random.Next(1_000, 6_000), cancel))
        {
            client.IsDeaf = true;
            await Wait(1_000 * DeafTicks / TicksPerSecond, CancellationToken.None);
            await Return(client, random);
        }
    }

    private async Task Return(LastingClient client, Random random)
    {
        await client.Cut();
        Interlocked.Increment(ref _cuts);
        await Task.Delay(random.Next(10) == 0 ? 3_000 : random.Next(500));
        if (!await client.Connect())
        {
            _faults.Enqueue($"{client.Id}: the broker has forgotten the session");
        }
    }

    /// <summary>What a member that leaves has not acknowledged goes to others of the group.</summary>
    private async Task JoinAndLeave(MessageStream stream, string filter, CancellationToken cancel)
    {
        var random = new Random(7);
        while (await Wait(random.Next(500, 2_000), cancel))
        {
            await using var member = Receiver(stream, $"soak-leaver-{Interlocked.Increment(ref _cuts)}", isV5: true, keepsSession: false);
            _clients[member.Id] = member;
            await member.Connect();
            await member.Subscribe(filter, stream.Qos);
            await Wait(random.Next(500, 2_000), cancel);
            member.IsDeaf = true;
            await Wait(1_000 * DeafTicks / TicksPerSecond, CancellationToken.None);
            await member.Cut();
            // From now on unknown, which counts as ended.
            _clients.TryRemove(member.Id, out _);
        }
    }

    /// <summary>Clients that come once: sessions, subscriptions and buffers of theirs must go with them.</summary>
    private async Task Churn(CancellationToken cancel)
    {
        while (await Wait(50, cancel))
        {
            var number = Interlocked.Increment(ref _churned);
            await using var client = new LastingClient(port, $"soak-churn-{number}", number % 2 == 0, keepsSession: false);
            await client.Connect();
            // Names of clients are new each time, names of topics come round: the broker remembers topics, up to a limit.
            var topic = $"soak/churn/{number % ChurnTopics}";
            await client.Subscribe(topic, 1);
            await client.Publish(topic, new byte[100], 1);
            await (number % 3 == 0 ? client.Cut() : client.Leave());
        }
    }

    private async Task Guarded(Func<Task> work)
    {
        try
        {
            await work();
        }
        catch (Exception e) when (e is IOException or System.Net.Sockets.SocketException or InvalidOperationException)
        {
            _faults.Enqueue(e.Message);
        }
    }

    private static async Task<bool> Wait(int milliseconds, CancellationToken cancel)
    {
        await Task.Delay(milliseconds, cancel).ContinueWith(_ => { }, TaskScheduler.Default);
        return !cancel.IsCancellationRequested;
    }
}
