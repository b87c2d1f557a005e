using System.Diagnostics;

namespace IotHub.Local.Launch;

/// <summary>Waiting for a child to be really there.</summary>
public static class Readiness
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(25);

    /// <exception cref="LaunchException">The child ended, or did not become ready in time.</exception>
    public static async Task Until(Child child, TimeSpan patience, Func<Task<bool>> isReady, CancellationToken cancel)
    {
        var since = Stopwatch.StartNew();
        while (!await isReady())
        {
            if (child.Exited.IsCompleted)
            {
                throw child.Death();
            }
            if (since.Elapsed > patience)
            {
                throw new LaunchException(
                    $"{child.Name} was not ready within {patience.TotalSeconds:0} s: see its log {child.Log.FilePath}.")
                {
                    LogTail = child.Log.Tail,
                };
            }
            await Task.Delay(Pause, cancel);
        }
    }

    public static async Task<bool> Answers(HttpClient http, Uri address, bool anyStatus, CancellationToken cancel)
    {
        try
        {
            using var answer = await http.GetAsync(address, HttpCompletionOption.ResponseHeadersRead, cancel);
            return anyStatus || answer.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }
}
