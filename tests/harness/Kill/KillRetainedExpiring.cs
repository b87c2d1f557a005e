using IotHub.Harness.Mqtt;

namespace IotHub.Harness.Kill;

/// <summary>
/// Retained messages without expiry, with a long one and with a short one, each on a topic that is renewed some seconds later: newcomers
/// must find those that last, with what is left of their time, and none whose time is over. Time goes on while the broker is down. (D5)
/// </summary>
internal sealed class KillRetainedExpiring : IAsyncDisposable
{
    private const int Topics = 30;
    private const string Root = "kill/fleeting/";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
    private readonly KilledBroker _broker;
    private readonly Ledger _ledger;
    private readonly Random _random;
    private readonly Random _looking;
    private readonly LastingClient _publisher;
    private readonly KillClient _publishing;
    private readonly ExpiringStream _stream;

    public KillRetainedExpiring(KilledBroker broker, Ledger ledger, int seed)
    {
        (_broker, _ledger, _random, _looking) = (broker, ledger, new Random(seed), new Random(seed + 1));
        _stream = new ExpiringStream(_random);
        _publisher = new LastingClient(broker.Port, "fleeting", isV5: true, keepsSession: true)
        {
            OnSending = _stream.Sending,
            OnAcknowledged = _stream.Acknowledged,
        };
        _publishing = new KillClient(broker, ledger, _publisher);
    }

    /// <summary>Times that a newcomer found one that lasts.</summary>
    public int LongLived { get; private set; }

    /// <summary>Times that a newcomer did not find one whose time was over.</summary>
    public int Expired { get; private set; }

    /// <param name="end">From then on it stops, once one has been seen that lasts and one that was gone.</param>
    /// <param name="stop">From then on it stops at once.</param>
    public async Task Publish(CancellationToken end, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested && !(end.IsCancellationRequested && HasSeenBoth && _publisher.OpenPublishes == 0))
        {
            if (!_publisher.IsConnected)
            {
                await _publisher.Cut();
                await _publishing.Return(stop);
            }
            else if (!(end.IsCancellationRequested && HasSeenBoth))
            {
                await PublishOne();
            }
            await Task.Delay(_random.Next(50, 300), CancellationToken.None);
        }
        _publishing.BlameRefusals();
    }

    /// <summary>A newcomer now and then.</summary>
    public async Task Look(CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            await LookOnce();
            await Task.Delay(_looking.Next(100, 600), CancellationToken.None);
        }
    }

    public ValueTask DisposeAsync() => _publisher.DisposeAsync();

    private bool HasSeenBoth => LongLived > 0 && Expired > 0;

    private async Task PublishOne()
    {
        var (number, message) = _stream.Next();
        await _publisher.Publish(
            $"{Root}{number % Topics}", ExpiringStream.Payload(number), (byte)(1 + (number / Topics % 2)), retain: true, tag: number,
            properties: message.ToProperties());
    }

    private async Task LookOnce()
    {
        var connectedAfter = _stream.Now;
        var found = new HashSet<int>();
        await using var client = new LastingClient(_broker.Port, "finder", isV5: true, keepsSession: false)
        {
            OnMessage = message => Found(message, found, connectedAfter),
        };
        var newcomer = new KillClient(_broker, _ledger, client);
        if (!await newcomer.TryConnect(cleanStart: true, keeps: false))
        {
            return;
        }
        var (lasting, over) = Expected(connectedAfter);
        var until = _stream.Now + Patience;
        if (await newcomer.Try(() => client.Subscribe($"{Root}+", 1)))
        {
            while (client.IsConnected && !AreThere(lasting, found) && _stream.Now < until)
            {
                await Task.Delay(5, CancellationToken.None);
            }
            Count(lasting, over, found, client.IsConnected);
        }
        await client.Cut();
    }

    private Task Found(TakenMessage taken, HashSet<int> found, TimeSpan connectedAfter)
    {
        if (!taken.Retain)
        {
            return Task.CompletedTask;
        }
        var number = ExpiringStream.Read(taken.Payload);
        lock (_stream.Gate)
        {
            var message = _stream.Said[number];
            found.Add(number);
            if (message.WrongInterval(taken, connectedAfter, _stream.Now) is { } wrong)
            {
                _ledger.Add(KillFault.ExpiryWrong, $"a newcomer found #{number} {wrong}");
            }
            if (message.IsOver(connectedAfter))
            {
                _ledger.Add(KillFault.MessageOutlived, $"a newcomer found #{number}, acknowledged with {message.Expiry} and over before it connected");
            }
        }
        return Task.CompletedTask;
    }

    /// <summary>The last ones of their topics: those that last and are acknowledged, and those whose time is over.</summary>
    private (List<int> Lasting, List<int> Over) Expected(TimeSpan connectedAfter)
    {
        lock (_stream.Gate)
        {
            var last = Enumerable.Range(Math.Max(0, _stream.Said.Count - Topics), Math.Min(Topics, _stream.Said.Count)).ToList();
            return (last.FindAll(n => !_stream.Said[n].IsShort && _stream.Said[n].Acknowledged is not null), last.FindAll(n => _stream.Said[n].IsOver(connectedAfter)));
        }
    }

    private bool AreThere(List<int> lasting, HashSet<int> found)
    {
        lock (_stream.Gate)
        {
            return lasting.TrueForAll(n => found.Contains(n) || IsRenewed(n));
        }
    }

    private void Count(List<int> lasting, List<int> over, HashSet<int> found, bool isConnected)
    {
        lock (_stream.Gate)
        {
            LongLived += lasting.Count(found.Contains);
            if (!isConnected)
            {
                return;
            }
            Expired += over.Count(n => !found.Contains(n));
            foreach (var number in lasting.Where(n => !found.Contains(n) && !IsRenewed(n)))
            {
                _ledger.Add(KillFault.LongLivedLost, $"a newcomer did not find #{number}, which was acknowledged with {_stream.Said[number].Expiry}");
            }
        }
    }

    /// <summary>Another may stand on its topic by now.</summary>
    private bool IsRenewed(int number) => number + Topics < _stream.Said.Count;
}
