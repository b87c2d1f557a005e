using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance;

public sealed class SmokeTests
{
    [Theory]
    [InlineData(0, 4)]
    [InlineData(1, 4)]
    [InlineData(2, 4)]
    [InlineData(0, 5)]
    [InlineData(1, 5)]
    [InlineData(2, 5)]
    public async Task A_message_reaches_a_subscriber_at_each_quality_and_version(byte qos, byte level)
    {
        await using var broker = TestBroker.Start();
        await using var subscriber = await broker.Connect("sub", level);
        await using var publisher = await broker.Connect("pub", level);
        await subscriber.Subscribe("a/+", 2);
        var isV5 = level == 5;
        await publisher.Send(Packet.Publish("a/b", "hello", qos, 7, isV5: isV5));
        if (qos == 1)
        {
            await publisher.Expect("40 02 0007");
        }
        else if (qos == 2)
        {
            await publisher.Expect("50 02 0007");
            await publisher.Send(Packet.Ack(6, 7));
            await publisher.Expect("70 02 0007");
        }
        var received = await subscriber.NextPublish();
        Assert.Equal(("a/b", "hello", qos), (received.Topic, received.Payload, received.Qos));
        if (qos == 1)
        {
            await subscriber.Send(Packet.Ack(4, received.Id));
        }
        else if (qos == 2)
        {
            await subscriber.Send(Packet.Ack(5, received.Id));
            await subscriber.Expect(Packet.Ack(6, received.Id));
            await subscriber.Send(Packet.Ack(7, received.Id));
        }
        await subscriber.ExpectNothing();
    }

    [Fact]
    public async Task A_persistent_session_gets_what_was_published_while_it_was_away()
    {
        await using var broker = TestBroker.Start();
        var options = new ConnectOptions { ClientId = "sub", CleanStart = false, Properties = Packet.Property(0x11, 100u) };
        await using (var subscriber = await broker.Connect(options))
        {
            await subscriber.Subscribe("t", 1);
            await subscriber.Send("E0 00");
            await subscriber.ExpectClosed();
        }
        await using var publisher = await broker.Connect("pub");
        for (ushort i = 1; i <= 3; i++)
        {
            await publisher.Send(Packet.Publish("t", $"m{i}", 1, i));
            await publisher.Expect($"40 02 000{i}");
        }
        await using var back = await broker.Connect(options);
        Assert.Equal(1, back.ConnAck[2]);
        for (var i = 1; i <= 3; i++)
        {
            Assert.Equal($"m{i}", (await back.NextPublish()).Payload);
        }
    }

    [Fact]
    public async Task Retained_messages_and_wills_arrive()
    {
        await using var broker = TestBroker.Start();
        await using var publisher = await broker.Connect(new ConnectOptions { ClientId = "pub", Will = new WillOptions("w", "gone") });
        await publisher.Send(Packet.Publish("r", "kept", 1, 1, retain: true));
        await publisher.Next();
        await using var subscriber = await broker.Connect("sub");
        await subscriber.Subscribe("#", 1);
        var kept = await subscriber.NextPublish();
        Assert.Equal(("r", "kept", true), (kept.Topic, kept.Payload, kept.Retain));
        publisher.Cut();
        Assert.Equal("gone", (await subscriber.NextPublish()).Payload);
    }
}
