using System.Net;
using System.Net.Sockets;

namespace IotHub.Harness;

/// <summary>A TCP line to a server on this machine that can be pulled out and plugged in again: down without being stopped.</summary>
public sealed class Cable : IAsyncDisposable
{
    private readonly int _target;
    private readonly Lock _lock = new();
    private readonly HashSet<Socket> _open = [];
    private Socket? _listener;

    public Cable(int target)
    {
        _target = target;
        Plug();
    }

    /// <summary>The near end, the same after each plugging.</summary>
    public int Port { get; private set; }

    /// <summary>The connection string with its three addresses led through cables.</summary>
    public static (string ConnectionString, IReadOnlyList<Cable> Cables) Through(string connectionString)
    {
        List<Cable> cables = [];
        var parts = connectionString.Split(';', StringSplitOptions.RemoveEmptyEntries).Select(part =>
        {
            var at = part.IndexOf('=', StringComparison.Ordinal);
            if (!part[..at].EndsWith("Endpoint", StringComparison.Ordinal))
            {
                return part;
            }
            var address = new UriBuilder(part[(at + 1)..]);
            var cable = new Cable(address.Port);
            cables.Add(cable);
            address.Port = cable.Port;
            return $"{part[..at]}={address.Uri.ToString().TrimEnd('/')}";
        });
        return (string.Join(';', parts) + ";", cables);
    }

    public void Plug()
    {
        for (var attempt = 0; _listener is null; attempt++)
        {
            var port = Port == 0 ? FreePorts.Take() : Port;
            var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                listener.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
                listener.Bind(new IPEndPoint(IPAddress.Loopback, port));
                listener.Listen(512);
                (_listener, Port) = (listener, port);
            }
            catch (SocketException) when (Port == 0 && attempt < 5)
            {
                listener.Dispose();
            }
        }
        _ = Accept(_listener);
    }

    /// <summary>Everything under way is cut, and nobody gets through until it is plugged in again.</summary>
    public void Pull()
    {
        _listener?.Dispose();
        _listener = null;
        lock (_lock)
        {
            foreach (var socket in _open)
            {
                socket.Dispose();
            }
            _open.Clear();
        }
    }

    public ValueTask DisposeAsync()
    {
        Pull();
        return ValueTask.CompletedTask;
    }

    private async Task Accept(Socket listener)
    {
        try
        {
            while (true)
            {
                _ = Relay(await listener.AcceptAsync(), listener);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Pulled.
        }
    }

    private async Task Relay(Socket near, Socket listener)
    {
        using var far = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        near.NoDelay = true;
        lock (_lock)
        {
            if (_listener != listener)
            {
                near.Dispose();
                return;
            }
            _open.Add(near);
            _open.Add(far);
        }
        try
        {
            await far.ConnectAsync(new IPEndPoint(IPAddress.Loopback, _target));
            await Task.WhenAny(Copy(near, far), Copy(far, near));
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Either end is gone.
        }
        lock (_lock)
        {
            _open.Remove(near);
            _open.Remove(far);
        }
        near.Dispose();
    }

    private static async Task Copy(Socket from, Socket to)
    {
        var buffer = new byte[16 * 1024];
        try
        {
            int read;
            while ((read = await from.ReceiveAsync(buffer, SocketFlags.None)) > 0)
            {
                for (var sent = 0; sent < read;)
                {
                    sent += await to.SendAsync(buffer.AsMemory(sent, read - sent), SocketFlags.None);
                }
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Either end is gone.
        }
    }
}
