namespace IotHub.Benchmarks.Soak;

/// <summary>
/// The messages of one publisher to one receiver (or one group that shares them), numbered from 0: each must arrive, in order, and twice
/// only where the standard permits it. QoS 2 never; QoS 1 when its publisher sent it again after a cut, or when the connection that took
/// it first has ended since, and then with DUP unless a group has given it anew.
/// </summary>
/// <param name="hasEnded">Has this connection (client, count) ended?</param>
internal sealed class MessageStream(int index, string name, byte qos, bool isShared, Func<string, int, bool> hasEnded)
{
    private const int Remembered = 65_536;
    private readonly Lock _gate = new();
    private readonly (string Client, int Session)[] _takers = new (string, int)[Remembered];
    private ulong[] _arrived = new ulong[64];
    private readonly HashSet<long> _sentAgain = [];
    private long _highest = -1;

    public int Index => index;
    public string Name => name;
    public string Topic => $"soak/{index}/{name.Replace(' ', '-')}";
    public byte Qos => qos;
    public long Published { get; private set; }
    public long Arrived { get; private set; }
    public long PermittedDoubles { get; private set; }
    public long Doubled { get; private set; }
    public long Reordered { get; private set; }
    public string? FirstFault { get; private set; }

    public long Lost => Published - Arrived;

    /// <summary>The number for the next message.</summary>
    public long Next()
    {
        lock (_gate)
        {
            return Published++;
        }
    }

    /// <summary>These were open when their publisher's connection was cut: they may be published twice (QoS 1).</summary>
    public void MayBeSentAgain(long from)
    {
        lock (_gate)
        {
            for (var number = Math.Max(from, 0); number < Published; number++)
            {
                _sentAgain.Add(number);
            }
        }
    }

    public void Took(long number, bool dup, string client, int session)
    {
        lock (_gate)
        {
            if (number / 64 >= _arrived.Length)
            {
                Array.Resize(ref _arrived, (int)Math.Max(_arrived.Length * 2, (number / 64) + 1));
            }
            var bit = 1UL << (int)(number % 64);
            if ((_arrived[number / 64] & bit) == 0)
            {
                _arrived[number / 64] |= bit;
                Arrived++;
                if (number < _highest && !isShared)
                {
                    Reordered++;
                    FirstFault ??= $"{number} came after {_highest}";
                }
                _highest = Math.Max(_highest, number);
                _takers[number % Remembered] = (client, session);
                return;
            }
            var first = _takers[number % Remembered];
            var isPermitted = qos == 1
                && (_sentAgain.Contains(number) || (hasEnded(first.Client, first.Session) && (dup || isShared)));
            if (isPermitted)
            {
                PermittedDoubles++;
            }
            else
            {
                Doubled++;
                FirstFault ??= $"{number} came twice: to {first.Client} ({first.Session}), then {client} ({session}), DUP {dup}";
            }
        }
    }
}
