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
        (StepKind.Connect, 8), (StepKind.Cut, 3), (StepKind.Disconnect, 2), (StepKind.Read, 26), (StepKind.Acknowledge, 26),
        (StepKind.Publish, 34), (StepKind.Subscribe, 9), (StepKind.Unsubscribe, 2), (StepKind.Background, 14),
        (StepKind.BeginCommit, 10), (StepKind.EndCommit, 10), (StepKind.Commit, 30), (StepKind.Mark, 2), (StepKind.Tick, 6),
        (StepKind.Advance, 6), (StepKind.SetWall, 1), (StepKind.Crash, 4), (StepKind.Reboot, 1), (StepKind.CrashInWrite, 3),
        (StepKind.FailWrite, 3), (StepKind.DiskFails, 1), (StepKind.DiskFull, 1), (StepKind.DiskWorks, 5), (StepKind.FlipBit, 1),
        (StepKind.Settle, 3),
    ];

    private static readonly int Sum = Weights.Sum(w => w.Weight);

    public static Step[] Schedule(int seed, int count)
    {
        var random = new Random(seed);
        var steps = new Step[count];
        for (var i = 0; i < count; i++)
        {
            var roll = random.Next(Sum);
            var kind = Array.FindIndex(Weights, w => (roll -= w.Weight) < 0);
            steps[i] = new Step(Weights[kind].Kind, random.Next(SimulationSetup.ClientsMaximum), random.Next());
        }
        return steps;
    }
}
