using IotHub.Harness.Mqtt;

namespace IotHub.Harness.Simulation;

/// <content>Its socket, which may be slow, and the topic aliases of its connection.</content>
public sealed partial class SimulatedClient
{
    /// <summary>Topics by the aliases that it has set, and by those that it was told.</summary>
    private readonly Dictionary<ushort, string> _aliasesSet = [];
    private readonly Dictionary<ushort, string> _aliasesTold = [];
    private ushort _aliasMaximum;

    /// <summary>A packet that has not come whole.</summary>
    private byte[] _partial = [];

    /// <summary>Since when nothing has been held back: what comes on the wire was written then at the earliest.</summary>
    private long _nothingHeldSince;

    /// <summary>Something was sent to it that its socket has not taken yet.</summary>
    public bool HasRest => _connection is { HasRest: true };

    /// <summary>Its socket takes more, up to <paramref name="maximum"/> bytes.</summary>
    public void TakeRest(int maximum)
    {
        if (HasRest)
        {
            _connection!.TakeRest(maximum);
            tell($"the socket of {Id} takes more{(HasRest ? ", not all" : "")}");
            Collect();
        }
    }

    /// <summary>Takes what the broker has sent from the wire, to be read when the client likes.</summary>
    public void Collect()
    {
        if (_connection is null)
        {
            return;
        }
        byte[] bytes = [.. _partial, .. _connection.TakeReceived()];
        var whole = PacketStory.WholePackets(bytes);
        _partial = bytes[whole..];
        foreach (var packet in PacketStory.Split(bytes[..whole]))
        {
            _wire.Enqueue((packet, _nothingHeldSince));
        }
        if (_connection.Connection.Outbox is { IsHeld: false, IsEmpty: true })
        {
            _nothingHeldSince = broker.Lane.Now;
        }
    }

    /// <summary>At the end, when all is on disk and the socket took all it was given.</summary>
    public void CheckNothingIsLeftBehind() => SimulationModel.Check(
        _connection is not { Connection.Outbox: { IsEmpty: false } or { IsHeld: true } } && _partial.Length == 0,
        $"the socket of {Id} takes everything, and something for it is not sent");

    private MemoryClient Open()
    {
        var connection = MemoryClient.Open(broker.Broker);
        connection.Keeps = true;
        if (broker.Setup.HasSlowSockets && broker.More.Next(2) == 0)
        {
            connection.Takes = count => broker.More.Next(3) switch { 0 => count, 1 => 0, _ => broker.More.Next(count + 1) };
        }
        return connection;
    }

    /// <summary>The connection is gone; that what it had not taken is lost is known to the broker before that, or later.</summary>
    private void LetGo(MemoryClient? connection)
    {
        var hasRest = connection is { HasRest: true };
        if (hasRest && broker.More.Next(2) == 0)
        {
            connection!.Break();
        }
        connection?.Disconnect();
        if (hasRest)
        {
            broker.Later(connection!.Break);
        }
    }

    /// <summary>The property of CONNECT, and with it how many it takes.</summary>
    private byte[] AllowAliases()
    {
        _aliasMaximum = broker.Setup.HasAliases && IsV5 ? (ushort)broker.More.Next(5) : (ushort)0;
        return _aliasMaximum == 0 ? [] : Packet.Property(0x22, _aliasMaximum);
    }

    /// <summary>A topic as it is sent: with its alias, with a new one that replaces another, or as it is.</summary>
    private (string Topic, byte[] Properties) Name(string topic)
    {
        if (!broker.Setup.HasAliases || !IsV5 || broker.More.Next(4) == 0)
        {
            return (topic, []);
        }
        var known = _aliasesSet.FirstOrDefault(a => a.Value == topic).Key;
        if (known != 0 && broker.More.Next(3) > 0)
        {
            return ("", Packet.Property(0x23, known));
        }
        var alias = (ushort)broker.More.Next(1, broker.Setup.Limits.TopicAliasMaximum + 1);
        _aliasesSet[alias] = topic;
        return (topic, Packet.Property(0x23, alias));
    }

    /// <summary>The topic of what came, which may be an alias.</summary>
    private string TopicOf(ReceivedPublish publish)
    {
        var properties = ReceivedProperties.Read(publish.Properties);
        var alias = properties.Has(0x23) ? (ushort)properties.Number(0x23) : (ushort)0;
        SimulationModel.Check(
            alias <= _aliasMaximum && (alias > 0 || !properties.Has(0x23)), $"{Id} got alias {alias}, and takes {_aliasMaximum}");
        if (publish.Topic.Length > 0 && alias > 0)
        {
            _aliasesTold[alias] = publish.Topic;
        }
        SimulationModel.Check(
            publish.Topic.Length > 0 || _aliasesTold.ContainsKey(alias), $"{Id} got alias {alias}, and was not told what it means");
        return publish.Topic.Length > 0 ? publish.Topic : _aliasesTold[alias];
    }
}
