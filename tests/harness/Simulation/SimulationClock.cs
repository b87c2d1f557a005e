namespace IotHub.Harness.Simulation;

/// <summary>A wall clock that can be set forward and back, and beside it the time that only passes.</summary>
public sealed class SimulationClock : TimeProvider
{
    private DateTimeOffset _wall = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);

    /// <summary>Milliseconds that have passed.</summary>
    public long PassedMs { get; private set; }

    public override long TimestampFrequency => 1000;

    public override long GetTimestamp() => PassedMs;

    public override DateTimeOffset GetUtcNow() => _wall;

    public void Advance(long ms)
    {
        PassedMs += ms;
        _wall = _wall.AddMilliseconds(ms);
    }

    /// <summary>Somebody sets the wall clock.</summary>
    public void SetWallBy(TimeSpan by) => _wall += by;
}

/// <summary>A run found something that may not be.</summary>
public sealed class SimulationException(string what) : Exception(what);
