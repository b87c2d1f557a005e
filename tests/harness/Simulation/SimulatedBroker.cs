using IotHub.Broker;
using IotHub.Broker.Auth;
using IotHub.Broker.Bridge;
using IotHub.Broker.Durability;
using IotHub.Broker.Sessions;
using IotHub.Broker.Sessions.Stored;

namespace IotHub.Harness.Simulation;

/// <summary>
/// A broker on a disk in memory, in one thread, whose every part moves only when it is told to: work in the background, each half of a
/// commit, the clock. Counts commits, so that of each moment it can be said whether a crash may take it back; and checks after each
/// crash that what is read back is what was committed last, or what was being committed.
/// </summary>
public sealed class SimulatedBroker
{
    private readonly BrokerLimits _limits;
    private readonly LogOptions _options;
    private readonly Random _random;
    private readonly List<Action> _background = [];
    private Guid _boot = new(1, 2, 3, [4, 5, 6, 7, 8, 9, 10, 11]);
    private int _boots;

    /// <summary>What the log holds. Several, when what was read back after a crash did not tell which of them.</summary>
    private List<DurableState> _committed = [];

    /// <summary>What it may hold as well.</summary>
    private DurableState? _inDoubt;
    private bool _isCommitting;
    private (Guid Boot, long Offset) _clock;
    private int _committedHere;

    public SimulatedBroker(SimulationSetup setup)
    {
        (_limits, _options, _random) = (setup.Limits, setup.Log, new Random(setup.Seed ^ 0xD15C));
        (Setup, Disk) = (setup, new MemoryDisk(setup.Seed));
        Routes = setup.HasRoutes ? new SimulatedRoutes(new Random(setup.Seed ^ 0x4077), _background.Add) : null;
    }

    public SimulationSetup Setup { get; }
    public MemoryDisk Disk { get; }

    /// <summary>For what only some setups have. Anew for each step, so that it stays the same when other steps are left out.</summary>
    public Random More { get; set; } = new(0);

    /// <summary>Null in a hub without routes.</summary>
    public SimulatedRoutes? Routes { get; }
    public SimulationClock Clock { get; } = new();
    public MqttBroker Broker { get; private set; } = null!;
    public Lane Lane => Broker.Lanes[0];
    public Hub Hub => Lane.Hubs[AnonymousAuthenticator.HubId];
    public bool HasBackground => _background.Count > 0;

    /// <summary>Commits that were begun, and that ended.</summary>
    public long Begun { get; private set; }

    public long Ended { get; private set; }

    /// <summary>What happens now is on disk when <see cref="Ended"/> reaches this.</summary>
    public long Moment => Begun + 1;

    public void Create()
    {
        ShardLog.Create(Disk);
        Start();
        _committed = [DurableState.Of(Lane)];
    }

    /// <summary>Something that happens outside of the broker, soon.</summary>
    public void Later(Action action) => _background.Add(action);

    public void RunOneInBackground()
    {
        if (_background.Count > 0)
        {
            // They run on threads of their own: in any order.
            var at = _random.Next(_background.Count);
            var action = _background[at];
            _background.RemoveAt(at);
            action();
        }
    }

    /// <summary>The first half: takes what is recorded.</summary>
    public void BeginCommit()
    {
        if (_isCommitting)
        {
            return;
        }
        var isRetry = Lane.Journal!.Log.IsFailing;
        if (!Lane.BeginCommit())
        {
            return;
        }
        _isCommitting = true;
        if (!isRetry)
        {
            Begun++;
            _inDoubt = DurableState.Of(Lane);
        }
    }

    public void BeginMark()
    {
        if (!_isCommitting && !Lane.Journal!.Log.IsFailing && Lane.BeginMark())
        {
            (_isCommitting, _inDoubt) = (true, null);
            Begun++;
        }
    }

    /// <summary>The second half: writes it. False when the disk did not take it.</summary>
    /// <exception cref="DiskCrashedException">The machine went down meanwhile.</exception>
    public bool EndCommit()
    {
        if (!_isCommitting)
        {
            return true;
        }
        try
        {
            Lane.Journal!.Log.WriteCommit();
        }
        catch (IOException e) when (e is not DiskCrashedException)
        {
            _isCommitting = false;
            Lane.FailCommit();
            return false;
        }
        _isCommitting = false;
        (_committed, _inDoubt) = (_inDoubt is { } certain ? [certain] : _committed, null);
        Ended = Begun;
        _committedHere++;
        Lane.EndCommit();
        return true;
    }

    /// <summary>Segments that nothing needs go.</summary>
    public void DeleteUnneeded()
    {
        while (Lane.TakeDeletable() is { } segment)
        {
            try
            {
                Lane.Journal!.Log.Delete(segment);
            }
            catch (IOException e) when (e is not DiskCrashedException)
            {
                return;
            }
        }
    }

    /// <summary>Everything that waits, until nothing does.</summary>
    public void RunAll()
    {
        do
        {
            while (HasBackground)
            {
                RunOneInBackground();
            }
            BeginCommit();
            if (!EndCommit())
            {
                throw new SimulationException("a disk without a fault does not take a commit");
            }
            DeleteUnneeded();
        }
        while (HasBackground || Lane.IsUncommitted);
        CheckReferences();
    }

    /// <summary>Power cut and start; with <paramref name="reboot"/> the machine's own clock starts anew as well.</summary>
    public void Crash(bool reboot)
    {
        _background.Clear();
        Disk.Crash();
        Disk.Restart();
        if (reboot)
        {
            _boot = new Guid(++_boots, 2, 3, [4, 5, 6, 7, 8, 9, 10, 11]);
        }
        _isCommitting = false;
        if (_random.Next(6) == 0)
        {
            // It goes down once more while it reads and cuts off what is torn.
            Disk.CrashInChange(1);
        }
        try
        {
            Start();
        }
        catch (DiskCrashedException)
        {
            Disk.Restart();
            Start();
        }
        Disk.CrashInChange(0);
        Check();
        // A commit in doubt is there or is not: either way it is not in doubt any more.
        Begun = Ended = Begun + 1;
    }

    private void Check()
    {
        if (Lane.Damage is { } damage)
        {
            throw new SimulationException($"a crash is taken for damage: {damage}");
        }
        Lane.Enter();
        Lane.Leave();
        var found = DurableState.Of(Lane);
        List<DurableState> possible = [.. _committed, .. _inDoubt is null ? [] : new[] { _inDoubt }];
        var differences = possible.ConvertAll(state => state.DifferenceTo(found));
        if (!differences.Contains(null))
        {
            throw new SimulationException($"read back is not what was committed: {string.Join("; nor ", differences)}");
        }
        // As the log has it, not as it is now: that the connections are lost is not on disk yet.
        (_committed, _inDoubt) = ([.. possible.Where((_, i) => differences[i] is null)], null);
        CheckReferences();
    }

    /// <summary>
    /// One bit of what is on disk, flipped in a copy: it is found and named, or it is where nothing stands. Not in what was committed
    /// last, which without a mark behind it is not told from a torn end.
    /// </summary>
    public void FlipBit(int roll)
    {
        var copy = Disk.Copy(roll);
        var firsts = copy.Firsts.ToList();
        var first = firsts[roll % firsts.Count];
        var length = copy.Read(first).Length;
        if (Lane.Journal!.Log.IsFailing || _isCommitting || Lane.Journal.Log.NeedsMark || Lane.IsUncommitted || length == 0)
        {
            return;
        }
        var offset = (roll / 7) % length;
        copy.FlipBit(first, offset, roll % 8);
        var broker = NewBroker();
        try
        {
            broker.Lanes[0].Open(copy, _options, Boot);
        }
        catch (StartException)
        {
            return;
        }
        if (broker.Lanes[0].Damage is { } damage)
        {
            if (!damage.Contains("offset", StringComparison.Ordinal))
            {
                throw new SimulationException($"damage is not named with its place: {damage}");
            }
            return;
        }
        var found = DurableState.Of(broker.Lanes[0]);
        if (_committed.TrueForAll(state => state.DifferenceTo(found) is not null))
        {
            var difference = _committed[0].DifferenceTo(found);
            throw new SimulationException($"bit {roll % 8} at {offset} of segment {first} is flipped, and nobody sees it: {difference}");
        }
    }

    /// <summary>A segment may go when nothing in it is needed: what is counted must be what there is.</summary>
    private void CheckReferences()
    {
        if (Lane.IsUncommitted)
        {
            return;
        }
        var journal = Lane.Journal!;
        var needed = journal.Sessions.Count + journal.Owed.Count + (journal.ClockHome != 0 ? 1 : 0)
            + Lane.Hubs.Values.Sum(hub => hub.Retained.Matching("#").Count(m => m.Position != 0) + hub.IngestedIds)
            + journal.Sessions.Values.Sum(session => session.HasStored ? session.Stored.Count : 0);
        var counted = journal.Log.Segments.Sum(segment => segment.References);
        if (needed != counted)
        {
            throw new SimulationException($"{needed} records are needed, {counted} are counted");
        }
    }

    private void Start()
    {
        var before = _committedHere > 0 ? _clock : default;
        Broker = NewBroker();
        var times = _committed.Select(state => state.Now).DefaultIfEmpty();
        var (last, latest) = (times.Min(), times.Max());
        Lane.Open(Disk, _options, Boot);
        Broker.Configure(AnonymousAuthenticator.HubId, new HubSettings(null, false, Routes is null ? [] : [new RouteSubscription(SimulatedRoutes.Route, SimulatedRoutes.Filter)]));
        if (Lane.Damage is not null)
        {
            return;
        }
        var offset = Lane.Now - Clock.PassedMs;
        if (before.Boot == _boot && before.Offset != offset)
        {
            throw new SimulationException($"the lane's clock is {offset - before.Offset} ms off after a start in the same boot");
        }
        if (Lane.Now < last || Lane.Now > Math.Max(latest, _inDoubt?.Now ?? 0) + (long)TimeSpan.FromDays(8).TotalMilliseconds)
        {
            throw new SimulationException($"the lane's clock was {last} ms, is {Lane.Now} ms");
        }
        (_clock, _committedHere) = ((_boot, offset), 0);
    }

    private BootClock Boot() => new(_boot, Clock.PassedMs);

    private MqttBroker NewBroker() => new(_limits, new AnonymousAuthenticator(), Routes is null ? new NullBridge() : Routes, Clock, lanes: 1) { Background = _background.Add };
}
