using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.V5;

/// <summary>What many of these tests do.</summary>
internal static class Steps
{
    /// <summary>A client that stays known for a while after its connection has ended.</summary>
    public static ConnectOptions Lasting(string clientId, uint expirySeconds = 300, bool cleanStart = false) =>
        new() { ClientId = clientId, CleanStart = cleanStart, Properties = Packet.Property(0x11, expirySeconds) };

    /// <summary>A connected client sends these bytes, is told why with one of these codes, and is closed.</summary>
    public static async Task Rejects(this TestBroker broker, string hex, params byte[] reasons)
    {
        await using var client = await broker.Connect("");
        await client.Send(hex);
        await client.ExpectDisconnect(reasons);
    }

    public static Task Rejects(this TestBroker broker, byte[] packet, params byte[] reasons) => broker.Rejects(Hex.Write(packet), reasons);

    /// <summary>This CONNECT is refused: a close, with or without a CONNACK of one of these codes before it.</summary>
    /// <returns>The CONNACK, or null.</returns>
    public static async Task<byte[]?> Refuses(this TestBroker broker, byte[] connect, params byte[] codes)
    {
        await using var client = await broker.Open();
        await client.Send(connect);
        return await client.ExpectRefused(codes);
    }

    /// <summary>Ends the connection without a DISCONNECT and waits until the broker has seen it.</summary>
    public static async Task CutOff(this TestBroker broker, RawClient client, string clientId)
    {
        client.Cut();
        await broker.Offline(clientId);
    }

    /// <summary>Sends a packet and returns the answer to it.</summary>
    public static async Task<ReceivedAnswer> Ask(this RawClient client, byte[] packet)
    {
        await client.Send(packet);
        return await client.NextAnswer();
    }

    /// <summary>Publishes at QoS 1 and takes the PUBACK, which is positive.</summary>
    public static async Task PublishAcked(
        this RawClient client, string topic, string payload, ushort id = 1, bool retain = false, byte[]? properties = null)
    {
        var answer = await client.Ask(Packet.Publish(topic, payload, 1, id, retain, properties: properties));
        Assert.True(answer.FirstByte == 0x40 && answer.Code < 0x80, $"PUBACK says 0x{answer.Code:X2}");
    }

    /// <summary>Publishes at QoS 0 and waits until the broker is done with it.</summary>
    public static async Task PublishSettled(
        this RawClient client, string topic, string payload, bool retain = false, byte[]? properties = null)
    {
        await client.Send(Packet.Publish(topic, payload, retain: retain, properties: properties));
        await client.ExpectNothing();
    }

    /// <summary>The next packet is a PUBLISH with this payload; QoS 1 is acknowledged.</summary>
    public static async Task<ReceivedPublish> Receives(this RawClient client, string payload)
    {
        var received = await client.NextPublish();
        Assert.Equal(payload, received.Payload);
        if (received.Qos == 1)
        {
            await client.Send(Packet.Ack(4, received.Id));
        }
        return received;
    }

    public static ReceivedProperties Read(this ReceivedPublish publish) => ReceivedProperties.Read(publish.Properties);
}
