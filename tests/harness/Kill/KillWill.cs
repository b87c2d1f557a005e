using System.Diagnostics;
using System.Globalization;
using System.Text;
using IotHub.Harness.Mqtt;

namespace IotHub.Harness.Kill;

/// <summary>
/// A client with a delayed will: cut off by itself or by a kill, it stays away until the will must have come, or returns before it is due,
/// or says goodbye. Each will is numbered; a watcher with a session of its own hears them.
/// </summary>
internal sealed class KillWill : IAsyncDisposable
{
    private const int DelaySeconds = 1;
    private static readonly TimeSpan Early = TimeSpan.FromMilliseconds(800);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);
    private readonly KilledBroker _broker;
    private readonly Ledger _ledger;
    private readonly string _name;
    private readonly byte _qos;
    private readonly Random _random;
    private readonly LastingClient _client;
    private readonly KillClient _lasting;
    private readonly LastingClient _watcher;
    private readonly KillClient _watching;
    private readonly Dictionary<int, int> _came = [];
    private readonly HashSet<int> _unwanted = [];
    private int _number;

    public KillWill(KilledBroker broker, Ledger ledger, string name, byte qos, int seed)
    {
        (_broker, _ledger, _name, _qos, _random) = (broker, ledger, name, qos, new Random(seed));
        _client = new LastingClient(broker.Port, name, isV5: true, keepsSession: true);
        _lasting = new KillClient(broker, ledger, _client);
        _watcher = new LastingClient(broker.Port, $"{name} watcher", isV5: true, keepsSession: true) { OnMessage = Took };
        _watching = new KillClient(broker, ledger, _watcher);
    }

    public int Fired { get; private set; }
    public int Withdrawn => _unwanted.Count;

    private string Topic => $"kill/will/{_name}";

    public async Task Begin()
    {
        await _watching.Return(CancellationToken.None);
        await _watcher.Subscribe(Topic, 2);
    }

    public async Task Watch(CancellationToken stop)
    {
        while (await _watching.Return(stop))
        {
            await Task.WhenAny(_watcher.Reading, KillClient.Wait(-1, stop));
            if (stop.IsCancellationRequested)
            {
                break;
            }
        }
        _watching.BlameRefusals();
    }

    public async Task Run(CancellationToken end, CancellationToken stop)
    {
        int? before = null;
        var away = Stopwatch.StartNew();
        while (!end.IsCancellationRequested)
        {
            // One try may leave a will of its own behind, so each has its number.
            var number = ++_number;
            _client.Will = new WillOptions(Topic, string.Create(CultureInfo.InvariantCulture, $"{number}"), _qos)
            {
                Properties = Packet.Property(0x18, (uint)DelaySeconds),
            };
            if (!await _lasting.TryConnect())
            {
                before = null;
                away.Restart();
                continue;
            }
            if (before is { } earlier && away.Elapsed < Early)
            {
                Withdraw(earlier);
            }
            await Task.WhenAny(_client.Reading, KillClient.Wait(_random.Next(50, 1_000), end));
            before = number;
            // Between this and the end of the connection a kill may take it away first: then the goodbye was not heard.
            var saysGoodbye = _random.Next(4) == 0 && _client.IsConnected;
            await (saysGoodbye ? _client.Leave() : _client.Cut());
            away.Restart();
            if (saysGoodbye)
            {
                before = null;
            }
            else if (_random.Next(2) == 0)
            {
                await Await(number, stop);
                before = null;
            }
        }
        await _client.Cut();
        _lasting.BlameRefusals();
    }

    public async ValueTask DisposeAsync()
    {
        await _client.DisposeAsync();
        await _watcher.DisposeAsync();
    }

    private async Task Await(int number, CancellationToken stop)
    {
        var since = Stopwatch.StartNew();
        while (!Came(number) && !stop.IsCancellationRequested)
        {
            if (since.Elapsed > Patience && _broker.MsSinceReady > 1_000)
            {
                _ledger.Add(KillFault.WillLost, $"will {number} of {_name} (QoS {_qos}) has not come {since.ElapsedMilliseconds} ms after its time");
                return;
            }
            await Task.Delay(10, CancellationToken.None);
        }
        Fired++;
    }

    private void Withdraw(int number)
    {
        lock (_came)
        {
            _unwanted.Add(number);
            if (_came.ContainsKey(number))
            {
                _ledger.Add(KillFault.WillUnwanted, $"will {number} of {_name} came although its client was back in time");
            }
        }
    }

    private bool Came(int number)
    {
        lock (_came)
        {
            return _came.ContainsKey(number);
        }
    }

    private Task Took(TakenMessage message)
    {
        lock (_came)
        {
            var number = int.Parse(Encoding.UTF8.GetString(message.Payload.Span), CultureInfo.InvariantCulture);
            var times = _came[number] = _came.GetValueOrDefault(number) + 1;
            if (_unwanted.Contains(number))
            {
                _ledger.Add(KillFault.WillUnwanted, $"will {number} of {_name} came although its client was back in time");
            }
            // At QoS 1 its acknowledgement may have been lost with the connection.
            if (times > 1 && !(_qos == 1 && message.Dup))
            {
                _ledger.Add(KillFault.WillDoubled, $"will {number} of {_name} (QoS {_qos}) came {times} times");
            }
        }
        return Task.CompletedTask;
    }
}
