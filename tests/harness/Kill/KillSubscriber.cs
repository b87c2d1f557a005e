using IotHub.Harness.Mqtt;

namespace IotHub.Harness.Kill;

/// <summary>A session that takes all streams: always there, or coming and going.</summary>
internal sealed class KillSubscriber : IAsyncDisposable
{
    private const int PingMs = 40;
    private const int DeafMs = 30;
    private readonly Ledger _ledger;
    private readonly LastingClient _client;
    private readonly KillClient _lasting;
    private readonly IReadOnlyList<StreamView> _views;
    private readonly Random _random;
    private readonly bool _comesAndGoes;

    /// <summary>Acknowledgements per connection of which the broker had heard at some publish; proven when that was acknowledged.</summary>
    private readonly Dictionary<int, List<(int Acks, int Incarnation, long Clock)>> _heard = [];

    public KillSubscriber(
        KilledBroker broker, Ledger ledger, string name, bool isV5, IReadOnlyList<StreamView> views, bool comesAndGoes, int seed)
    {
        (_ledger, _views, _comesAndGoes, _random) = (ledger, views, comesAndGoes, new Random(seed));
        _client = new LastingClient(broker.Port, name, isV5, keepsSession: true)
        {
            OnMessage = Took,
            OnPong = Heard,
        };
        _lasting = new KillClient(broker, ledger, _client);
    }

    public string Name => _client.Id;
    public int Connections => _client.Connections;

    public async Task Begin(string filter, byte qos)
    {
        await _lasting.Return(CancellationToken.None);
        await _client.Subscribe(filter, qos);
    }

    /// <summary>Was the acknowledgement with this number on that connection on disk before anything that has happened since? Under the gate.</summary>
    public bool IsProven(int session, int ackNumber) =>
        _heard.GetValueOrDefault(session)?.Exists(h => h.Acks > ackNumber && IsProven(h)) == true;

    public bool HasEnded(int session) => _client.Connections > session || !_client.IsConnected;

    /// <param name="stay">From then on it stays.</param>
    /// <param name="stop">From then on it need not come back.</param>
    public async Task Run(CancellationToken stay, CancellationToken stop)
    {
        var pinging = Ping(stop);
        while (await _lasting.Return(stop))
        {
            if (_comesAndGoes && !stay.IsCancellationRequested)
            {
                await Task.WhenAny(_client.Reading, KillClient.Wait(_random.Next(50, 1_500), stay));
                await Go(stay);
            }
            else
            {
                await Task.WhenAny(_client.Reading, KillClient.Wait(-1, stop));
                if (stop.IsCancellationRequested)
                {
                    break;
                }
            }
        }
        await pinging;
        _lasting.BlameRefusals();
    }

    public ValueTask DisposeAsync() => _client.DisposeAsync();

    private async Task Go(CancellationToken stay)
    {
        if (_random.Next(2) == 0)
        {
            _client.IsDeaf = true;
            await Task.Delay(DeafMs, CancellationToken.None);
        }
        await (_random.Next(3) == 0 ? _client.Leave() : _client.Cut());
        await KillClient.Wait(_random.Next(4) == 0 ? _random.Next(3_000) : _random.Next(300), stay);
    }

    private async Task Ping(CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            await Task.Delay(PingMs, CancellationToken.None);
            if (_client.IsConnected && _lasting.Incarnation is not null)
            {
                await _client.Ping();
            }
        }
    }

    private Task Took(TakenMessage message)
    {
        if (NumberedStream.Read(message.Payload.Span) is not { } read || message.Topic != $"kill/p/{read.Index}")
        {
            _ledger.Add(KillFault.Corrupted, $"{Name} got a message of {message.Topic} that nobody sent so");
        }
        else
        {
            _views[read.Index].Took(this, message, read.Number, _client.IsDeaf);
        }
        return Task.CompletedTask;
    }

    private void Heard(int session, int acks)
    {
        if (_lasting.Incarnation is not { } incarnation)
        {
            return;
        }
        lock (_ledger.Gate)
        {
            if (!_heard.TryGetValue(session, out var heard))
            {
                _heard.Add(session, heard = []);
            }
            heard.Add((acks, incarnation, _ledger.Clock));
            // One that is proven says all that those before it say.
            var proven = heard.FindLastIndex(IsProven);
            if (proven > 0)
            {
                heard.RemoveRange(0, proven);
            }
        }
    }

    private bool IsProven((int Acks, int Incarnation, long Clock) heard) => _ledger.LastProof(heard.Incarnation) > heard.Clock;
}
