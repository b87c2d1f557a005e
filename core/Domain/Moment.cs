namespace IotHub.Core.Domain;

/// <summary>Times as they are stored and shown.</summary>
public static class Moment
{
    /// <summary>The same time without what is smaller than the unit (a day at most), in UTC.</summary>
    public static DateTimeOffset DownTo(this DateTimeOffset at, TimeSpan unit) =>
        new(at.UtcTicks - (at.UtcTicks % unit.Ticks), TimeSpan.Zero);
}
