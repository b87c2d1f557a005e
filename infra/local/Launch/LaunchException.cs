namespace IotHub.Local.Launch;

/// <summary>Something stands in the way of a local run. The message says in one sentence what it is and what to do.</summary>
public sealed class LaunchException : Exception
{
    public LaunchException()
    {
    }

    public LaunchException(string message)
        : base(message)
    {
    }

    public LaunchException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>The last lines of a child's log, when a child is the reason.</summary>
    public IReadOnlyList<string> LogTail { get; init; } = [];
}
