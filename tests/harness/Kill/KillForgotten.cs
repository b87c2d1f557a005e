using IotHub.Harness.Mqtt;

namespace IotHub.Harness.Kill;

/// <summary>
/// A client whose sessions must not be remembered: it begins each with a clean start, alternately over one that would have been kept, and
/// after a kill asks for the old one.
/// </summary>
internal sealed class KillForgotten : IAsyncDisposable
{
    private readonly Ledger _ledger;
    private readonly LastingClient _client;
    private readonly KillClient _lasting;
    private readonly Random _random;
    private readonly bool _isV5;
    private volatile bool _mayHear;

    public KillForgotten(KilledBroker broker, Ledger ledger, bool isV5, int seed)
    {
        (_ledger, _isV5, _random) = (ledger, isV5, new Random(seed));
        // 5.0 says with the expiry that it is not kept, 3.1.1 with the clean session.
        _client = new LastingClient(broker.Port, $"forgotten {(isV5 ? "5.0" : "3.1.1")}", isV5, keepsSession: false)
        {
            OnMessage = message =>
            {
                if (!_mayHear)
                {
                    _ledger.Add(KillFault.SessionRemembered, $"{Name} still gets messages of {message.Topic}");
                }
                return Task.CompletedTask;
            },
        };
        _lasting = new KillClient(broker, ledger, _client);
    }

    public int Sessions { get; private set; }

    private string Name => _client.Id;

    public async Task Run(CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            // Asks for a session: in 5.0 it is not kept again, in 3.1.1 it is, and the clean one below takes it away.
            _mayHear = _lasting.HasSession is not false;
            if (!await _lasting.TryConnect(cleanStart: false, keeps: !_isV5))
            {
                continue;
            }
            await KillClient.Wait(_random.Next(50), stop);
            await _client.Cut();
            _mayHear = true;
            if (!await _lasting.TryConnect(cleanStart: true, keeps: false))
            {
                continue;
            }
            Sessions++;
            await _lasting.Try(() => _client.Subscribe("kill/p/#", 1));
            await Task.WhenAny(_client.Reading, KillClient.Wait(_random.Next(800), stop));
            await _client.Cut();
        }
        _lasting.BlameRefusals();
    }

    public ValueTask DisposeAsync() => _client.DisposeAsync();
}
