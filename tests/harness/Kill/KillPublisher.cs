using IotHub.Harness.Mqtt;

namespace IotHub.Harness.Kill;

/// <summary>Says its stream in bursts, and says again what was not acknowledged when its connection ended.</summary>
internal sealed class KillPublisher : IAsyncDisposable
{
    private const int OpenMaximum = 60;
    private readonly LastingClient _client;
    private readonly KillClient _lasting;
    private readonly NumberedStream _stream;
    private readonly Random _random;

    public KillPublisher(KilledBroker broker, Ledger ledger, NumberedStream stream, bool isV5, int seed)
    {
        (_stream, _random) = (stream, new Random(seed));
        _client = new LastingClient(broker.Port, $"publisher {stream.Index} QoS {stream.Qos} {(isV5 ? "5.0" : "3.1.1")}", isV5, keepsSession: true)
        {
            OnSending = tag => stream.Sending((int)tag),
            OnAcknowledged = tag => stream.WasAcknowledged((int)tag, _lasting!.Incarnation),
        };
        _lasting = new KillClient(broker, ledger, _client);
    }

    /// <summary>Until it is asked to end, has said something, and all it said is acknowledged.</summary>
    public async Task Run(CancellationToken end, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested && !(end.IsCancellationRequested && _stream.Published > 0 && _client.OpenPublishes == 0))
        {
            if (!_client.IsConnected)
            {
                await _client.Cut();
                await _lasting.Return(stop);
            }
            else if (!(end.IsCancellationRequested && _stream.Published > 0))
            {
                await Burst(_random.Next(1, 7));
            }
            await Task.Delay(_random.Next(5, 60), CancellationToken.None);
        }
        _lasting.BlameRefusals();
    }

    public ValueTask DisposeAsync() => _client.DisposeAsync();

    private async Task Burst(int count)
    {
        while (count-- > 0 && _client.IsConnected && _client.OpenPublishes < OpenMaximum)
        {
            var number = _stream.Next();
            var size = _random.Next(40) == 0 ? _random.Next(40_000) : _random.Next(300);
            await _client.Publish(_stream.Topic, _stream.Payload(number, size), _stream.Qos, tag: number);
        }
    }
}
