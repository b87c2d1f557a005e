using System.Net;
using System.Net.Sockets;

namespace IotHub.Broker.Transport;

/// <summary>Accepts clients of plain TCP on one port for an <see cref="EpollLoop"/>.</summary>
public sealed class EpollListener : IClientListener
{
    private readonly EpollLoop _loop;
    private readonly Socket _socket;

    /// <exception cref="SocketException">The port is in use or may not be bound.</exception>
    public EpollListener(EpollLoop loop, IPEndPoint endPoint)
    {
        _loop = loop;
        _socket = new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        _socket.Bind(endPoint);
        // Accepted sockets inherit it on Linux.
        _socket.NoDelay = true;
        _socket.Blocking = false;
        _socket.Listen(4096);
        EndPoint = (IPEndPoint)_socket.LocalEndPoint!;
        Descriptor = (int)_socket.Handle;
    }

    public IPEndPoint EndPoint { get; }

    /// <summary>Lives as long as the socket, which is held here and disposed only when the loop has let go of it.</summary>
    internal int Descriptor { get; }

    public void Start() => _loop.Add(this);

    public async ValueTask DisposeAsync()
    {
        await _loop.Remove(this).ConfigureAwait(false);
        _socket.Dispose();
    }
}
