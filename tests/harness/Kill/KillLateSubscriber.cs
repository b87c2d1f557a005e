using System.Text;
using IotHub.Harness.Mqtt;

namespace IotHub.Harness.Kill;

/// <summary>
/// A session that keeps subscribing to new filters and leaving old ones, so that a kill always comes shortly after; then it says something
/// to each of them and sees what comes.
/// </summary>
internal sealed class KillLateSubscriber : IAsyncDisposable
{
    private const int Kept = 5;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private readonly Ledger _ledger;
    private readonly LastingClient _client;
    private readonly KillClient _lasting;
    private readonly Random _random;
    private readonly string _name;

    /// <summary>Filters by number: is it subscribed to? Null while nobody can know.</summary>
    private readonly SortedDictionary<int, bool?> _filters = [];
    private readonly HashSet<string> _came = [];
    private int _next;
    private int _looks;

    public KillLateSubscriber(KilledBroker broker, Ledger ledger, string name, bool isV5, int seed)
    {
        (_ledger, _name, _random) = (ledger, name, new Random(seed));
        _client = new LastingClient(broker.Port, name, isV5, keepsSession: true)
        {
            OnMessage = message =>
            {
                lock (_came)
                {
                    _came.Add($"{message.Topic} {Encoding.UTF8.GetString(message.Payload.Span)}");
                }
                return Task.CompletedTask;
            },
        };
        _lasting = new KillClient(broker, ledger, _client);
    }

    public int Subscriptions => _next;

    public async Task Run(CancellationToken end, CancellationToken stop)
    {
        while (!end.IsCancellationRequested && await _lasting.Return(stop))
        {
            await Look(stop);
            while (_client.IsConnected && !end.IsCancellationRequested && await _lasting.Try(ChangeOne))
            {
                await Task.Delay(_random.Next(20), CancellationToken.None);
            }
            await _client.Cut();
        }
        if (await _lasting.Return(stop))
        {
            await Look(stop);
        }
        _lasting.BlameRefusals();
    }

    public ValueTask DisposeAsync() => _client.DisposeAsync();

    private async Task ChangeOne()
    {
        var number = _next++;
        _filters[number] = null;
        await _client.Subscribe(Topic(number), 1);
        _filters[number] = true;
        var old = number - Kept;
        if (_filters.GetValueOrDefault(old) is true)
        {
            _filters[old] = null;
            await _client.Unsubscribe(Topic(old));
            _filters[old] = false;
        }
        _filters.Remove(number - (4 * Kept));
    }

    private string Topic(int number) => $"kill/late/{_name}/{number}";

    /// <summary>One message to each filter: to those that were left first, so that theirs would be here when the last has come.</summary>
    private async Task Look(CancellationToken stop)
    {
        var look = ++_looks;
        var known = _filters.Where(f => f.Value is not null).OrderBy(f => f.Value).ToList();
        foreach (var (number, _) in known)
        {
            await _client.Publish(Topic(number), Encoding.UTF8.GetBytes($"{look}"), 1);
        }
        var until = DateTime.UtcNow + Patience;
        while (_client.IsConnected && !stop.IsCancellationRequested && known.Exists(f => f.Value == true && !Came(f.Key, look)))
        {
            if (DateTime.UtcNow > until)
            {
                foreach (var (number, _) in known.Where(f => f.Value == true && !Came(f.Key, look)))
                {
                    _ledger.Add(KillFault.SubscriptionLost, $"{_name}: nothing comes to {Topic(number)}, whose SUBACK had come");
                }
                break;
            }
            await Task.Delay(5, CancellationToken.None);
        }
        foreach (var (number, _) in known.Where(f => f.Value == false && Came(f.Key, look)))
        {
            _ledger.Add(KillFault.SubscriptionRemembered, $"{_name}: a message comes to {Topic(number)}, whose UNSUBACK had come");
        }
    }

    private bool Came(int number, int look)
    {
        lock (_came)
        {
            return _came.Contains($"{Topic(number)} {look}");
        }
    }
}
