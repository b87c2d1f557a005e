namespace IotHub.Harness.Simulation;

/// <summary>What can happen.</summary>
public enum StepKind
{
    Connect,
    Cut,
    Disconnect,
    Read,
    Acknowledge,
    Publish,
    Subscribe,
    Unsubscribe,
    Background,
    BeginCommit,
    EndCommit,
    Commit,
    Mark,
    Tick,
    Advance,
    SetWall,
    Crash,
    Reboot,
    CrashInWrite,
    FailWrite,
    DiskFails,
    DiskFull,
    DiskWorks,
    FlipBit,
    Settle,
}

/// <summary>One thing that happens; how exactly follows from the roll, and from how things stand.</summary>
public readonly record struct Step(StepKind Kind, int Client, int Roll)
{
    private static readonly (StepKind Kind, int Weight)[] Weights =
    [
        (StepKind.Connect, 20), (StepKind.Cut, 12), (StepKind.Disconnect, 8), (StepKind.Read, 200), (StepKind.Acknowledge, 160),
        (StepKind.Publish, 300), (StepKind.Subscribe, 60), (StepKind.Unsubscribe, 8), (StepKind.Background, 100),
        (StepKind.BeginCommit, 60), (StepKind.EndCommit, 60), (StepKind.Commit, 250), (StepKind.Mark, 10), (StepKind.Tick, 40),
        (StepKind.Advance, 40), (StepKind.SetWall, 5), (StepKind.Crash, 8), (StepKind.Reboot, 2), (StepKind.CrashInWrite, 8),
        (StepKind.FailWrite, 6), (StepKind.DiskFails, 2), (StepKind.DiskFull, 2), (StepKind.DiskWorks, 30), (StepKind.FlipBit, 4),
        (StepKind.Settle, 10),
    ];

    /// <summary>For each client, so that there is something to be lost.</summary>
    private static readonly StepKind[] Beginning =
        [StepKind.Connect, StepKind.Commit, StepKind.Read, StepKind.Subscribe, StepKind.Subscribe, StepKind.Commit];

    private static readonly int Sum = Weights.Sum(w => w.Weight);

    public static Step[] Schedule(int seed, int count)
    {
        var random = new Random(seed);
        var steps = new Step[count];
        for (var i = 0; i < count; i++)
        {
            if (i < Beginning.Length * SimulationSetup.ClientsMaximum)
            {
                steps[i] = new Step(Beginning[i / SimulationSetup.ClientsMaximum], i % SimulationSetup.ClientsMaximum, random.Next());
                continue;
            }
            var roll = random.Next(Sum);
            var kind = Array.FindIndex(Weights, w => (roll -= w.Weight) < 0);
            steps[i] = new Step(Weights[kind].Kind, random.Next(SimulationSetup.ClientsMaximum), random.Next());
        }
        return steps;
    }
}
