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
        public long Bytes { get; private set; }
        public bool IsFinished { get; private set; }
        public MemoryStream? Kept { get; set; }

        public override bool Send(byte[] buffer, int count, Action done)
        {
            Bytes += count;
            Kept?.Write(buffer, 0, count);
            return true;
        }

        public override void FinishSending() => IsFinished = true;

        public override void Close() => IsFinished = true;
    }
}
