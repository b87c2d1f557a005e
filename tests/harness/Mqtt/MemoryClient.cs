using IotHub.Broker;
using IotHub.Broker.Transport;
using Xunit;

namespace IotHub.Harness.Mqtt;

/// <summary>
/// A client without a socket: its packets go straight into the connection, what the broker sends is counted, and kept while
/// <see cref="Keeps"/> is set. For allocation figures, benchmarks and fuzzing.
/// </summary>
public sealed class MemoryClient
{
    private readonly MemoryChannel _channel = new() { IsEncrypted = false };
    private readonly MqttBroker _broker;

    private MemoryClient(MqttBroker broker)
    {
        _broker = broker;
        Connection = broker.Accept(_channel) ?? throw new InvalidOperationException("the broker takes no more connections");
    }

    public Connection Connection { get; }
    public long BytesSent => _channel.Bytes;
    public bool IsFinished => _channel.IsFinished;

    /// <summary>Keep what the broker sends, for <see cref="TakeReceived"/>.</summary>
    public bool Keeps
    {
        get => _channel.Kept is not null;
        set => _channel.Kept = value ? new MemoryStream() : null;
    }

    /// <summary>Of so many bytes, how many the socket takes at once; null for one that takes all. The rest: <see cref="TakeRest"/>.</summary>
    public Func<int, int>? Takes
    {
        get => _channel.Takes;
        set => _channel.Takes = value;
    }

    /// <summary>Something was sent that the socket has not taken yet.</summary>
    public bool HasRest => _channel.HasUnsent;

    /// <summary>The socket takes more, up to <paramref name="maximum"/> bytes.</summary>
    public void TakeRest(int maximum) => _channel.TakeRest(maximum);

    /// <summary>The socket will take nothing any more: what it had not taken is lost.</summary>
    public void Break() => _channel.Break();

    /// <summary>A client that has said nothing yet.</summary>
    public static MemoryClient Open(MqttBroker broker) => new(broker);

    public static MemoryClient Connect(MqttBroker broker, string clientId, byte level = 4)
    {
        var client = new MemoryClient(broker);
        client.Send(Packet.Connect(new ConnectOptions { ClientId = clientId, Level = level, KeepAlive = 0 }));
        Assert.Equal(ConnectionPhase.Connected, client.Connection.Phase);
        return client;
    }

    /// <summary>Hands bytes to the broker; true while it goes on listening. The broker must not need to wait for anything.</summary>
    public bool Send(ReadOnlyMemory<byte> bytes)
    {
        var received = Connection.Receive(bytes);
        return received.IsCompleted ? received.Result : throw new InvalidOperationException("the broker waits for something");
    }

    public void Disconnect() => _broker.Disconnected(Connection);

    /// <summary>What the broker has sent since the last call.</summary>
    public byte[] TakeReceived()
    {
        var taken = _channel.Kept!.ToArray();
        _channel.Kept.SetLength(0);
        return taken;
    }

    private sealed class MemoryChannel : Channel
    {
        private Rest? _rest;
        private bool _isBroken;

        public long Bytes { get; private set; }
        public bool IsFinished { get; private set; }
        public MemoryStream? Kept { get; set; }
        public Func<int, int>? Takes { get; set; }
        public override bool HasUnsent => _rest is not null;

        public override bool Send(byte[] buffer, int count, Action done)
        {
            if (_rest is not null)
            {
                throw new InvalidOperationException("something is sent while something else is being sent");
            }
            if (_isBroken)
            {
                return true;
            }
            var taken = Takes?.Invoke(count) ?? count;
            Take(buffer, 0, taken);
            _rest = taken == count ? null : new Rest(buffer, buffer[..count], taken, done);
            return taken == count;
        }

        public void TakeRest(int maximum)
        {
            if (_rest is not { } rest)
            {
                return;
            }
            rest.CheckUnchanged();
            var taken = Math.Min(maximum, rest.Sent.Length - rest.Taken);
            Take(rest.Buffer, rest.Taken, taken);
            _rest = rest with { Taken = rest.Taken + taken };
            if (_rest.Taken == rest.Sent.Length)
            {
                _rest = null;
                rest.Done();
            }
        }

        public void Break()
        {
            _isBroken = true;
            var rest = _rest;
            _rest = null;
            rest?.CheckUnchanged();
            rest?.Done();
        }

        private void Take(byte[] buffer, int from, int count)
        {
            Bytes += count;
            Kept?.Write(buffer, from, count);
        }

        public override void FinishSending() => IsFinished = true;

        public override void Close() => IsFinished = true;

        /// <summary>What a full socket did not take yet; whose bytes are the socket's until it says that it is done.</summary>
        private sealed record Rest(byte[] Buffer, byte[] Sent, int Taken, Action Done)
        {
            public void CheckUnchanged()
            {
                if (!Buffer.AsSpan(0, Sent.Length).SequenceEqual(Sent))
                {
                    throw new InvalidOperationException("bytes were changed while they were being sent");
                }
            }
        }
    }
}
