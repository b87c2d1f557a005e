using System.Net;
using System.Net.Sockets;

namespace IotHub.Functions.Api;

/// <summary>
/// Counts failed authentications per address (IPv6: per /64) over a minute, in the memory of this process. Addresses beyond the bound
/// push out those that failed longest ago. A secret that was right here lately is looked at even from an address over its limit: whoever
/// shares an address with a guesser is not locked out.
/// </summary>
internal sealed class FailedLogins(TimeProvider time)
{
    public const int FailuresMaximum = 20;
    public static readonly TimeSpan Window = TimeSpan.FromMinutes(1);
    private const int AddressesMaximum = 10_000;
    private const int SecretsMaximum = 1_000;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, LinkedListNode<Failures>> _failures = new(StringComparer.Ordinal);
    private readonly LinkedList<Failures> _newestLast = [];
    private readonly HashSet<string> _right = new(StringComparer.Ordinal);
    private readonly Queue<string> _rightInOrder = [];

    /// <summary>Addresses remembered.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _failures.Count;
            }
        }
    }

    /// <summary>Seconds until the address may try this secret, or 0.</summary>
    /// <param name="secretHash">Null when no secret of the right form was sent.</param>
    public int SecondsToWait(string address, string? secretHash)
    {
        lock (_lock)
        {
            if ((secretHash is not null && _right.Contains(secretHash)) || !_failures.TryGetValue(address, out var node)
                || node.Value.Count < FailuresMaximum)
            {
                return 0;
            }
            var left = node.Value.Since + Window - time.GetUtcNow();
            return left > TimeSpan.Zero ? (int)Math.Ceiling(left.TotalSeconds) : 0;
        }
    }

    public void Failed(string address, string? secretHash)
    {
        lock (_lock)
        {
            if (secretHash is not null)
            {
                // Revoked meanwhile. Its place in the queue stays and does no harm.
                _right.Remove(secretHash);
            }
            var now = time.GetUtcNow();
            if (_failures.Remove(address, out var node))
            {
                _newestLast.Remove(node);
            }
            else if (_failures.Count == AddressesMaximum)
            {
                _failures.Remove(_newestLast.First!.Value.Address);
                _newestLast.RemoveFirst();
            }
            var before = node is not null && now - node.Value.Since < Window ? node.Value : new Failures(address, now, 0);
            _failures[address] = _newestLast.AddLast(before with { Count = before.Count + 1 });
        }
    }

    public void Succeeded(string secretHash)
    {
        lock (_lock)
        {
            if (_right.Add(secretHash))
            {
                _rightInOrder.Enqueue(secretHash);
            }
            while (_rightInOrder.Count > SecretsMaximum)
            {
                _right.Remove(_rightInOrder.Dequeue());
            }
        }
    }

    /// <summary>
    /// Who the request came from. The host in front of us, the only one that can reach us, sets X-Forwarded-For; the last entry is its own.
    /// </summary>
    public static string AddressOf(HttpContext context)
    {
        var forwarded = context.Request.Headers["X-Forwarded-For"].ToString();
        var text = forwarded[(forwarded.LastIndexOf(',') + 1)..].Trim();
        var address = IPAddress.TryParse(text, out var bare) ? bare
            : IPEndPoint.TryParse(text, out var withPort) ? withPort.Address
            : context.Connection.RemoteIpAddress ?? IPAddress.None;
        if (address.IsIPv4MappedToIPv6)
        {
            address = address.MapToIPv4();
        }
        return address.AddressFamily == AddressFamily.InterNetworkV6
            ? Convert.ToHexString(address.GetAddressBytes().AsSpan(0, 8))
            : address.ToString();
    }

    private sealed record Failures(string Address, DateTimeOffset Since, int Count);
}
