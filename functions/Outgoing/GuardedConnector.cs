using System.Net;
using System.Net.Sockets;
using System.Text;

namespace IotHub.Functions.Outgoing;

/// <summary>Every address of a target's name is one that routes may not reach.</summary>
public sealed class AddressRefusedException(string host) : IOException($"{host} has no address that routes may reach");

/// <summary>
/// The one way out for routes. The name is resolved here, each address is checked, and the connection goes to the very address that was
/// checked: a name that changes its answer between check and use gains nothing. Redirects are not followed, since they would lead past
/// the check of the route's own target; time and answer are capped by those who use it, header and drain sizes here.
/// </summary>
public sealed class GuardedConnector(AddressPolicy policy, Func<string, CancellationToken, Task<IPAddress[]>> resolve)
{
    public static readonly TimeSpan ConnectTimeLimit = TimeSpan.FromSeconds(5);

    public GuardedConnector(AddressPolicy policy)
        : this(policy, Dns.GetHostAddressesAsync)
    {
    }

    public HttpClient NewHttpClient() => new(new SocketsHttpHandler
    {
        ConnectCallback = (context, cancel) => Connect(context.DnsEndPoint, cancel),
        ConnectTimeout = ConnectTimeLimit,
        AllowAutoRedirect = false,
        AutomaticDecompression = DecompressionMethods.None,
        UseCookies = false,
        // A proxy of the environment would be connected to instead of the checked address.
        UseProxy = false,
        MaxResponseHeadersLength = 64,
        MaxResponseDrainSize = 64 * 1024,
        ResponseDrainTimeout = TimeSpan.FromSeconds(1),
        MaxConnectionsPerServer = 64,
        // Names are looked up, and the policy asked, again after this.
        PooledConnectionLifetime = TimeSpan.FromMinutes(1),
        PooledConnectionIdleTimeout = TimeSpan.FromSeconds(15),
        RequestHeaderEncodingSelector = (_, _) => Encoding.UTF8,
        ResponseHeaderEncodingSelector = (_, _) => Encoding.UTF8,
    })
    {
        Timeout = Timeout.InfiniteTimeSpan,
    };

    public async ValueTask<Stream> Connect(DnsEndPoint target, CancellationToken cancel)
    {
        var addresses = IPAddress.TryParse(target.Host, out var literal) ? [literal] : await resolve(target.Host, cancel);
        var checkedOnes = addresses.Where(policy.Allows).ToList();
        if (checkedOnes.Count == 0)
        {
            throw new AddressRefusedException(target.Host);
        }
        for (var i = 0; ; i++)
        {
            var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            try
            {
                await socket.ConnectAsync(new IPEndPoint(checkedOnes[i], target.Port), cancel);
                return new NetworkStream(socket, ownsSocket: true);
            }
            catch (SocketException) when (i + 1 < checkedOnes.Count)
            {
                socket.Dispose();
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        }
    }
}
