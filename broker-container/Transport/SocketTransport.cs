using System.Net;
using System.Net.Sockets;

namespace IotHub.Broker.Transport;

/// <summary>
/// Serves one client over plain TCP where <see cref="EpollLoop"/> cannot: a zero-byte wait, then as many non-blocking reads as there is
/// data; sends go out at once from the publishing thread and only wait for the socket when its buffer is full.
/// </summary>
public static class SocketTransport
{
    private const int ReceiveBufferSize = 64 * 1024;

    /// <summary>
    /// So many times a client that always has more is read again at once; then it goes on from the pool, and the thread that watches all
    /// sockets is free for the others.
    /// </summary>
    private const int TurnsMaximum = 16;

    /// <summary>Runs until the client is gone. Does not throw for what a client or the network does.</summary>
    public static async Task Serve(MqttBroker broker, Socket socket)
    {
        socket.NoDelay = true;
        socket.Blocking = false;
        var channel = new SocketChannel(socket) { IsEncrypted = false };
        var connection = broker.Accept(channel);
        if (connection is null)
        {
            channel.Close();
            return;
        }
        try
        {
            await ReadLoop(broker, socket, connection).ConfigureAwait(false);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The peer is gone, or we closed the socket under the read: both end the connection below.
        }
        finally
        {
            broker.Disconnected(connection);
            channel.Close();
        }
    }

    private static async Task ReadLoop(MqttBroker broker, Socket socket, Connection connection)
    {
        var turns = 0;
        while (true)
        {
            var wait = socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None);
            turns = wait.IsCompleted ? turns + 1 : 0;
            await wait.ConfigureAwait(false);
            if (turns >= TurnsMaximum)
            {
                await Task.Yield();
                turns = 0;
            }
            var buffer = broker.Buffers.Rent(ReceiveBufferSize);
            try
            {
                int read;
                do
                {
                    read = socket.Receive(buffer, 0, ReceiveBufferSize, SocketFlags.None, out var error);
                    if (error == SocketError.WouldBlock)
                    {
                        break;
                    }
                    if (error != SocketError.Success || read == 0
                        || !await connection.Receive(buffer.AsMemory(0, read)).ConfigureAwait(false))
                    {
                        return;
                    }
                }
                while (read == ReceiveBufferSize && ++turns < TurnsMaximum);
            }
            finally
            {
                broker.Buffers.Return(buffer);
            }
        }
    }

    private sealed class SocketChannel(Socket socket) : Channel
    {
        private int _closed;
        private volatile bool _hasRest;

        public override bool HasUnsent => _hasRest || base.HasUnsent;

        public override IPEndPoint? RemoteAddress { get; } = socket.RemoteEndPoint as IPEndPoint;

        public override bool Send(byte[] buffer, int count, Action done)
        {
            try
            {
                var sent = socket.Send(buffer, 0, count, SocketFlags.None, out var error);
                if (sent == count)
                {
                    return true;
                }
                if (error is not (SocketError.Success or SocketError.WouldBlock))
                {
                    Broke();
                    return true;
                }
                _ = SendRest(buffer, Math.Max(sent, 0), count, done);
                return false;
            }
            catch (ObjectDisposedException)
            {
                return true;
            }
        }

        private async Task SendRest(byte[] buffer, int sent, int count, Action done)
        {
            _hasRest = true;
            try
            {
                while (sent < count)
                {
                    sent += await socket.SendAsync(buffer.AsMemory(sent, count - sent), SocketFlags.None).ConfigureAwait(false);
                }
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                Broke();
                Close();
            }
            _hasRest = false;
            done();
        }

        public override void FinishSending()
        {
            try
            {
                socket.Shutdown(SocketShutdown.Send);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                Close();
            }
        }

        public override void Close()
        {
            if (Interlocked.Exchange(ref _closed, 1) == 0)
            {
                socket.Dispose();
            }
        }
    }
}
