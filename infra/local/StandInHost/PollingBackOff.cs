namespace IotHub.Local.StandInHost;

/// <summary>
/// How long a queue listener waits after an empty poll: 100 ms first, then 100 ms more than a growing random step, about 200, 300, 500,
/// 900 ms and so on up to the maximum, where it stays until a message is found.
/// </summary>
public sealed class PollingBackOff(TimeSpan maximum, Random random)
{
    private const double Spread = 0.2;
    private const int StepsMax = 30;
    private static readonly TimeSpan Minimum = TimeSpan.FromMilliseconds(100);
    private int _empty;
    private bool _atMaximum;

    public void MessagesFound()
    {
        _empty = 0;
        _atMaximum = false;
    }

    public TimeSpan NextWait()
    {
        if (_atMaximum || maximum <= Minimum)
        {
            return maximum;
        }
        var wait = Minimum;
        if (_empty > 0)
        {
            var factor = 1 - Spread + (2 * Spread * random.NextDouble());
            wait += Minimum * (factor * Math.Pow(2, Math.Min(_empty - 1, StepsMax)));
        }
        _empty++;
        _atMaximum = wait >= maximum;
        return _atMaximum ? maximum : wait;
    }
}
