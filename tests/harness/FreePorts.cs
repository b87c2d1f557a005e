using System.Net;
using System.Net.Sockets;

namespace IotHub.Harness;

/// <summary>
/// Ports of the loopback below 32768, so that no outgoing connection of this machine takes one of them meanwhile, and above those of the
/// launcher, so that no test takes that of a broker which another has stopped and will start again.
/// </summary>
public static class FreePorts
{
    private const int First = 22_000;
    private const int End = 32_000;

    /// <summary>Ports that were free a moment ago. A server that still finds one taken is started again with others.</summary>
    public static int[] Take(int count)
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

    public static int Take() => Take(1)[0];

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

    public static async Task<bool> Answers(int port)
    {
        using var client = new TcpClient();
        try
        {
            await client.ConnectAsync(IPAddress.Loopback, port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
