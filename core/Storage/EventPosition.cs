using System.Globalization;

namespace IotHub.Core.Storage;

/// <summary>Where an event stands in the log of its hub, as text that sorts the newest first: falling time, <c>-</c>, id.</summary>
internal static class EventPosition
{
    private const int FallingDigits = 19;
    private const int MaximumLength = 100;

    public static string Of(DateTimeOffset time, string id) => $"{Falling(time)}-{id}";

    /// <summary>Positions of that time begin with it.</summary>
    public static string Falling(DateTimeOffset time) =>
        (DateTimeOffset.MaxValue.UtcTicks - time.UtcTicks).ToString($"D{FallingDigits}", CultureInfo.InvariantCulture);

    /// <exception cref="FormatException">It is not a position.</exception>
    public static DateTimeOffset TimeOf(string position) =>
        position.Length is > FallingDigits + 1 and <= MaximumLength && position[FallingDigits] == '-'
        && long.TryParse(position.AsSpan(0, FallingDigits), NumberStyles.None, CultureInfo.InvariantCulture, out var falling)
        && falling <= DateTimeOffset.MaxValue.UtcTicks
            ? new DateTimeOffset(DateTimeOffset.MaxValue.UtcTicks - falling, TimeSpan.Zero)
            : throw new FormatException("not a position in the event log");
}
