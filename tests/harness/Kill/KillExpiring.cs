using IotHub.Harness.Mqtt;

namespace IotHub.Harness.Kill;

/// <summary>
/// A stream of messages without expiry, with a long one and with a short one, to a session that is away most of the time. Time goes on
/// while the broker is down. (D5)
/// </summary>
internal sealed class KillExpiring : IAsyncDisposable
{
    private const int OpenMaximum = 60;
    private readonly Ledger _ledger;
    private readonly byte _qos;
    private readonly Random _random;
    private readonly Random _hearing;
    private readonly LastingClient _publisher;
    private readonly KillClient _publishing;
    private readonly LastingClient _subscriber;
    private readonly KillClient _subscribing;
    private readonly ExpiringStream _stream;
    private TimeSpan _connectedAfter;
    private int _highest = -1;

    public KillExpiring(KilledBroker broker, Ledger ledger, byte qos, int seed)
    {
        (_ledger, _qos, _random, _hearing) = (ledger, qos, new Random(seed), new Random(seed + 1));
        _stream = new ExpiringStream(_random);
        _publisher = new LastingClient(broker.Port, $"expiring QoS {qos}", isV5: true, keepsSession: true)
        {
            OnSending = _stream.Sending,
            OnAcknowledged = _stream.Acknowledged,
        };
        _publishing = new KillClient(broker, ledger, _publisher);
        _subscriber = new LastingClient(broker.Port, $"sleeper QoS {qos}", isV5: true, keepsSession: true) { OnMessage = Took };
        _subscribing = new KillClient(broker, ledger, _subscriber);
    }

    /// <summary>Messages without expiry or with a long one that came.</summary>
    public int LongLived => Count(m => !m.IsShort && m.Came);

    /// <summary>Messages with a short one that came.</summary>
    public int ShortLived => Count(m => m.IsShort && m.Came);

    /// <summary>Messages with a short one whose time is over, and that have not come.</summary>
    public int Expired => Count(m => !m.Came && m.IsOver(_stream.Now));

    public bool IsComplete => Count(m => !m.IsShort && !m.Came) == 0;

    private string Topic => $"kill/expiring/{_qos}";

    public async Task Begin()
    {
        await _subscribing.Return(CancellationToken.None);
        await _subscriber.Subscribe(Topic, _qos);
        await _subscriber.Cut();
    }

    /// <param name="end">From then on it stops, once it has said a message of each kind and all are acknowledged.</param>
    /// <param name="stop">From then on it stops at once.</param>
    public async Task Publish(CancellationToken end, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested && !(end.IsCancellationRequested && _stream.Said.Count >= ExpiringMessage.Kinds && _publisher.OpenPublishes == 0))
        {
            if (!_publisher.IsConnected)
            {
                await _publisher.Cut();
                await _publishing.Return(stop);
            }
            else if (!(end.IsCancellationRequested && _stream.Said.Count >= ExpiringMessage.Kinds) && _publisher.OpenPublishes < OpenMaximum)
            {
                await PublishOne();
            }
            await Task.Delay(_random.Next(5, 40), CancellationToken.None);
        }
        _publishing.BlameRefusals();
    }

    /// <param name="stay">From then on it stays, once it has slept long enough for a message to expire.</param>
    /// <param name="stop">From then on it need not come back.</param>
    public async Task Hear(CancellationToken stay, CancellationToken stop)
    {
        await Sleep(TimeSpan.Zero, stop);
        while (!stop.IsCancellationRequested)
        {
            _connectedAfter = _stream.Now;
            if (!await _subscribing.TryConnect())
            {
                continue;
            }
            await Task.WhenAny(_subscriber.Reading, stay.IsCancellationRequested ? KillClient.Wait(-1, stop) : KillClient.Wait(_hearing.Next(50, 500), stay));
            if (!stay.IsCancellationRequested)
            {
                await _subscriber.Cut();
                await (_hearing.Next(2) == 0 ? Sleep(_stream.Now, stay) : KillClient.Wait(_hearing.Next(300), stay));
            }
        }
        _subscribing.BlameRefusals();
    }

    /// <summary>At the end: all that is missing and must not be.</summary>
    public void BlameMissing()
    {
        lock (_stream.Gate)
        {
            foreach (var (number, message) in _stream.Said.Index().Where(m => !m.Item.IsShort && !m.Item.Came))
            {
                _ledger.Add(KillFault.LongLivedLost, $"{_subscriber.Id} never got #{number}, sent with {message.Expiry}");
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _publisher.DisposeAsync();
        await _subscriber.DisposeAsync();
    }

    /// <summary>Until a message has expired that was said since then.</summary>
    private async Task Sleep(TimeSpan begin, CancellationToken cancel)
    {
        while (!cancel.IsCancellationRequested && Count(m => m.IsShort && m.FirstSend > begin && m.IsOver(_stream.Now)) == 0)
        {
            await Task.Delay(10, CancellationToken.None);
        }
    }

    private async Task PublishOne()
    {
        var (number, message) = _stream.Next();
        await _publisher.Publish(Topic, ExpiringStream.Payload(number), _qos, tag: number, properties: message.ToProperties());
    }

    private Task Took(TakenMessage taken)
    {
        var number = ExpiringStream.Read(taken.Payload);
        lock (_stream.Gate)
        {
            var (message, now) = (_stream.Said[number], _stream.Now);
            if (message.WrongInterval(taken, _connectedAfter, now) is { } wrong)
            {
                Blame(KillFault.ExpiryWrong, number, wrong);
            }
            // What was begun to be delivered in time is ended, with DUP. [MQTT-3.3.2-5]
            if (!taken.Dup && message.IsOver(_connectedAfter))
            {
                var age = now - message.Acknowledged!.Value;
                Blame(
                    KillFault.MessageOutlived, number,
                    $"{age.TotalMilliseconds:0} ms after its acknowledgement, sent with {message.Expiry}");
            }
            if (message.Came)
            {
                if (_qos == 2)
                {
                    Blame(KillFault.Doubled, number, "again");
                }
                return Task.CompletedTask;
            }
            message.Came = true;
            CheckOrder(message, number, now);
        }
        return Task.CompletedTask;
    }

    /// <summary>Of those before it that have not come the short ones may have expired, if they have had the time.</summary>
    private void CheckOrder(ExpiringMessage message, int number, TimeSpan now)
    {
        // At QoS 1 the first copy of a message that was sent again may have expired, and the second comes behind others.
        if (number < _highest && !(message.IsShort && message.Sends > 1 && _qos == 1))
        {
            Blame(KillFault.Reordered, number, $"after #{_highest}");
        }
        for (var skipped = _highest + 1; skipped < number; skipped++)
        {
            if (!_stream.Said[skipped].IsShort)
            {
                Blame(KillFault.Reordered, number, $"before #{skipped}");
            }
            else if (now - _stream.Said[skipped].FirstSend is var age && age < TimeSpan.FromSeconds(_stream.Said[skipped].Seconds!.Value) - ExpiringMessage.Margin)
            {
                Blame(
                    KillFault.MessageExpiredEarly, skipped,
                    $"no more, {age.TotalMilliseconds:0} ms after it was sent with {_stream.Said[skipped].Expiry}");
            }
        }
        _highest = Math.Max(_highest, number);
    }

    private void Blame(KillFault fault, int number, string what) => _ledger.Add(fault, $"{_subscriber.Id} got #{number} {what}");

    private int Count(Func<ExpiringMessage, bool> condition)
    {
        lock (_stream.Gate)
        {
            return _stream.Said.Count(condition);
        }
    }
}
