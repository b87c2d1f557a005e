using IotHub.Local.Processes;

namespace IotHub.Local.StandInHost;

/// <summary>How a function app is run by the stand-in host.</summary>
public sealed record FunctionHostOptions
{
    /// <summary>The published folder: host.json, one folder per function, the executable.</summary>
    public required string AppRoot { get; init; }

    /// <summary>Port on the loopback; 0 for a free one.</summary>
    public int Port { get; init; }

    /// <summary>App settings, over the environment and local.settings.json.</summary>
    public IReadOnlyDictionary<string, string> Settings { get; init; } = new Dictionary<string, string>();

    /// <summary>Defaults as in Azure (empty queues polled once a minute) instead of those of a developer's machine.</summary>
    public bool AzureLike { get; init; }

    /// <summary>
    /// After an answer with an empty body, hang until functionTimeout and kill the handler, as the real host does; otherwise fail at once.
    /// </summary>
    public bool Strict { get; init; }

    /// <summary>Null: keys are not checked.</summary>
    public HostKeys? Keys { get; init; }

    /// <summary>Under which name timers are remembered. Null: the machine's name and a hash of the app's path.</summary>
    public string? HostId { get; init; }

    /// <summary>
    /// What running invocations and the handler get at a stop. Zero, the default, kills without warning, as Azure does, so that whoever
    /// relies on a graceful end notices.
    /// </summary>
    public TimeSpan StopGrace { get; init; }

    /// <summary>How long a received queue message is hidden from others; the host's value unless a test is in a hurry.</summary>
    public TimeSpan QueueVisibility { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Ends the handler when this process is killed.</summary>
    public OrphanGuard? Guard { get; init; }
}
