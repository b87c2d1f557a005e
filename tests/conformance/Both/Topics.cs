using System.Text;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.Both;

public sealed class TopicsOverTcp() : Topics(Via.Tcp);

/// <summary>The same against a broker that writes to a disk.</summary>
public sealed class DurableTopics() : Topics(Via.Durable);

public sealed class TopicsOverTls() : Topics(Via.Tls);

public sealed class TopicsOverWebSocket() : Topics(Via.WebSocket);

public sealed class TopicsOverSecureWebSocket() : Topics(Via.SecureWebSocket);

/// <summary>Section 4.7: topic names and filters.</summary>
public abstract class Topics(Via via) : Conversation(via)
{
    [Theory, BothVersions]
    [Statement("MQTT-4.7.0-1")]
    [Statement("MQTT-3.3.2-2", "MQTT-4.7.1-1", Version = 4)]
    public async Task A_topic_name_has_no_wildcard(byte level)
    {
        var watcher = await Connect("watcher", level);
        await watcher.Subscribe("#", 0);
        foreach (var topic in new[] { "a/+", "#", "+", "a#", "a/b+" })
        {
            var client = await Connect("c", level);
            await client.Send(Packet.Publish(topic, "x", isV5: level == 5));
            await client.ExpectDisconnect(0x90);
            var dying = await Open(level);
            await dying.Send(Packet.Connect(new ConnectOptions { ClientId = "d", Level = level, Will = new WillOptions(topic, "x") }));
            if (level == 5)
            {
                Assert.Equal(0x90, (await dying.NextAnswer()).Code);
            }
            await dying.ExpectClosed();
        }
        await watcher.ExpectNothing();
    }

    [Theory, BothVersions]
    [Statement("MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT-4.7.3-1")]
    [Statement("MQTT-4.7.1-2", "MQTT-4.7.1-3", "MQTT-4.7.3-1", "MQTT-3.8.3-2", Version = 4)]
    public async Task Ill_placed_wildcards_and_empty_filters_are_refused_one_by_one(byte level)
    {
        var client = await Connect("c", level);
        var invalid = level == 5 ? (byte)0x8F : (byte)0x80;
        foreach (var filter in new[] { "a#", "a/#/b", "#/a", "a+", "+a", "a/b+", "##", "++", "a/+b/c", "" })
        {
            Assert.Equal([invalid], await client.SubscribeTo((filter, 0)));
        }
        foreach (var filter in new[] { "#", "a/#", "+", "+/a", "a/+/b", "+/#", "/", "/#", "+/+", "a//b", "$SYS/#" })
        {
            Assert.Equal([0], await client.SubscribeTo((filter, 0)));
        }
    }

    [Theory]
    [InlineData("a/#", "a", true)]
    [InlineData("a/#", "a/b", true)]
    [InlineData("a/#", "a/b/c", true)]
    [InlineData("a/#", "ab", false)]
    [InlineData("#", "a/b", true)]
    [InlineData("#", "/", true)]
    [InlineData("a/+", "a/", true)]
    [InlineData("a/+", "a/b", true)]
    [InlineData("a/+", "a", false)]
    [InlineData("a/+", "a/b/c", false)]
    [InlineData("a/+/c", "a/b/c", true)]
    [InlineData("x/#", "x/y", true)]
    [InlineData("+", "a", true)]
    [InlineData("+", "/a", false)]
    [InlineData("+/+", "/a", true)]
    [InlineData("/+", "/a", true)]
    [InlineData("+/#", "a", true)]
    [InlineData("+/a/#", "x/a", true)]
    [InlineData("a/b", "a/b/", false)]
    [Statement("MQTT-4.7.1-1", "MQTT-4.7.1-2")]
    [Statement("MQTT-3.3.2-3", "MQTT-4.7.1-2", "MQTT-4.7.1-3", "MQTT-3.8.3-2", Version = 4)]
    public async Task Wildcards_take_whole_levels(string filter, string topic, bool matches)
    {
        foreach (byte level in new byte[] { 4, 5 })
        {
            var client = await Connect("c", level);
            Assert.Equal(matches, await client.Matches(filter, topic));
        }
    }

    [Theory, BothVersions]
    [Statement("MQTT-4.7.2-1")]
    [Statement("MQTT-4.7.2-1", Version = 4)]
    public async Task Filters_that_start_with_a_wildcard_see_no_dollar_topics_retained_ones_included(byte level)
    {
        var publisher = await Connect("pub", level);
        await publisher.Publish("$data/x", "kept", retain: true);
        await publisher.ExpectNothing();
        var blind = await Connect("blind", level);
        var seeing = await Connect("seeing", level);
        await blind.SubscribeTo(("#", 0), ("+/x", 0), ("+/#", 0));
        await seeing.Subscribe("$data/#", 0);
        Assert.Equal("kept", (await seeing.Take()).Payload);
        await publisher.Publish("$data/x", "live");
        Assert.Equal("live", (await seeing.Take()).Payload);
        await blind.ExpectNothing();
    }

    [Theory, BothVersions]
    [Statement("MQTT-4.7.3-1", "MQTT-4.7.3-2")]
    [Statement("MQTT-1.5.3-2", "MQTT-4.7.3-1", "MQTT-4.7.3-2", Version = 4)]
    public async Task A_topic_name_is_not_empty_and_holds_no_null_character(byte level)
    {
        var client = await Connect("c", level);
        await client.Send(Packet.Publish("", "x", isV5: level == 5));
        await client.ExpectDisconnect(0x82);
        client = await Connect("c", level);
        await client.Send(Packet.Publish("a\0b", "x", isV5: level == 5));
        await client.ExpectDisconnect(0x81);
    }

    [Theory, BothVersions]
    [Statement("MQTT-4.7.3-3")]
    [Statement("MQTT-4.7.3-3", Version = 4)]
    public async Task A_topic_may_have_65535_bytes_and_too_many_levels_harm_nobody(byte level)
    {
        var client = await Connect("c", level);
        var longest = new string('x', 65_535);
        Assert.True(await client.Matches(longest, longest));
        Assert.True(await client.Matches("#", longest));

        var deep = new string('/', 32_767);
        var refused = await client.SubscribeTo((deep, 0));
        Assert.True(refused[0] >= 0x80);
        var rude = await Connect("rude", level);
        await rude.Send(Packet.Publish(deep, "x", isV5: level == 5));
        await rude.ExpectDisconnect(0x90);
        await client.ExpectNothing();
    }

    [Theory, BothVersions]
    [Statement("MQTT-4.7.3-4")]
    [Statement("MQTT-1.5.3-3", "MQTT-4.7.3-4", Version = 4)]
    public async Task Matching_changes_nothing(byte level)
    {
        var client = await Connect("c", level);
        string[] topics = ["A", "a", "a ", " a", "/a", "a/", "a//b", "a/b", "\u00E9", "e\u0301", "\uFEFFa"];
        foreach (var filter in topics)
        {
            foreach (var topic in topics)
            {
                Assert.Equal(filter == topic, await client.Matches(filter, topic));
            }
        }
        await client.Subscribe("\uFEFFa", 0);
        await client.Publish("\uFEFFa", "x");
        Assert.Equal("EF BB BF 61", Hex.Write(Encoding.UTF8.GetBytes((await client.Take()).Topic)));
    }
}
