using IotHub.Broker.Auth;
using IotHub.Harness;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance.V5;

public sealed class EnhancedAuthenticationOverTcp() : EnhancedAuthenticationTests(Via.Tcp);

public sealed class EnhancedAuthenticationOverTls() : EnhancedAuthenticationTests(Via.Tls);

public sealed class EnhancedAuthenticationOverWebSocket() : EnhancedAuthenticationTests(Via.WebSocket);

public sealed class EnhancedAuthenticationOverSecureWebSocket() : EnhancedAuthenticationTests(Via.SecureWebSocket);

/// <summary>Sections 3.15 and 4.12: AUTH, enhanced authentication (by SCRAM-SHA-256) and re-authentication.</summary>
public abstract class EnhancedAuthenticationTests(Via via) : IAsyncLifetime
{
    private const string Method = "SCRAM-SHA-256";

    private static readonly ScramCredentials Credentials = new(new Dictionary<string, ScramCredential>
    {
        ["alice"] = ScramCredential.Create("wonderland", 4096),
        ["bob"] = ScramCredential.Create("builder", 4096),
    });

    private readonly TestBroker _broker =
        TestBroker.Start(authenticator: new ProvenAuthenticator(), time: new ManualTime(), enhanced: new ScramSha256(Credentials), via: via);

    [Fact]
    [Statement("MQTT-3.15.2-1", "MQTT-4.12.0-2", "MQTT-4.12.0-5", "MQTT-3.15.2-2", "MQTT-3.15.2-3")]
    public async Task Both_sides_prove_the_password_and_every_packet_repeats_the_method()
    {
        await using var client = await _broker.Open();
        var scram = new ScramClient("alice", "wonderland");
        await client.Send(Connect("c", Method, scram.First));
        var challenge = await client.Next();
        Assert.Equal((0xF0, 0x18), (challenge[0], challenge[2]));
        var answer = ReceivedAnswer.Read(challenge);
        Assert.Equal(Method, answer.Properties.Text(0x15));
        Assert.False(answer.Properties.Has(0x1F) || answer.Properties.Has(0x26));
        await client.Send(Auth(0x18, Method, scram.Final(Data(answer))));
        var connack = await client.NextAnswer();
        Assert.Equal((0x20, 0x00, Method), (connack.FirstByte, connack.Code, connack.Properties.Text(0x15)));
        Assert.True(scram.Trusts(Data(connack)));
        await client.Subscribe("t", 1);
        await client.Publish("t", "x");
        Assert.Equal("x", (await client.Take()).Payload);
    }

    [Theory]
    [InlineData("alice", "guess")]
    [InlineData("nobody", "wonderland")]
    [Statement("MQTT-4.12.0-4")]
    public async Task A_wrong_password_and_an_unknown_name_are_refused_alike(string name, string password)
    {
        await using var client = await _broker.Open();
        var scram = new ScramClient(name, password);
        await client.Send(Connect("c", Method, scram.First));
        var challenge = await client.NextAnswer();
        Assert.Equal((0xF0, 0x18), (challenge.FirstByte, challenge.Code));
        await client.Send(Auth(0x18, Method, scram.Final(Data(challenge))), Packet.Publish("behind", "x", retain: true));
        await ExpectRefusal(client, 0x87);
    }

    [Theory]
    [InlineData("NOPE")]
    [InlineData("scram-sha-256")]
    [InlineData("SCRAM-SHA-1")]
    [InlineData("")]
    [Statement("MQTT-4.12.0-1")]
    public async Task An_unknown_method_is_told_so(string method)
    {
        await using var client = await _broker.Open();
        await client.Send(Connect("c", method, []));
        await ExpectRefusal(client, 0x8C);
        await using var broker = TestBroker.Start(via: via);
        await using var other = await broker.Open();
        await other.Send(Connect("c", method, []));
        await ExpectRefusal(other, 0x8C);
    }

    [Fact]
    [Statement("MQTT-4.12.0-2", "MQTT-4.12.0-4")]
    public async Task A_client_without_first_data_is_asked_for_it_and_one_that_talks_nonsense_is_refused()
    {
        await using var client = await _broker.Open();
        var scram = new ScramClient("alice", "wonderland");
        await client.Send(Connect("c", Method, []));
        var empty = await client.NextAnswer();
        Assert.Equal((0x18, false), (empty.Code, empty.Properties.Has(0x16)));
        await client.Send(Auth(0x18, Method, scram.First));
        await client.Send(Auth(0x18, Method, scram.Final(Data(await client.NextAnswer()))));
        Assert.Equal(0, (await client.NextAnswer()).Code);

        await using var fool = await _broker.Open();
        await fool.Send(Connect("f", Method, "hello"u8.ToArray()));
        await ExpectRefusal(fool, 0x87);
    }

    [Theory]
    [InlineData("F1 02 18 00", 0x81)] // flags
    [InlineData("F0 00", 0x82)] // no method
    [InlineData("F0 02 18 00", 0x82)] // no method
    [InlineData("F0 08 18 06 15 0003 466F6F", 0x82)] // another method
    [InlineData("F0 02 01 00", 0x82)] // not a code of AUTH
    [InlineData("C0 00", 0x82)]
    [InlineData("30 05 0001 74 00 78", 0x82)]
    [InlineData("82 07 0001 00 0001 74 00", 0x82)]
    [InlineData("F0 FF FF FF FF", 0x81)]
    [InlineData("F0 FF FF FF 7F", 0x95)]
    [Statement("MQTT-3.15.1-1", "MQTT-3.15.2-1", "MQTT-4.12.0-3", "MQTT-4.12.0-5")]
    public async Task Before_CONNACK_only_the_next_AUTH_may_come(string packet, byte code)
    {
        await using var client = await _broker.Open();
        await client.Send(Connect("c", Method, new ScramClient("alice", "wonderland").First));
        await client.Next();
        await client.Send(packet);
        await ExpectRefusal(client, code);
    }

    [Theory]
    [InlineData(0x00)]
    [InlineData(0x19)]
    [Statement("MQTT-3.15.2-1", "MQTT-4.12.0-3")]
    public async Task The_answer_to_a_challenge_has_code_18(byte code)
    {
        await using var client = await _broker.Open();
        var scram = new ScramClient("alice", "wonderland");
        await client.Send(Connect("c", Method, scram.First));
        await client.Send(Auth(code, Method, scram.Final(Data(await client.NextAnswer()))));
        await ExpectRefusal(client, 0x82);
    }

    [Fact]
    [Statement("MQTT-4.12.0-4")]
    public async Task A_client_may_leave_during_the_exchange_or_fall_silent_and_holds_nothing_then()
    {
        await using var leaving = await _broker.Open();
        await leaving.Send(Connect("c", Method, new ScramClient("alice", "wonderland").First));
        await leaving.Next();
        await leaving.Send("E0 00");
        await leaving.ExpectClosed();
        await using var silent = await _broker.Open();
        await silent.Send(Connect("c", Method, new ScramClient("alice", "wonderland").First));
        await silent.Next();
        _broker.Advance(TimeSpan.FromSeconds(9));
        await silent.Send("F0");
        _broker.Advance(TimeSpan.FromSeconds(2));
        await silent.ExpectClosed();
    }

    [Fact]
    [Statement("MQTT-4.12.0-5")]
    public async Task Steps_sent_in_pieces_or_together_with_CONNECT_are_put_together()
    {
        await using var client = await _broker.Open();
        var scram = new ScramClient("alice", "wonderland");
        await client.Send(Connect("c", Method, []), Auth(0x18, Method, scram.First));
        await client.Next();
        foreach (var b in Auth(0x18, Method, scram.Final(Data(await client.NextAnswer()))))
        {
            await client.Send([b]);
        }
        Assert.Equal(0, (await client.NextAnswer()).Code);
    }

    [Fact]
    [Statement("MQTT-4.12.0-6", "MQTT-4.12.0-7")]
    public async Task Without_a_method_there_is_no_AUTH_in_either_direction()
    {
        await using var broker = TestBroker.Start(enhanced: new ScramSha256(Credentials), via: via);
        await using var client = await broker.Connect("c");
        Assert.False(ReceivedAnswer.Read(client.ConnAck).Properties.Has(0x15));
        await client.Send("F0 02 19 00");
        await client.ExpectDisconnect(0x82);
        await using var other = await broker.Connect("c");
        await other.Send(Auth(0x19, Method, []));
        await other.ExpectDisconnect(0x82);
    }

    [Fact]
    [Statement("MQTT-4.12.1-1", "MQTT-4.12.1-2", "MQTT-3.15.2-1")]
    public async Task A_client_proves_itself_anew_while_messages_flow()
    {
        await using var client = await Enter("c", "alice", "wonderland");
        await client.Subscribe("t", 0);
        for (var round = 0; round < 2; round++)
        {
            var scram = new ScramClient("alice", "wonderland", nonce: $"again{round}");
            await client.Send(Auth(0x19, Method, scram.First));
            var challenge = await client.NextAnswer();
            Assert.Equal((0xF0, 0x18, Method), (challenge.FirstByte, challenge.Code, challenge.Properties.Text(0x15)));
            await client.Publish("t", "meanwhile", 0);
            Assert.Equal("meanwhile", (await client.Take()).Payload);
            await client.Send(Auth(0x18, Method, scram.Final(Data(challenge))));
            var success = await client.NextAnswer();
            Assert.Equal((0xF0, 0x00, Method), (success.FirstByte, success.Code, success.Properties.Text(0x15)));
            Assert.True(scram.Trusts(Data(success)));
        }
    }

    [Theory]
    [InlineData("alice", "guess")]
    [InlineData("bob", "builder")]
    [Statement("MQTT-4.12.1-2")]
    public async Task Whoever_fails_or_turns_out_to_be_another_is_disconnected(string name, string password)
    {
        await using var client = await Enter("c", "alice", "wonderland");
        var scram = new ScramClient(name, password);
        await client.Send(Auth(0x19, Method, scram.First));
        await client.Send(Auth(0x18, Method, scram.Final(Data(await client.NextAnswer()))));
        await client.ExpectDisconnect(0x87);
    }

    [Theory]
    [InlineData(0x19, "NOPE", 0x82)]
    [InlineData(0x18, Method, 0x82)] // nothing was asked
    [InlineData(0x00, Method, 0x82)]
    [Statement("MQTT-4.12.1-1", "MQTT-4.12.0-5", "MQTT-3.15.2-1", "U5-19")]
    public async Task Re_authentication_begins_with_19_and_the_method_of_CONNECT(byte code, string method, byte reason)
    {
        await using var client = await Enter("c", "alice", "wonderland");
        await client.Send(Auth(code, method, new ScramClient("alice", "wonderland").First));
        await client.ExpectDisconnect(reason);
    }

    [Fact]
    public async Task A_session_belongs_to_the_name_that_was_proven()
    {
        await using var first = await Enter("same", "alice", "wonderland", lasting: true);
        await using var second = await Enter("same", "bob", "builder", lasting: true);
        Assert.False(ReceivedAnswer.Read(second.ConnAck).SessionPresent);
        await first.ExpectNothing();
        await using var third = await Enter("same", "alice", "wonderland", lasting: true);
        Assert.True(ReceivedAnswer.Read(third.ConnAck).SessionPresent);
        await first.ExpectDisconnect(0x8E);
        await using var plain = await _broker.Open();
        await plain.Send(Packet.Connect(new ConnectOptions { ClientId = "same" }));
        await ExpectRefusal(plain, 0x87);
        await using var old = await _broker.Open();
        await old.Send(Packet.Connect(new ConnectOptions { ClientId = "same", Level = 4 }));
        await old.Expect("20 02 00 05");
    }

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync() => await _broker.DisposeAsync();

    private static async Task ExpectRefusal(RawClient client, byte code)
    {
        var answer = await client.NextAnswer();
        Assert.Equal((0x20, code, false), (answer.FirstByte, answer.Code, answer.Properties.Has(0x15)));
        await client.ExpectClosed();
    }

    private async Task<RawClient> Enter(string id, string name, string password, bool lasting = false)
    {
        var client = await _broker.Open();
        var scram = new ScramClient(name, password);
        await client.Send(Connect(id, Method, scram.First, lasting));
        await client.Send(Auth(0x18, Method, scram.Final(Data(await client.NextAnswer()))));
        client.ConnAck = await client.Next();
        Assert.Equal((0x20, 0x00), (client.ConnAck[0], client.ConnAck[3]));
        return client;
    }

    private static byte[] Connect(string id, string method, byte[] data, bool lasting = false) => Packet.Connect(new ConnectOptions
    {
        ClientId = id,
        CleanStart = !lasting,
        Properties = [.. Packet.Property(0x15, method), .. data.Length == 0 ? [] : (byte[])[0x16, .. Packet.Binary(data)],
            .. lasting ? Packet.Property(0x11, 100u) : []],
    });

    private static byte[] Auth(byte code, string method, byte[] data)
    {
        byte[] own = data.Length == 0 ? [] : [0x16, .. Packet.Binary(data)];
        return Packet.Whole(0xF0, [code, .. Packet.WithLength([.. Packet.Property(0x15, method), .. own])]);
    }

    private static byte[] Data(ReceivedAnswer answer) => answer.Properties.Bytes(0x16)[2..];
}
