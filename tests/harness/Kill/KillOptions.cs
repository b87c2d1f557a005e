namespace IotHub.Harness.Kill;

/// <summary>What a kill test is to do.</summary>
public sealed record KillOptions
{
    /// <summary>The broker's executable.</summary>
    public string Program { get; init; } = BrokerProgram.Path;

    /// <summary>Where it keeps its log; null runs it without, which must be found out.</summary>
    public required string? DataFolder { get; init; }

    /// <summary>Size of the log's files: small ones are many, and cleaned all the time.</summary>
    public int SegmentBytes { get; init; } = 128 * 1024;

    public required int Kills { get; init; }

    /// <summary>Decides when is killed and who does what; the order of events is the machine's, so it replays the plan, not the run.</summary>
    public required int Seed { get; init; }

    /// <summary>Ends at the first fault, so that the folder shows it.</summary>
    public bool StopAtFault { get; init; }

    /// <summary>How long is waited at the end for what has not come yet.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Called after each kill.</summary>
    public Action<KillReport> OnKill { get; init; } = _ => { };
}
