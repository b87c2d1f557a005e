using IotHub.Broker;
using IotHub.Broker.Auth;
using IotHub.Broker.Protocol;
using IotHub.Broker.Protocol.Packets;
using IotHub.Broker.Sessions;
using IotHub.Broker.Topics;
using IotHub.Core.Messages;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Unit.Fuzz;

/// <summary>What may be fed any bytes. A target throws nothing but what the protocol provides for, whatever it gets.</summary>
public static class FuzzTargets
{
    public static IReadOnlyDictionary<string, Action<byte[]>> All { get; } = new Dictionary<string, Action<byte[]>>
    {
        ["frame-reader"] = ReadFrames,
        ["connect"] = bytes => Expecting(() => Connect.Read(0x10, bytes, out _)),
        ["publish"] = bytes => Expecting(() => ReadPublish(bytes)),
        ["acknowledgement"] = bytes => Expecting(() => Acknowledgement.Read((PacketType)(4 + (First(bytes) % 4)), First(bytes), bytes, isV5: true)),
        ["subscribe"] = bytes => Expecting(() => Subscribe.Read(0x82, bytes, isV5: true, maximumFilters: 100)),
        ["unsubscribe"] = bytes => Expecting(() => Unsubscribe.Read(0xA2, bytes, isV5: true, maximumFilters: 100)),
        ["disconnect"] = bytes => Expecting(() => Disconnect.Read(0xE0, bytes, isV5: true)),
        ["auth"] = bytes => Expecting(() => IotHub.Broker.Protocol.Packets.Auth.Read(0xF0, bytes)),
        ["properties"] = bytes => Expecting(() => WalkProperties(bytes)),
        ["topic-match"] = MatchTopics,
        ["conversation"] = Converse,
    };

    private static byte First(byte[] bytes) => bytes.Length > 0 ? bytes[0] : (byte)0;

    private static void Expecting(Action read)
    {
        try
        {
            read();
        }
        catch (MqttException e)
        {
            Assert.True((byte)e.Reason >= 0x80);
        }
        catch (UnsupportedLevelException)
        {
            // A CONNECT of another level.
        }
    }

    private static void ReadFrames(byte[] bytes)
    {
        var at = 0;
        while (FrameReader.TryRead(bytes.AsSpan(at), 1_000, out var frame, out var consumed) == FrameResult.Complete)
        {
            Assert.True(consumed >= 2 && frame.Body.Length <= consumed - 2 && frame.Whole.Length == consumed);
            at += consumed;
        }
        Assert.True(at <= bytes.Length);
    }

    private static void ReadPublish(byte[] bytes)
    {
        var publish = Publish.Read((byte)(0x30 | (First(bytes) & 0x0F)), bytes, isV5: true);
        var forwarded = new byte[publish.Properties.Length];
        Assert.True(publish.CopyForwarded(forwarded) <= forwarded.Length);
        Assert.True(publish.Topic.Length + publish.Payload.Length + publish.Properties.Length <= bytes.Length);
    }

    private static void WalkProperties(byte[] bytes)
    {
        foreach (var place in Enum.GetValues<PropertyPlace>())
        {
            var reader = new PacketReader(bytes);
            try
            {
                var properties = new PropertyReader(ref reader, place);
                var walked = 0;
                while (properties.Next())
                {
                    walked += properties.Raw.Length;
                }
                Assert.Equal(properties.All.Length, walked);
            }
            catch (MqttException)
            {
                // Refused in this place; the next one may take it.
            }
        }
    }

    /// <summary>The tree and the table against the judge, which compares level by level.</summary>
    private static void MatchTopics(byte[] bytes)
    {
        // A small alphabet makes matches likely: each byte is one character of it.
        var text = string.Concat(bytes.Take(60).Select(b => "ab/+#$/a"[b & 7]));
        var parts = text.Split("##", StringSplitOptions.RemoveEmptyEntries);
        var filters = parts.Where(TopicFilter.IsValidFilter).Distinct().ToList();
        var topic = new string([.. text.Where(c => c is not ('+' or '#'))]);
        if (!TopicFilter.IsValidName(topic))
        {
            return;
        }
        filters.Add("#");
        filters.Add("a/+/#");
        var broker = new MqttBroker(new BrokerLimits(), new AnonymousAuthenticator(), new RecordingBridge(), TimeProvider.System, lanes: 1);
        var session = new Session(new Hub(broker.Lanes[0], Guid.NewGuid()), new SessionKey(Guid.NewGuid(), "s"), Rights.All);
        var tree = new SubscriptionTree();
        var subscriptions = filters.Distinct().Select(f => new Subscription(session, f, null)).ToList();
        subscriptions.ForEach(tree.Add);
        var found = new List<Subscription>();
        tree.Match(topic, found, []);
        Assert.Equal(
            subscriptions.Select(s => s.Filter).Where(f => TopicFilter.Matches(f, topic)).Order(StringComparer.Ordinal),
            found.Select(s => s.Filter).Order(StringComparer.Ordinal));
        subscriptions.ForEach(s => tree.Remove(s));
        found.Clear();
        tree.Match(topic, found, []);
        Assert.Empty(found);
    }

    /// <summary>A connected client that then says anything at all: the broker lives, and serves the next one.</summary>
    private static void Converse(byte[] bytes)
    {
        var broker = new MqttBroker(new BrokerLimits(), new AnonymousAuthenticator(), new RecordingBridge(), TimeProvider.System, lanes: 1);
        var level = (byte)(First(bytes) % 2 == 0 ? 4 : 5);
        var client = MemoryClient.Connect(broker, "fuzz", level);
        for (var at = 0; at < bytes.Length; at += 7)
        {
            client.Send(bytes.AsMemory(at, Math.Min(7, bytes.Length - at)));
        }
        client.Disconnect();
        Assert.Equal(0, broker.Connections);
        var next = MemoryClient.Connect(broker, "next");
        next.Keeps = true;
        next.Send(new byte[] { 0xC0, 0 });
        Assert.Equal("D0 00", Hex.Write(next.TakeReceived()));
        foreach (var connection in broker.Lanes[0].Connections)
        {
            Assert.Equal(ConnectionPhase.Connected, connection.Phase);
        }
    }
}
