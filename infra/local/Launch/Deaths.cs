namespace IotHub.Local.Launch;

/// <summary>How often each child died lately: one that dies again and again is not started for ever.</summary>
public sealed class Deaths(TimeProvider time)
{
    /// <summary>Deaths of one child within <see cref="Window"/> after which it is still started again.</summary>
    public const int Borne = 5;

    public static readonly TimeSpan Window = TimeSpan.FromMinutes(1);

    private readonly Dictionary<string, Queue<long>> _byChild = [];

    /// <summary>Counts a death, and gives how many there were within the window, this one included.</summary>
    public int Count(string child)
    {
        if (!_byChild.TryGetValue(child, out var lately))
        {
            _byChild[child] = lately = new Queue<long>();
        }
        lately.Enqueue(time.GetTimestamp());
        while (time.GetElapsedTime(lately.Peek()) > Window)
        {
            lately.Dequeue();
        }
        return lately.Count;
    }
}
