using System.Globalization;
using System.Text;
using IotHub.Harness.Mqtt;

namespace IotHub.Harness.Kill;

/// <summary>
/// Retained messages: one publisher renews and clears topics in turn; newcomers must find on each what was last acknowledged, or something
/// younger.
/// </summary>
internal sealed class KillRetained : IAsyncDisposable
{
    private const int Topics = 20;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
    private readonly KilledBroker _broker;
    private readonly Ledger _ledger;
    private readonly LastingClient _client;
    private readonly KillClient _lasting;
    private readonly Random _random;
    private readonly Random _looking;
    private readonly int[] _sent = Enumerable.Repeat(-1, Topics).ToArray();
    private readonly int[] _acknowledged = Enumerable.Repeat(-1, Topics).ToArray();
    private int _next;

    public KillRetained(KilledBroker broker, Ledger ledger, int seed)
    {
        (_broker, _ledger, _random, _looking) = (broker, ledger, new Random(seed), new Random(seed + 1));
        _client = new LastingClient(broker.Port, "retainer", isV5: true, keepsSession: true)
        {
            OnAcknowledged = tag => Interlocked.Exchange(ref _acknowledged[tag % Topics], (int)tag),
        };
        _lasting = new KillClient(broker, ledger, _client);
    }

    public int Looks { get; private set; }

    public async Task Publish(CancellationToken end, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested && !(end.IsCancellationRequested && _client.OpenPublishes == 0))
        {
            if (!_client.IsConnected)
            {
                await _client.Cut();
                await _lasting.Return(stop);
            }
            else if (!end.IsCancellationRequested && _client.OpenPublishes < 20)
            {
                var number = _next++;
                Interlocked.Exchange(ref _sent[number % Topics], number);
                var payload = IsCleared(number) ? [] : Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{number}"));
                await _client.Publish($"kill/retained/{number % Topics}", payload, (byte)(1 + (number / Topics % 2)), retain: true, tag: number);
            }
            await Task.Delay(_random.Next(2, 30), CancellationToken.None);
        }
        _lasting.BlameRefusals();
    }

    /// <summary>A newcomer each time the broker has come back, and one at the end.</summary>
    public async Task Look(CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            await LookOnce();
            await Task.Delay(_looking.Next(50, 400), CancellationToken.None);
        }
    }

    public ValueTask DisposeAsync() => _client.DisposeAsync();

    private static bool IsCleared(int number) => number % 7 == 3;

    private async Task LookOnce()
    {
        var found = new Dictionary<string, string>();
        await using var client = new LastingClient(_broker.Port, $"newcomer {Looks++}", isV5: Looks % 2 == 0, keepsSession: false)
        {
            OnMessage = message =>
            {
                lock (found)
                {
                    if (message.Retain && !found.TryAdd(message.Topic, Encoding.UTF8.GetString(message.Payload.Span)))
                    {
                        _ledger.Add(KillFault.RetainedWrong, $"{message.Topic} came twice as a retained message of one subscription");
                    }
                }
                return Task.CompletedTask;
            },
        };
        var newcomer = new KillClient(_broker, _ledger, client);
        if (!await newcomer.TryConnect(cleanStart: true, keeps: false))
        {
            return;
        }
        var atLeast = _acknowledged.ToArray();
        var until = DateTime.UtcNow + Patience;
        if (await newcomer.Try(() => client.Subscribe("kill/retained/+", 1)))
        {
            for (var topic = 0; topic < Topics && client.IsConnected; topic++)
            {
                await Check(client, found, topic, atLeast[topic], until);
            }
        }
        await client.Cut();
    }

    private async Task Check(LastingClient client, Dictionary<string, string> found, int topic, int atLeast, DateTime until)
    {
        while (atLeast >= 0)
        {
            var atMost = Volatile.Read(ref _sent[topic]);
            string? value;
            lock (found)
            {
                value = found.GetValueOrDefault($"kill/retained/{topic}");
            }
            if (value is not null)
            {
                if (int.Parse(value, CultureInfo.InvariantCulture) is var number && (number < atLeast || number > atMost || IsCleared(number)))
                {
                    _ledger.Add(KillFault.RetainedWrong, $"topic {topic} has #{number}; #{atLeast} was acknowledged before, #{atMost} sent");
                }
                return;
            }
            if (Enumerable.Range(atLeast, atMost - atLeast + 1).Any(n => n % Topics == topic && IsCleared(n)))
            {
                return;
            }
            if (DateTime.UtcNow > until)
            {
                _ledger.Add(KillFault.RetainedWrong, $"topic {topic} has nothing; #{atLeast} was acknowledged before, #{atMost} sent");
                return;
            }
            await Task.Delay(5, CancellationToken.None);
            if (!client.IsConnected)
            {
                return;
            }
        }
    }
}
