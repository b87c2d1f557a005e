namespace IotHub.Broker.Bridge;

/// <summary>Waits longer after each failure in a row, and not exactly as long as the others do.</summary>
internal sealed class BackOff(TimeSpan first, TimeSpan longest, TimeProvider clock)
{
    private TimeSpan _next = first;

    /// <summary>Failures so far.</summary>
    public int Failures { get; private set; }

    /// <summary>Tries until it works, and tells of each failure before it waits.</summary>
    public async Task Until(Func<Task> attempt, Action<Exception> failed, CancellationToken cancel)
    {
        while (true)
        {
            try
            {
                await attempt();
                return;
            }
            catch (Exception e) when (!cancel.IsCancellationRequested)
            {
                failed(e);
            }
            await Wait(cancel);
        }
    }

    public async Task Wait(CancellationToken cancel)
    {
        Failures++;
        var wait = _next * (0.75 + (Random.Shared.NextDouble() / 4));
        _next = _next * 2 < longest ? _next * 2 : longest;
        await Task.Delay(wait, clock, cancel);
    }
}
