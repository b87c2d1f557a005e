namespace IotHub.Harness.Simulation;

/// <summary>From a run that fails to a shorter one that still fails.</summary>
public static class Shortening
{
    private const int TriesMaximum = 3000;

    /// <summary>Leaves out steps, many at once and then one by one, as long as something still goes wrong.</summary>
    public static Step[] Shorten(SimulationSetup setup, Step[] steps)
    {
        var tries = 0;
        for (var size = Math.Max(1, steps.Length / 2); ;)
        {
            var isShorter = false;
            for (var at = 0; at < steps.Length && tries < TriesMaximum;)
            {
                var shorter = steps[..at].Concat(steps[Math.Min(at + size, steps.Length)..]).ToArray();
                tries++;
                if (Simulation.Play(setup, shorter) is not null)
                {
                    (steps, isShorter) = (shorter, true);
                }
                else
                {
                    at += size;
                }
            }
            if (tries >= TriesMaximum || (size == 1 && !isShorter))
            {
                return steps;
            }
            size = isShorter ? size : Math.Max(1, size / 2);
        }
    }
}
