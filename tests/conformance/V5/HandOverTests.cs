using System.Text;
using IotHub.Harness;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.V5;

public sealed class HandOverOverTcp() : HandOverTests(Via.Tcp);

public sealed class HandOverOverTls() : HandOverTests(Via.Tls);

public sealed class HandOverOverWebSocket() : HandOverTests(Via.WebSocket);

public sealed class HandOverOverSecureWebSocket() : HandOverTests(Via.SecureWebSocket);

/// <summary>Section 4.11, server redirection: a broker that stops names the one that its clients should use.</summary>
public abstract class HandOverTests(Via via)
{
    private const string Other = "other.example:8883";

    /// <summary>Server Reference with its identifier.</summary>
    private static readonly string Reference = $"1C 00 12 {Hex.Write(Encoding.ASCII.GetBytes(Other))}";

    [Fact]
    [Statement("MQTT-3.14.2-3", "MQTT-3.14.4-1")]
    public async Task Clients_of_5_0_are_told_of_the_other_server_within_their_packet_size_and_others_are_closed()
    {
        await using var broker = TestBroker.Start(via: via, handOverTo: Other);
        await using var free = await broker.Connect("free");
        await using var withoutText = await Connect(broker, "narrow", 25);
        await using var withoutReference = await Connect(broker, "narrowest", 22);
        await using var old = await broker.Connect("old", 4);
        broker.Broker.Stop();
        var text = Hex.Write(Encoding.ASCII.GetBytes("the server stops: use the other one"));
        await free.Expect($"E0 3D 9C 3B {Reference} 1F 00 23 {text}");
        await free.ExpectClosed();
        await withoutText.Expect($"E0 17 9C 15 {Reference}");
        await withoutText.ExpectClosed();
        await withoutReference.Expect("E0 02 9C 00");
        await withoutReference.ExpectClosed();
        await old.ExpectClosed();
    }

    [Fact]
    [Statement("MQTT-3.2.2-19")]
    public async Task Whoever_still_comes_is_told_as_well_and_no_session_is_touched()
    {
        await using var broker = TestBroker.Start(via: via, handOverTo: Other);
        await using var staying = await broker.Open();
        broker.Broker.Stop();
        await using var client = await broker.Open();
        await client.Send(Packet.Connect(new ConnectOptions { ClientId = "c", Properties = Packet.Property(0x27, 26u) }));
        await client.Expect($"20 18 00 9C 15 {Reference}");
        await client.ExpectClosed();
        await staying.Send(Packet.Connect(new ConnectOptions { ClientId = "c", Properties = Packet.Property(0x27, 23u) }));
        await staying.Expect("20 03 00 9C 00");
        await staying.ExpectClosed();
        await using var old = await broker.Open();
        await old.Send(Packet.Connect(new ConnectOptions { ClientId = "c", Level = 4 }));
        await old.Expect("20 02 00 03");
        await old.ExpectClosed();
        Assert.Equal(0, broker.Broker.Figures(Broker.Auth.AnonymousAuthenticator.HubId).Sessions);
    }

    [Fact]
    [Statement("MQTT-3.14.4-1")]
    public async Task Without_another_server_they_are_told_that_this_one_stops()
    {
        await using var broker = TestBroker.Start(via: via);
        await using var client = await broker.Connect("c");
        broker.Broker.Stop();
        await client.ExpectDisconnect(0x8B);
        await using var late = await broker.Open();
        await late.Send(Packet.Connect(new ConnectOptions { ClientId = "late" }));
        await late.ExpectRefused(0x88);
        await Eventually.True(() => broker.Broker.Connections == 0);
    }

    private static Task<RawClient> Connect(TestBroker broker, string id, uint maximumPacketSize) =>
        broker.Connect(new ConnectOptions { ClientId = id, Properties = Packet.Property(0x27, maximumPacketSize) });
}
