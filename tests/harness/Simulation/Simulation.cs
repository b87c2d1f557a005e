using IotHub.Broker;
using IotHub.Broker.Bridge;
using IotHub.Broker.Durability;

namespace IotHub.Harness.Simulation;

/// <summary>What a run is played with; follows from its seed.</summary>
/// <param name="Sleepers">Clients that do something much less often: messages wait for them while the log moves on.</param>
/// <param name="HasRoutes">A route takes part of the messages, and some come from outside.</param>
public sealed record SimulationSetup(
    int Seed, int Clients, int Sleepers, bool IsLossy, int PaddingMaximum, LogOptions Log, BrokerLimits Limits, bool HasRoutes)
{
    public const int ClientsMaximum = 5;

    /// <summary>Sockets take part of what is sent, and the rest later, or never.</summary>
    public bool HasSlowSockets { get; init; }

    /// <summary>Clients subscribe with No Local and Retain As Published.</summary>
    public bool HasOptions { get; init; }

    /// <summary>Topic aliases go both ways.</summary>
    public bool HasAliases { get; init; }

    public static SimulationSetup Of(int seed)
    {
        var random = new Random(seed ^ 0x5EED);
        var isLossy = random.Next(6) == 0;
        var limits = new BrokerLimits { SessionsPerDeviceMaximum = 10_000 };
        var setup = new SimulationSetup(
            seed, random.Next(2, ClientsMaximum + 1), random.Next(3), isLossy, random.Next(10, 1500),
            // Small, so that segments roll over, are cleaned and deleted within a short run.
            new LogOptions
            {
                SegmentBytes = random.Next(600, 4000),
                CleanFromBytes = random.Next(1, 6000),
                BlockBytesMaximum = random.Next(200, 3000),
                ExtendBytesMinimum = random.Next(100, 2000),
                ExtendBytesMaximum = 4000,
            },
            !isLossy ? limits : limits with
            {
                QueuedMessagesPerSessionMaximum = random.Next(2, 8),
                QueueOverflow = random.Next(2) == 0 ? QueueOverflow.DropOldest : QueueOverflow.DropNewest,
            },
            HasRoutes: false);
        setup = setup with { HasRoutes = random.Next(3) == 0 };
        return HasMore(seed) ? setup.WithMore(new Random(seed ^ 0x30AE)) : setup;
    }

    /// <summary>Three seeds of ten. The others mean what they meant before there was more, and what they found they still find.</summary>
    private static bool HasMore(int seed) => (seed % 10) is 0 or 6 or 7;

    /// <summary>All that came later, drawn apart.</summary>
    private SimulationSetup WithMore(Random random)
    {
        var setup = this with
        {
            HasSlowSockets = random.Next(2) == 0,
            HasOptions = random.Next(2) == 0,
            HasAliases = random.Next(2) == 0,
        };
        if (setup.HasSlowSockets && random.Next(2) == 0)
        {
            setup = setup.WithLargeMessages(random);
        }
        return !setup.HasAliases ? setup : setup with
        {
            Limits = setup.Limits with { TopicAliasMaximum = 3, OutgoingTopicAliasMaximum = (ushort)random.Next(1, 4) },
        };
    }

    /// <summary>So that a few that a socket does not take are more than may wait for it, which is not less than 64 KiB.</summary>
    private SimulationSetup WithLargeMessages(Random random) => this with
    {
        PaddingMaximum = random.Next(10_000, 60_000),
        Limits = Limits with { OutboxBytesMaximum = 64 * 1024 },
        Log = Log with
        {
            SegmentBytes = Log.SegmentBytes * 30,
            CleanFromBytes = Log.CleanFromBytes * 30,
            BlockBytesMaximum = Log.BlockBytesMaximum * 30,
            ExtendBytesMinimum = Log.ExtendBytesMinimum * 30,
            ExtendBytesMaximum = Log.ExtendBytesMaximum * 30,
        },
    };
}

/// <summary>
/// A broker with its clients, its clock and its disk in one thread: what happens follows from the seed and the steps alone. Throws a
/// <see cref="SimulationException"/> at the first thing that may not be.
/// </summary>
public sealed class Simulation
{
    private static readonly string[] Topics = ["a/1", "a/2", "b/1", "b/2", "s/x/1"];
    private static readonly string[] Filters = ["a/1", "a/#", "a/+", "b/+", "+/1", "b/2", "$share/g/s/#"];

    /// <summary>An alias is not used for a topic that is not longer.</summary>
    private static readonly string[] LongTopics = ["a/11", "a/22", "b/11", "b/2", "s/x/1"];
    private static readonly string[] LongFilters = ["a/11", "a/#", "a/+", "b/+", "+/11", "b/2", "$share/g/s/#"];

    private readonly SimulationSetup _setup;
    private readonly List<string>? _story;
    private readonly SimulatedBroker _broker;
    private readonly SimulationModel _model;
    private readonly SimulatedClient[] _clients;
    private readonly List<IngestedMessage> _ingested = [];
    private readonly string[] _topics;
    private readonly string[] _filters;

    private Simulation(SimulationSetup setup, List<string>? story)
    {
        (_setup, _story) = (setup, story);
        (_topics, _filters) = setup.HasAliases ? (LongTopics, LongFilters) : (Topics, Filters);
        _broker = new SimulatedBroker(setup);
        _model = new SimulationModel(_broker, setup.IsLossy);
        _clients = [.. Enumerable.Range(0, setup.Clients).Select(
            i => new SimulatedClient($"c{i}", isV5: ((setup.Seed >> i) & 1) == 0, _broker, _model, Tell))];
    }

    /// <summary>Plays the steps, then asks every session for all it has.</summary>
    /// <param name="story">Takes what happened, line by line.</param>
    /// <returns>What went wrong; null for nothing.</returns>
    public static string? Play(SimulationSetup setup, IEnumerable<Step> steps, List<string>? story = null)
    {
        try
        {
            new Simulation(setup, story).Run(steps);
            return null;
        }
        catch (SimulationException e)
        {
            return e.Message;
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            return $"{e.GetType().Name}: {e.Message} {e.StackTrace}";
        }
    }

    private void Tell(string line) => _story?.Add(line);

    private void Run(IEnumerable<Step> steps)
    {
        _broker.Create();
        foreach (var step in steps)
        {
            Try(step);
        }
        Finish();
    }

    private void Try(Step step)
    {
        _broker.More = new Random(step.Roll ^ 0x30AE);
        try
        {
            SocketTakes();
            var client = step.Client % _clients.Length;
            if (client < _setup.Sleepers && step.Roll % 8 != 0 && step.Kind is not (StepKind.Connect or StepKind.Subscribe or StepKind.Cut))
            {
                client = _clients.Length - 1;
            }
            Do(step, _clients[client], new Random(step.Roll));
        }
        catch (DiskCrashedException)
        {
            Crash(reboot: false);
        }
        foreach (var client in _clients)
        {
            client.Collect();
        }
        _model.CheckSessions();
    }

    /// <summary>Now and then a slow socket takes some, or all, of what it has not taken yet.</summary>
    private void SocketTakes()
    {
        if (_setup.HasSlowSockets && _broker.More.Next(2) == 0)
        {
            var client = _clients[_broker.More.Next(_clients.Length)];
            client.TakeRest(_broker.More.Next(2) == 0 ? int.MaxValue : _broker.More.Next(1, 600));
        }
    }

    private void Do(Step step, SimulatedClient client, Random random)
    {
        var kind = step.Kind;
        if (kind is StepKind.Publish or StepKind.Subscribe && !client.IsConnected)
        {
            // It has to be let in first.
            kind = client.HasToRead ? StepKind.Read : client.IsConnecting ? StepKind.Commit : StepKind.Connect;
        }
        switch (kind)
        {
            case StepKind.Connect when !(client.IsConnected || client.IsConnecting) || random.Next(3) == 0:
                Connect(client, random);
                break;
            case StepKind.Cut:
                client.Cut();
                break;
            case StepKind.Disconnect:
                client.Disconnect(random.Next(3) == 0 ? Pick<uint>(random, 0, 30, uint.MaxValue) : null, withWill: random.Next(3) == 0);
                break;
            case StepKind.Read:
                for (var left = random.Next(1, 6); left > 0 && client.HasToRead; left--)
                {
                    client.Read();
                }
                break;
            case StepKind.Acknowledge:
                var isOrderly = random.Next(4) > 0;
                for (var left = random.Next(1, 5); left > 0 && client.HasDue && client.IsLetIn; left--)
                {
                    client.Acknowledge(isOrderly ? 0 : random.Next(100));
                }
                break;
            case StepKind.Publish when client.IsConnected && client.IsLetIn && client.Unacknowledged < 10:
                Publish(client, random);
                break;
            case StepKind.Subscribe when client.IsConnected && client.IsLetIn:
                var filter = Pick(random, _filters);
                client.Subscribe(
                    filter, (byte)((filter.StartsWith('$') ? 2 : random.Next(3)) | (random.Next(3) << 4) | MoreOptions(filter)),
                    random.Next(2) * random.Next(1, 200));
                break;
            case StepKind.Unsubscribe when client.IsConnected && client.IsLetIn:
                client.Unsubscribe(Pick(random, _filters));
                break;
            case > StepKind.Unsubscribe:
                DoToMachine(kind, step.Roll, random);
                break;
            default:
                break;
        }
    }

    /// <summary>No Local, which a shared subscription may not have, and Retain As Published.</summary>
    private int MoreOptions(string filter) => !_setup.HasOptions ? 0
        : (_broker.More.Next(2) << 3) | (filter.StartsWith('$') ? 0 : _broker.More.Next(2) << 2);

    private void DoToMachine(StepKind kind, int roll, Random random)
    {
        switch (kind)
        {
            case StepKind.Background:
                _broker.RunOneInBackground();
                break;
            case StepKind.BeginCommit:
                _broker.BeginCommit();
                break;
            case StepKind.EndCommit:
                EndCommit();
                break;
            case StepKind.Commit:
                _broker.BeginCommit();
                EndCommit();
                break;
            case StepKind.Mark:
                _broker.BeginMark();
                break;
            case StepKind.Tick:
                Tick();
                if (_setup.HasRoutes && random.Next(2) == 0)
                {
                    Ingest(random);
                }
                break;
            case StepKind.Advance:
                var ms = random.Next(8) == 0 ? random.Next(7_200_000) : random.Next(20_000);
                Tell($"{ms} ms pass");
                _broker.Clock.Advance(ms);
                _broker.Lane.Enter();
                _broker.Lane.Leave();
                break;
            case StepKind.SetWall:
                _broker.Clock.SetWallBy(TimeSpan.FromHours(random.Next(-9000, 9000)));
                break;
            case StepKind.Crash or StepKind.Reboot:
                Crash(kind == StepKind.Reboot);
                break;
            default:
                DoToDisk(kind, roll, random);
                break;
        }
    }

    private void DoToDisk(StepKind kind, int roll, Random random)
    {
        var disk = _broker.Disk;
        switch (kind)
        {
            case StepKind.CrashInWrite:
                disk.CrashInChange(random.Next(1, 4));
                break;
            case StepKind.FailWrite:
                disk.FailChange(random.Next(1, 4));
                break;
            case StepKind.DiskFails:
                Tell("the disk fails");
                disk.Failing = true;
                break;
            case StepKind.DiskFull:
                Tell("the disk is full");
                disk.Capacity = disk.Bytes + random.Next(300);
                break;
            case StepKind.DiskWorks:
                RepairDisk();
                break;
            case StepKind.FlipBit:
                Settle();
                _broker.BeginMark();
                EndCommit();
                _broker.FlipBit(roll);
                break;
            default:
                Settle();
                break;
        }
    }

    private void RepairDisk()
    {
        (_broker.Disk.Failing, _broker.Disk.Capacity) = (false, long.MaxValue);
        _broker.Disk.FailChange(0);
    }

    private void Settle()
    {
        Tell("all that waits is done");
        RepairDisk();
        _broker.Disk.CrashInChange(0);
        _broker.RunAll();
    }

    private void EndCommit()
    {
        if (_broker.EndCommit())
        {
            _broker.DeleteUnneeded();
        }
        else
        {
            Tell("a commit fails");
        }
    }

    private void Crash(bool reboot)
    {
        Tell(reboot ? "the machine is switched off and on" : "the broker crashes");
        foreach (var client in _clients)
        {
            client.Forget();
        }
        if (reboot)
        {
            _broker.Clock.Advance(1000);
        }
        var ended = _broker.Ended;
        _broker.Disk.Capacity = long.MaxValue;
        _broker.Crash(reboot);
        _model.Crashed(ended);
    }

    private void Connect(SimulatedClient client, Random random)
    {
        SimulatedMessage? will = null;
        if (random.Next(4) == 0)
        {
            will = _model.NewMessage(client.Id, Pick(random, _topics), (byte)random.Next(3), random.Next(4) == 0, isEmpty: false, null);
        }
        client.Connect(
            cleanStart: random.Next(10) == 0, Pick<uint>(random, 0, 30, 3600, uint.MaxValue, uint.MaxValue, uint.MaxValue),
            Pick(random, 1, 2, 5, 65535), will, Pick<uint>(random, 0, 0, 10));
    }

    private void Publish(SimulatedClient client, Random random)
    {
        var isEmpty = random.Next(20) == 0;
        var topic = Pick(random, _topics);
        var retain = isEmpty || random.Next(6) == 0;
        var expiry = client.IsV5 && random.Next(6) == 0 ? Pick<uint>(random, 5, 60, 100_000) : (uint?)null;
        var message = _model.NewMessage(client.Id, topic, (byte)Math.Min(2, random.Next(4)), retain, isEmpty, expiry);
        client.Publish(message, isEmpty ? "" : $"m{message.Number} {new string('x', random.Next(_setup.PaddingMaximum))}");
    }

    private void Tick()
    {
        _broker.Broker.Tick();
        _model.Ticked();
    }

    /// <summary>A message from outside, new or once more under its id.</summary>
    private void Ingest(Random random)
    {
        if (_ingested.Count == 0 || random.Next(2) == 0)
        {
            var made = _model.NewMessage("outside", Pick(random, _topics), 0, retain: false, isEmpty: false, null);
            var id = new Guid(_ingested.Count + 1, 1, 1, [1, 1, 1, 1, 1, 1, 1, 1]);
            _ingested.Add(new IngestedMessage(made, id, $"m{made.Number} {new string('x', random.Next(_setup.PaddingMaximum))}"));
        }
        var message = _ingested[random.Next(2) == 0 ? _ingested.Count - 1 : random.Next(_ingested.Count)];
        IngestOutcome outcome;
        _broker.Lane.Enter();
        try
        {
            outcome = _broker.Hub.Ingest(message.ForBroker(), null, () => message.IsAccepted = true);
        }
        finally
        {
            _broker.Lane.Leave();
        }
        Tell($"outside -> {message.Message}: {outcome}");
        if (outcome == IngestOutcome.Accepted)
        {
            SimulationModel.Check(!message.IsAccepted, $"{message.Message} from outside was accepted, and is taken once more");
            _model.Published(message.Message);
        }
    }

    /// <summary>Routes have all that was acknowledged, and a message of QoS 2 under one id.</summary>
    private void CheckRoutes()
    {
        for (var tries = 0; _broker.Lane.Journal!.Owed.Count > 0; tries++)
        {
            SimulationModel.Check(tries < 100, "what is owed to routes is not offered");
            Tick();
            _broker.RunAll();
        }
        _model.CheckRoutes(_broker.Routes!);
        foreach (var message in _ingested.Where(m => m.IsAccepted && _model.IsRouted(m.Message)))
        {
            SimulationModel.Check(_broker.Routes!.Stored(message.Message) == 1, $"{message.Message} from outside was accepted, and the route has not got it");
        }
    }

    private void Finish()
    {
        Tell("the end: everybody comes back for what there is");
        Settle();
        for (var round = 0; round < 2; round++)
        {
            Drain();
            foreach (var client in _clients)
            {
                client.CheckNothingIsLeftBehind();
            }
            _model.CheckAllDelivered();
            if (_setup.HasRoutes)
            {
                CheckRoutes();
            }
            foreach (var session in _broker.Hub.Sessions.Values.Where(s => s.HasStored || s.HasInFlight || s.HasQueued))
            {
                throw new SimulationException($"{session.Key.ClientId} took all it was given, and more waits for it");
            }
            Crash(reboot: false);
        }
    }

    private void Drain()
    {
        var isBusy = true;
        while (isBusy)
        {
            isBusy = false;
            foreach (var client in _clients.Where(c => !c.IsLetIn && !c.HasToRead && _model.Sessions.ContainsKey(c.Id)))
            {
                client.Cut();
                client.Connect(cleanStart: false, uint.MaxValue, 65535, will: null, 0);
                isBusy = true;
            }
            _broker.RunAll();
            foreach (var client in _clients)
            {
                while (client.HasRest)
                {
                    client.TakeRest(int.MaxValue);
                    isBusy = true;
                }
                client.Collect();
                while (client.HasToRead)
                {
                    client.Read();
                    isBusy = true;
                }
                while (client.HasDue && client.IsLetIn)
                {
                    client.Acknowledge(0);
                    isBusy = true;
                }
            }
            _model.CheckSessions();
        }
    }

    private static T Pick<T>(Random random, params T[] values) => values[random.Next(values.Length)];
}
