using System.Net;
using System.Net.Sockets;

namespace IotHub.Local.Processes;

/// <summary>Ports of the loopback interface.</summary>
public static class LoopbackPorts
{
    // Below the range from which systems take the ports of outgoing connections, so that none of those is in the way.
    private const int First = 12_000;
    private const int End = 22_000;

    /// <summary>Ports that were free a moment ago.</summary>
    public static int[] TakeFree(int count)
    {
        var ports = new HashSet<int>();
        while (ports.Count < count)
        {
            var port = Random.Shared.Next(First, End);
            if (IsFree(port))
            {
                ports.Add(port);
            }
        }
        return [.. ports];
    }

    public static bool IsFree(int port)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
