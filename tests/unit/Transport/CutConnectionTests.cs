using System.Net;
using System.Net.Sockets;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Unit.Transport;

/// <summary>
/// A client of the harness that writes to a connection that has just ended goes on with its next one. Over a WebSocket it ended instead:
/// now and then the kill test waited for what that client had to say, and blamed the broker.
/// </summary>
public sealed class CutConnectionTests
{
    [Theory]
    [InlineData(Via.Tcp)]
    [InlineData(Via.Tls)]
    [InlineData(Via.WebSocket)]
    [InlineData(Via.SecureWebSocket)]
    public async Task Writing_to_a_connection_that_has_ended_is_known_as_that(Via via)
    {
        await using var broker = TestBroker.Start(via: via);
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPAddress.Loopback, broker.Port);
        var stream = await Transports.Speak(new NetworkStream(socket, ownsSocket: true), via);
        socket.Dispose();
        // Who reads finds out first; a WebSocket then says to who writes that it cannot be written to.
        var failed = await Assert.ThrowsAnyAsync<Exception>(async () => await stream.ReadExactlyAsync(new byte[1]));
        Assert.True(LastingClient.IsCut(failed), failed.ToString());
        failed = await Assert.ThrowsAnyAsync<Exception>(async () => await stream.WriteAsync(new byte[] { 0xC0, 0 }));
        Assert.True(LastingClient.IsCut(failed), failed.ToString());
    }
}
