using IotHub.Harness.Mqtt;

namespace IotHub.Harness.Kill;

/// <summary>
/// A message with or without an expiry. All times are the clients', since the run began: the message's own begins between its first PUBLISH
/// and its acknowledgement, and the broker sends it between the begin of the connection and its arrival, so that a slow machine can
/// excuse a fault but never make one.
/// </summary>
/// <param name="Seconds">Its Message Expiry Interval; null without.</param>
internal sealed record ExpiringMessage(uint? Seconds)
{
    /// <summary>With a short expiry, with a long one, without.</summary>
    public const int Kinds = 3;

    public const byte Property = 0x02;

    /// <summary>What the broker's clock may be off: it counts in milliseconds and goes on over a kill.</summary>
    public static readonly TimeSpan Margin = TimeSpan.FromSeconds(1);

    /// <summary>Longest of the short intervals, in seconds: with the margin they can be seen too early as well as too late.</summary>
    private const int ShortMaximum = 3;

    public bool IsShort => Seconds <= ShortMaximum;
    public int Sends { get; set; }
    public TimeSpan FirstSend { get; set; }
    public TimeSpan? Acknowledged { get; set; }
    public bool Came { get; set; }

    /// <summary>As text, for a fault.</summary>
    public string Expiry => Name(Seconds);

    /// <summary>One of a kind, with an interval at random.</summary>
    public static ExpiringMessage Of(int kind, Random random) => new(kind switch
    {
        0 => (uint)random.Next(1, ShortMaximum + 1),
        1 => (uint)random.Next(600, 100_000),
        _ => null,
    });

    /// <summary>Its properties on the way to the broker.</summary>
    public byte[]? ToProperties() => Seconds is { } expiry ? Packet.Property(Property, expiry) : null;

    /// <summary>Its time is over at that moment, by more than the margin.</summary>
    public bool IsOver(TimeSpan at) =>
        Acknowledged is { } time && Seconds is { } seconds && at > time + TimeSpan.FromSeconds(seconds) + Margin;

    /// <summary>Null when what came with it can be what is left of its interval; else what is wrong.</summary>
    public string? WrongInterval(in TakenMessage taken, TimeSpan connectedAfter, TimeSpan now)
    {
        var properties = ReceivedProperties.Read(taken.Properties.ToArray());
        uint? left = properties.Has(Property) ? properties.Number(Property) : null;
        if (Seconds is not { } sent || left is not { } seconds)
        {
            return Seconds == left ? null : $"with {Name(left)}, sent with {Expiry}";
        }
        // Left is rounded up to whole seconds, and never 0.
        var atLeast = sent - (now - FirstSend + Margin).TotalSeconds;
        var atMost = Acknowledged is { } acknowledged ? sent - (connectedAfter - acknowledged - Margin).TotalSeconds + 1 : sent;
        return seconds >= atLeast && seconds <= Math.Min(sent, Math.Max(1, atMost))
            ? null : $"with {Name(seconds)}, sent with {Expiry}: {atLeast:0} to {atMost:0} s can be left";
    }

    private static string Name(uint? seconds) => seconds is { } some ? $"expiry {some} s" : "no expiry";
}
