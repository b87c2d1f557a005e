using IotHub.Harness;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.V5;

/// <summary>Sections 3.1.2.5 to 3.1.2.7, 3.1.3.2 and 3.1.3.3: the will.</summary>
public sealed class WillTests
{
    private static ConnectOptions WithWill(uint delaySeconds = 0, uint expirySeconds = 60, byte qos = 0, bool retain = false) => new()
    {
        ClientId = "c",
        CleanStart = false,
        KeepAlive = 0,
        Properties = Packet.Property(0x11, expirySeconds),
        Will = new WillOptions("w", "gone", qos, retain) { Properties = delaySeconds == 0 ? [] : Packet.Property(0x18, delaySeconds) },
    };

    private static async Task<RawClient> Watch(TestBroker broker, byte options = 2)
    {
        var watcher = await broker.Connect(new ConnectOptions { ClientId = "watcher", KeepAlive = 0 });
        await watcher.Subscribe("w", options);
        return watcher;
    }

    [Theory]
    [InlineData("E0 01 04")] // DISCONNECT with will
    [InlineData("E0 01 80")]
    [InlineData("00 00")] // malformed
    [InlineData("90 03 0001 00")] // a protocol error
    [InlineData("")] // cut
    [Statement("MQTT-3.1.2-7", "MQTT-3.1.2-8")]
    public async Task The_will_goes_out_however_the_connection_ends_but_by_a_normal_disconnect(string last)
    {
        await using var broker = TestBroker.Start();
        await using var watcher = await Watch(broker);
        await using var client = await broker.Connect(WithWill());
        if (last.Length > 0)
        {
            await client.Send(last);
        }
        else
        {
            client.Cut();
        }
        await watcher.Receives("gone");
    }

    [Fact]
    [Statement("MQTT-3.1.2-8", "MQTT-3.1.2-10")]
    public async Task A_normal_disconnect_removes_the_will()
    {
        await using var broker = TestBroker.Start(time: new ManualTime());
        await using var watcher = await Watch(broker);
        foreach (var last in new[] { "E0 00", "E0 01 00", "E0 02 00 00" })
        {
            await using var client = await broker.Connect(WithWill(delaySeconds: 5));
            await client.Send(last);
            await client.ExpectClosed();
            broker.Advance(TimeSpan.FromSeconds(61));
            await watcher.ExpectNothing();
        }
    }

    [Fact]
    [Statement("MQTT-3.1.2-8", "MQTT-3.1.4-3")]
    public async Task A_take_over_lets_the_will_go_out_unless_it_is_delayed_and_the_session_goes_on()
    {
        await using var broker = TestBroker.Start(time: new ManualTime());
        await using var watcher = await Watch(broker);
        await using var first = await broker.Connect(WithWill());
        await using var second = await broker.Connect(WithWill(delaySeconds: 5));
        await first.ExpectDisconnect(0x8E);
        await watcher.Receives("gone");
        await using var third = await broker.Connect(WithWill(delaySeconds: 5));
        await second.ExpectDisconnect(0x8E);
        broker.Advance(TimeSpan.FromSeconds(6));
        await watcher.ExpectNothing();
        await using var fourth = await broker.Connect(WithWill() with { CleanStart = true, Will = null });
        await watcher.Receives("gone");
    }

    [Theory]
    [InlineData(5u, 60u, 5)]
    [InlineData(60u, 5u, 5)] // the session ends first
    [InlineData(5u, uint.MaxValue, 5)]
    [Statement("MQTT-3.1.2-8")]
    public async Task A_delayed_will_goes_out_after_its_delay_or_with_the_session(uint delay, uint expiry, int atSeconds)
    {
        await using var broker = TestBroker.Start(time: new ManualTime());
        await using var watcher = await Watch(broker);
        await using var client = await broker.Connect(WithWill(delay, expiry));
        await broker.CutOff(client, "c");
        broker.Advance(TimeSpan.FromSeconds(atSeconds - 0.1));
        await watcher.ExpectNothing();
        broker.Advance(TimeSpan.FromSeconds(0.2));
        await watcher.Receives("gone");
        broker.Advance(TimeSpan.FromSeconds(100));
        await watcher.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.1.2-8")]
    public async Task A_delay_means_nothing_where_the_session_ends_with_its_connection()
    {
        await using var broker = TestBroker.Start(time: new ManualTime());
        await using var watcher = await Watch(broker);
        await using var client = await broker.Connect(WithWill(delaySeconds: 60, expirySeconds: 0));
        client.Cut();
        await watcher.Receives("gone");
    }

    [Fact]
    [Statement("MQTT-3.1.2-10")]
    public async Task A_will_that_was_published_is_gone()
    {
        await using var broker = TestBroker.Start();
        await using var watcher = await Watch(broker);
        await using var client = await broker.Connect(WithWill());
        client.Cut();
        await watcher.Receives("gone");
        await using var back = await broker.Connect(WithWill() with { Will = null });
        await broker.CutOff(back, "c");
        await watcher.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.1.3-9")]
    public async Task A_return_within_the_delay_cancels_the_will()
    {
        await using var broker = TestBroker.Start(time: new ManualTime());
        await using var watcher = await Watch(broker);
        await using var client = await broker.Connect(WithWill(delaySeconds: 5));
        await broker.CutOff(client, "c");
        broker.Advance(TimeSpan.FromSeconds(1));
        await using var back = await broker.Connect(WithWill() with { Will = null });
        broker.Advance(TimeSpan.FromSeconds(10));
        await watcher.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.1.3-9")]
    public async Task A_return_that_begins_anew_does_not()
    {
        await using var broker = TestBroker.Start(time: new ManualTime());
        await using var watcher = await Watch(broker);
        await using var client = await broker.Connect(WithWill(delaySeconds: 5));
        await broker.CutOff(client, "c");
        await using var back = await broker.Connect(WithWill() with { Will = null, CleanStart = true });
        await watcher.Receives("gone");
    }

    [Theory]
    [InlineData(0, 2, 0)]
    [InlineData(1, 2, 1)]
    [InlineData(2, 2, 2)]
    [InlineData(2, 1, 1)]
    [InlineData(2, 0, 0)]
    [Statement("MQTT-3.1.2-12")]
    public async Task A_will_has_the_lower_of_its_own_quality_and_the_granted_one(byte willQos, byte granted, byte received)
    {
        await using var broker = TestBroker.Start();
        await using var watcher = await Watch(broker, granted);
        await using var client = await broker.Connect(WithWill(qos: willQos));
        client.Cut();
        Assert.Equal(received, (await watcher.Receives("gone")).Qos);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Statement("MQTT-3.1.2-14", "MQTT-3.1.2-15")]
    public async Task A_will_is_retained_exactly_when_it_says_so(bool retain)
    {
        await using var broker = TestBroker.Start();
        await using var watcher = await Watch(broker, 0x08); // Retain As Published
        await using var client = await broker.Connect(WithWill(retain: retain));
        client.Cut();
        Assert.Equal(retain, (await watcher.Receives("gone")).Retain);
        await using var later = await broker.Connect("later");
        await later.Subscribe("w", 0);
        if (retain)
        {
            Assert.True((await later.Receives("gone")).Retain);
        }
        await later.ExpectNothing();
    }

    [Fact]
    [Statement("MQTT-3.1.3-10", "MQTT-3.1.3-1", "MQTT-3.1.2-9")]
    public async Task All_fields_of_the_payload_are_read_in_their_order()
    {
        var authenticator = new ScriptedAuthenticator();
        await using var broker = TestBroker.Start(authenticator: authenticator);
        await using var watcher = await Watch(broker);
        byte[] properties =
        [
            .. Packet.UserProperty("a", "1"), .. Packet.Property(0x01, (byte)1), .. Packet.UserProperty("b", "2"),
            .. Packet.Property(0x03, "text/x"), .. Packet.Property(0x08, "r/1"), .. Hex.Read("09 0003 00FF00"), .. Packet.UserProperty("a", "3"),
        ];
        await using var client = await broker.Connect(new ConnectOptions
        {
            ClientId = "c",
            Will = new WillOptions("w", "gone") { Properties = properties },
            UserName = "user",
            Password = [0xFF, 0x00, 0xFE],
        });
        var attempt = authenticator.Attempts[^1];
        Assert.Equal(("c", "user"), (attempt.ClientId, attempt.UserName));
        Assert.Equal([0xFF, 0x00, 0xFE], attempt.Password!.Value.ToArray());
        client.Cut();
        var received = await watcher.Receives("gone");
        Assert.Equal("w", received.Topic);
        Assert.Equal(properties, received.Properties);
        Assert.Equal(["a=1", "b=2", "a=3"], received.Read().UserProperties);
    }

    [Theory]
    [InlineData("0003 EDA080")]
    [InlineData("0003 612F23")] // a/#
    [InlineData("0001 2B")] // +
    [InlineData("0000")]
    [Statement("MQTT-3.1.3-11")]
    public async Task A_will_topic_is_a_valid_topic_name(string topic)
    {
        await using var broker = TestBroker.Start();
        await broker.Refuses(Packet.RawConnect("06", $"0001 63 00 {topic} 0001 78"), 0x81, 0x82, 0x90);
    }

    [Fact]
    [Statement("U5-34")]
    public async Task The_expiry_of_a_will_counts_from_its_publication()
    {
        await using var broker = TestBroker.Start(time: new ManualTime());
        await using var absent = await broker.Connect(Steps.Lasting("absent") with { KeepAlive = 0 });
        await absent.Subscribe("w", 1);
        await broker.CutOff(absent, "absent");
        var will = new WillOptions("w", "gone", 1) { Properties = [.. Packet.Property(0x18, 5u), .. Packet.Property(0x02, 60u)] };
        await using var client = await broker.Connect(WithWill() with { Will = will });
        broker.Advance(TimeSpan.FromSeconds(100));
        await broker.CutOff(client, "c");
        broker.Advance(TimeSpan.FromSeconds(5.1));
        broker.Advance(TimeSpan.FromSeconds(10));
        await using var back = await broker.Connect(Steps.Lasting("absent"));
        Assert.InRange((await back.Receives("gone")).Read().Number(0x02), 49u, 51u);
    }
}
