using System.Diagnostics;
using IotHub.Harness.Mqtt;

namespace IotHub.Harness.Kill;

/// <summary>
/// A session with a short expiry, and one with a long one. Both go; the short one comes back at once, and must be there, or when its time
/// is well over, and must be gone, while the long one is always there. When its time has begun is proven: the broker was started after the
/// client had gone, so its recovery knows that nobody is connected, and a message that it acknowledged since proves that this is on disk.
/// </summary>
internal sealed class KillBrief : IAsyncDisposable
{
    private const string Topic = "kill/brief";
    private static readonly TimeSpan Expiry = TimeSpan.FromSeconds(2);
    private readonly KilledBroker _broker;
    private readonly Ledger _ledger;
    private readonly Random _random;
    private readonly LastingClient _brief;
    private readonly KillClient _briefly;
    private readonly LastingClient _long;
    private readonly KillClient _lasting;
    private readonly Stopwatch _clock = Stopwatch.StartNew();

    /// <summary>The broker has not heard of its end before that moment; null while nobody knows whether there is a session.</summary>
    private TimeSpan? _alive;
    private int _lastSent;
    private volatile int _lastAcknowledged;

    public KillBrief(KilledBroker broker, Ledger ledger, int seed)
    {
        (_broker, _ledger, _random) = (broker, ledger, new Random(seed));
        _brief = new LastingClient(broker.Port, "brief", isV5: true, keepsSession: true) { ExpirySeconds = (uint)Expiry.TotalSeconds };
        _briefly = new KillClient(broker, ledger, _brief);
        _long = new LastingClient(broker.Port, "long", isV5: true, keepsSession: true)
        {
            OnAcknowledged = tag => _lastAcknowledged = (int)tag,
        };
        _lasting = new KillClient(broker, ledger, _long);
    }

    /// <summary>Short sessions whose time was over, and that were gone.</summary>
    public int Gone { get; private set; }

    /// <summary>Short sessions that were back well in time, and were there.</summary>
    public int Back { get; private set; }

    public async Task Begin()
    {
        await _lasting.Return(CancellationToken.None);
        await _long.Subscribe(Topic, 1);
        await _long.Cut();
        await _briefly.Return(CancellationToken.None);
        await Stay(CancellationToken.None);
    }

    /// <param name="end">From then on it stops, once it has seen a session that was gone.</param>
    /// <param name="stop">From then on it stops at once.</param>
    public async Task Run(CancellationToken end, CancellationToken stop)
    {
        var isHere = await Outlast(stop);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(end, stop);
        while (!either.IsCancellationRequested)
        {
            if (isHere)
            {
                await Stay(either.Token);
            }
            isHere = _alive is { } alive && _random.Next(4) > 0 ? await ComeBack(alive) : await Outlast(either.Token);
        }
        await _brief.Cut();
        await _long.Cut();
        _briefly.BlameRefusals();
        _lasting.BlameRefusals();
    }

    public async ValueTask DisposeAsync()
    {
        await _brief.DisposeAsync();
        await _long.DisposeAsync();
    }

    /// <summary>Is there for a while, then not.</summary>
    private async Task Stay(CancellationToken cancel)
    {
        var before = _clock.Elapsed;
        _alive = await _briefly.Try(() => _brief.Subscribe(Topic, 1)) ? before : null;
        await Task.WhenAny(_brief.Reading, KillClient.Wait(_random.Next(500), cancel));
        await (_random.Next(3) == 0 ? _brief.Leave() : _brief.Cut());
    }

    private async Task<bool> ComeBack(TimeSpan alive)
    {
        // Long enough for a kill to come between.
        await Task.Delay(_random.Next(400), CancellationToken.None);
        if (!await TryConnect())
        {
            return false;
        }
        var away = _clock.Elapsed - alive;
        if (away < Expiry - ExpiringMessage.Margin)
        {
            Back += _briefly.WasPresent ? 1 : 0;
            Check(_briefly.WasPresent, KillFault.SessionExpiredEarly, $"gone after {away.TotalMilliseconds:0} ms");
        }
        return true;
    }

    /// <summary>Stays away until the session must be gone, and looks.</summary>
    private async Task<bool> Outlast(CancellationToken cancel)
    {
        while (await Prove(_broker.Incarnation, cancel))
        {
            var proven = _clock.Elapsed;
            await _long.Cut();
            await KillClient.Wait((int)(Expiry + ExpiringMessage.Margin).TotalMilliseconds + 1, cancel);
            if (cancel.IsCancellationRequested)
            {
                break;
            }
            if (await TryConnect())
            {
                var away = _clock.Elapsed - proven;
                Gone += _briefly.WasPresent ? 0 : 1;
                Check(!_briefly.WasPresent, KillFault.SessionOutlived, $"still there {away.TotalMilliseconds:0} ms after a start");
                await _lasting.Return(cancel);
                return true;
            }
        }
        return false;
    }

    /// <summary>Waits for a start of the broker after this one, and for the acknowledgement of a message that was sent since.</summary>
    private async Task<bool> Prove(int incarnation, CancellationToken cancel)
    {
        int? sent = null;
        while (!cancel.IsCancellationRequested)
        {
            if (!_long.IsConnected || _lasting.Incarnation is null)
            {
                await _long.Cut();
                await _lasting.Return(cancel);
            }
            else if (sent is null && _lasting.Incarnation > incarnation)
            {
                sent = ++_lastSent;
                await _long.Publish(Topic, default, 1, tag: _lastSent);
            }
            if (_lastAcknowledged >= sent)
            {
                return true;
            }
            await Task.Delay(5, CancellationToken.None);
        }
        return false;
    }

    /// <summary>Whether the session is there is checked here; one that does not come about may have made a session.</summary>
    private async Task<bool> TryConnect()
    {
        _briefly.HasSession = null;
        _alive = null;
        return await _briefly.TryConnect();
    }

    private void Check(bool isRight, KillFault fault, string text)
    {
        if (!isRight)
        {
            _ledger.Add(fault, $"{_brief.Id}, which expires after {Expiry.TotalSeconds} s: {text}");
        }
    }
}
