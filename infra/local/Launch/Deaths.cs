namespace IotHub.Local.Launch;

/// <summary>Counts how often each child has died lately: more than <see cref="Allowed"/> times within <see cref="Window"/> is too many.</summary>
public sealed class Deaths(TimeProvider time)
{
    public const int Allowed = 5;
    public static readonly TimeSpan Window = TimeSpan.FromMinutes(1);

    private readonly Dictionary<string, Queue<DateTimeOffset>> _lately = [];

    /// <summary>Counts one more death of <paramref name="child"/>.</summary>
    public bool AreTooMany(string child)
    {
        if (!_lately.TryGetValue(child, out var deaths))
        {
            _lately[child] = deaths = new Queue<DateTimeOffset>();
        }
        var now = time.GetUtcNow();
        deaths.Enqueue(now);
        while (now - deaths.Peek() > Window)
        {
            deaths.Dequeue();
        }
        return deaths.Count > Allowed;
    }
}
