using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using IotHub.Broker;
using IotHub.Broker.Auth;
using IotHub.Broker.Transport;
using IotHub.Harness;
using IotHub.Harness.Mqtt;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace IotHub.Unit.Transport;

/// <summary>What both transports of plain TCP owe: the own loop (Via.Tcp) and the framework's sockets.</summary>
public sealed class PlainTcpTests
{
    [Theory]
    [InlineData("127.0.0.1", "127.0.0.1")]
    [InlineData("0.0.0.0", "127.0.0.1")]
    [InlineData("::1", "::1")]
    [InlineData("::", "::1")]
    public async Task A_client_comes_in_on_every_form_of_address_and_is_known_by_its_own(string bind, string connectTo)
    {
        var door = new ScriptedAuthenticator();
        var broker = new MqttBroker(new BrokerLimits(), door, new RecordingBridge(), TimeProvider.System);
        await using var loop = new EpollLoop(broker, NullLogger.Instance);
        await using var listener = new EpollListener(loop, new IPEndPoint(IPAddress.Parse(bind), 0));
        listener.Start();
        var address = IPAddress.Parse(connectTo);
        using var client = new TcpClient(address.AddressFamily);
        await client.ConnectAsync(address, listener.EndPoint.Port);
        await client.GetStream().WriteAsync(Packet.Connect(new ConnectOptions { ClientId = "c", Level = 4 }));
        var answer = new byte[4];
        await client.GetStream().ReadExactlyAsync(answer);
        Assert.Equal("20 02 00 00", Hex.Write(answer));
        Assert.Equal((IPEndPoint)client.Client.LocalEndPoint!, Assert.Single(door.Attempts).RemoteAddress);
    }

    [Theory]
    [InlineData(Via.Tcp)]
    [InlineData(Via.Sockets)]
    public async Task What_comes_while_a_connect_is_checked_waits_and_is_dealt_with_in_order(Via via)
    {
        var door = new HeldDoor();
        await using var broker = TestBroker.Start(authenticator: door, via: via);
        await using var client = await broker.Open();
        await client.Send(Packet.Connect(new ConnectOptions { ClientId = "c" }));
        await Eventually.True(() => door.Waiting == 1);
        await client.Send(Packet.Subscribe(7, true, 0, ("t", 0)));
        await client.Send(Packet.Publish("t", "behind"));
        await client.Send(Packet.Publish("t", new string('x', 200_000)));
        await using var other = await broker.Open();
        await other.Send(Packet.Connect(new ConnectOptions { ClientId = "other" }));
        await Eventually.True(() => door.Waiting == 2);
        door.OpenAll();
        Assert.Equal(0x20, (await client.Next())[0]);
        Assert.Equal(0x90, (await client.Next())[0]);
        Assert.Equal("behind", (await client.NextPublish()).Payload);
        Assert.Equal(200_000, (await client.NextPublish()).Payload.Length);
    }

    [Theory]
    [InlineData(Via.Tcp)]
    [InlineData(Via.Sockets)]
    public async Task A_client_that_leaves_while_its_connect_is_checked_is_let_go_when_it_has_been(Via via)
    {
        var door = new HeldDoor();
        await using var broker = TestBroker.Start(authenticator: door, via: via);
        foreach (var hard in new[] { false, true })
        {
            var client = await broker.Open();
            await client.Send(Packet.Connect(new ConnectOptions { ClientId = $"c{hard}" }));
            await Eventually.True(() => door.Waiting == 1);
            if (hard)
            {
                await client.Send(new byte[1000]);
            }
            client.Cut();
            Assert.Equal(1, broker.Broker.Connections);
            door.OpenAll();
            await Eventually.True(() => broker.Broker.Connections == 0);
        }
    }

    [Theory]
    [InlineData(Via.Tcp)]
    [InlineData(Via.Sockets)]
    public async Task A_reader_that_stands_still_holds_up_nobody_and_gets_all_in_order_when_it_goes_on(Via via)
    {
        await using var broker = TestBroker.Start(via: via);
        await using var reader = await broker.Connect("reader");
        await reader.Subscribe("t", 1);
        await using var publisher = await broker.Connect("publisher");
        const int messages = 300;
        for (ushort i = 1; i <= messages; i++)
        {
            await publisher.Send(Packet.Publish("t", $"{i} {new string('.', 64 * 1024)}", 1, i));
            Assert.Equal(Packet.Ack(4, i), await publisher.Next());
        }
        for (var i = 1; i <= messages; i++)
        {
            var received = await reader.NextPublish();
            Assert.StartsWith($"{i} ", received.Payload, StringComparison.Ordinal);
            await reader.Send(Packet.Ack(4, received.Id));
        }
        await reader.ExpectNothing();
    }

    [Theory]
    [InlineData(Via.Tcp)]
    [InlineData(Via.Sockets)]
    public async Task A_flood_from_one_client_holds_up_nobody(Via via)
    {
        await using var broker = TestBroker.Start(via: via);
        await using var flooder = await broker.Connect("flooder");
        await using var healthy = await broker.Connect("healthy");
        await healthy.Subscribe("t", 1);
        var block = Enumerable.Repeat(Packet.Publish("nobody", "x"), 10_000).SelectMany(p => p).ToArray();
        using var stop = new CancellationTokenSource();
        var flooded = 0;
        var flood = Task.Run(async () =>
        {
            while (!stop.IsCancellationRequested)
            {
                await flooder.Send(block);
                Interlocked.Increment(ref flooded);
            }
        });
        for (ushort i = 1; i <= 100; i++)
        {
            await healthy.Send(Packet.Publish("t", "x", 1, i));
            var first = await healthy.Next();
            var second = await healthy.Next();
            Assert.Equal((0x32, 0x40), (Math.Min(first[0], second[0]), Math.Max(first[0], second[0])));
        }
        await Eventually.True(() => Volatile.Read(ref flooded) > 10);
        await stop.CancelAsync();
        await flood;
        await flooder.ExpectNothing();
    }

    [Theory]
    [InlineData(Via.Tcp)]
    [InlineData(Via.Sockets)]
    public async Task The_last_word_is_not_lost_to_what_the_client_goes_on_sending(Via via)
    {
        await using var broker = TestBroker.Start(via: via);
        for (var i = 0; i < 20; i++)
        {
            await using var client = await broker.Connect("c");
            await client.Send([0xF1, 0x00], new byte[300_000]);
            Assert.Equal(0xE0, (await client.Next())[0]);
            await client.ExpectClosed();
        }
        await Eventually.True(() => broker.Broker.Connections == 0);
    }

    /// <summary>Other threads send to clients that end at the same moment, and their descriptors go to the next ones.</summary>
    [Theory]
    [InlineData(Via.Tcp)]
    [InlineData(Via.Sockets)]
    public async Task No_client_ever_gets_the_bytes_of_one_that_had_its_descriptor_before(Via via)
    {
        const int places = 6;
        await using var broker = TestBroker.Start(via: via);
        using var stop = new CancellationTokenSource();
        var publishing = Enumerable.Range(0, 2).Select(_ => Task.Run(() =>
        {
            for (var i = 0; !stop.IsCancellationRequested; i++)
            {
                broker.Broker.PublishText(AnonymousAuthenticator.HubId, $"t/{i % places}", Encoding.ASCII.GetBytes($"{i % places}"), false);
            }
        })).ToArray();
        await Task.WhenAll(Enumerable.Range(0, places).Select(place => Task.Run(async () =>
        {
            for (var turn = 0; turn < 25; turn++)
            {
                await using var client = await broker.Connect(new ConnectOptions { ClientId = $"{place}-{turn}", Level = 4 });
                await client.Send(Packet.Subscribe(1, false, 0, ($"t/{place}", 0)));
                // The text is published into the same buffer as the SUBACK, never before it.
                await client.Expect("90 03 00 01 00");
                for (var i = 0; i < 3 + (turn % 7); i++)
                {
                    var received = await client.NextPublish();
                    Assert.Equal(($"t/{place}", place.ToString(CultureInfo.InvariantCulture)), (received.Topic, received.Payload));
                }
                client.Cut();
            }
        })));
        await stop.CancelAsync();
        await Task.WhenAll(publishing);
        await Eventually.True(() => broker.Broker.Connections == 0);
    }

    [Fact]
    public async Task A_loop_that_stops_ends_its_clients_and_lets_go_of_those_that_are_being_checked_when_they_have_been()
    {
        var door = new HeldDoor();
        var broker = new MqttBroker(new BrokerLimits(), door, new RecordingBridge(), TimeProvider.System);
        var loop = new EpollLoop(broker, NullLogger.Instance);
        var listener = new EpollListener(loop, new IPEndPoint(IPAddress.Loopback, 0));
        listener.Start();
        await using var silent = await RawClient.Open(listener.EndPoint.Port);
        await using var asking = await RawClient.Open(listener.EndPoint.Port);
        await asking.Send(Packet.Connect(new ConnectOptions { ClientId = "c" }));
        await Eventually.True(() => door.Waiting == 1 && broker.Connections == 2);
        await loop.DisposeAsync();
        await listener.DisposeAsync();
        await silent.ExpectClosed();
        await asking.ExpectClosed();
        Assert.Equal(1, broker.Connections);
        door.OpenAll();
        await Eventually.True(() => broker.Connections == 0);
    }

    /// <summary>Lets everyone in, but not before <see cref="OpenAll"/>.</summary>
    private sealed class HeldDoor : IAuthenticator
    {
        private readonly Lock _gate = new();
        private readonly List<TaskCompletionSource> _waiting = [];

        public int Waiting
        {
            get
            {
                lock (_gate)
                {
                    return _waiting.Count;
                }
            }
        }

        public async ValueTask<ConnectVerdict> Authenticate(ConnectAttempt attempt, CancellationToken cancel)
        {
            var turn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (_gate)
            {
                _waiting.Add(turn);
            }
            await turn.Task;
            return new ConnectVerdict.Accepted(
                AnonymousAuthenticator.HubId, AnonymousAuthenticator.DeviceId, attempt.ClientId, Rights.All);
        }

        public void OpenAll()
        {
            lock (_gate)
            {
                _waiting.ForEach(turn => turn.SetResult());
                _waiting.Clear();
            }
        }
    }
}
