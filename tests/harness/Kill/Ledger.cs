using IotHub.Harness.Mqtt;

namespace IotHub.Harness.Kill;

/// <summary>What a broker can get wrong.</summary>
public enum KillFault
{
    /// <summary>Acknowledged and never delivered.</summary>
    Lost,

    /// <summary>Twice at QoS 2.</summary>
    Doubled,

    /// <summary>Twice at QoS 1 where neither its publisher nor a cut connection explains it.</summary>
    Repeated,

    /// <summary>Repeated although its acknowledgement was on disk.</summary>
    Unforgotten,
    Reordered,
    Corrupted,
    SessionForgotten,
    SessionRemembered,
    SubscriptionLost,
    SubscriptionRemembered,
    RetainedWrong,
    WillLost,
    WillDoubled,
    WillUnwanted,

    /// <summary>A message without expiry, or with a long one, that has not come.</summary>
    LongLivedLost,

    /// <summary>Another Message Expiry Interval than what can be left of the one that was sent.</summary>
    ExpiryWrong,
    MessageOutlived,
    MessageExpiredEarly,
    SessionOutlived,
    SessionExpiredEarly,

    /// <summary>A connection that did not come about, or ended, while the broker ran on.</summary>
    ConnectionLost,
    Refused,
    Broken,
}

/// <summary>
/// What everyone who takes part in a kill test agrees on: faults so far, and what is known to be on disk. All of the standalone broker's
/// clients share one hub and so one log: a publish that is acknowledged by the process it was sent to proves that what this process had done
/// before it came is on disk too.
/// </summary>
internal sealed class Ledger
{
    private const int KeptTexts = 40;
    private readonly Dictionary<KillFault, int> _faults = [];
    private readonly List<string> _texts = [];
    private readonly Dictionary<int, long> _committed = [];
    private readonly Dictionary<Via, int> _opened = [];

    /// <summary>Guards this and all streams, views and proofs: events are few, and their order counts.</summary>
    public Lock Gate { get; } = new();

    /// <summary>Counts publishes that went out.</summary>
    public long Clock { get; private set; }

    public int Kills { get; set; }
    public Func<double> MsSinceReady { get; set; } = () => 0;

    public bool IsFaultless
    {
        get
        {
            lock (Gate)
            {
                return _faults.Count == 0;
            }
        }
    }

    public long Tick() => ++Clock;

    /// <summary>A connection came about.</summary>
    public void Opened(Via via)
    {
        lock (Gate)
        {
            _opened[via] = _opened.GetValueOrDefault(via) + 1;
        }
    }

    /// <summary>How many did, per transport. Under the gate.</summary>
    public int OpenedBy(Via via) => _opened.GetValueOrDefault(via);

    /// <summary>A publish of that moment was acknowledged by the process that had got it.</summary>
    public void Proves(int incarnation, long clock) => _committed[incarnation] = Math.Max(LastProof(incarnation), clock);

    /// <summary>The youngest such publish of that process.</summary>
    public long LastProof(int incarnation) => _committed.GetValueOrDefault(incarnation);

    public void Add(KillFault fault, string text)
    {
        lock (Gate)
        {
            _faults[fault] = _faults.GetValueOrDefault(fault) + 1;
            if (_texts.Count < KeptTexts)
            {
                _texts.Add($"after {Kills} kills and {MsSinceReady():0} ms: {text}");
            }
        }
    }

    public (Dictionary<KillFault, int> Faults, List<string> Texts) Copy()
    {
        lock (Gate)
        {
            return (new Dictionary<KillFault, int>(_faults), [.. _texts]);
        }
    }
}
