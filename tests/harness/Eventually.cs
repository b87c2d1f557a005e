using System.Diagnostics;
using System.Runtime.CompilerServices;
using Xunit.Sdk;

namespace IotHub.Harness;

/// <summary>
/// Waits for a condition, never for a duration: looks often, stops at once when it holds, and says what it saw when it does not.
/// </summary>
public static class Eventually
{
    public static readonly TimeSpan DefaultDeadline = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    /// <summary>Waits until <paramref name="condition"/> is true.</summary>
    public static Task True(
        Func<bool> condition, TimeSpan? deadline = null, Func<string>? otherwise = null,
        [CallerArgumentExpression(nameof(condition))] string text = "") =>
        True(() => Task.FromResult(condition()), deadline, otherwise, text);

    /// <summary>Waits until <paramref name="condition"/> is true. An exception counts as "not yet" and is shown at the deadline.</summary>
    public static async Task True(
        Func<Task<bool>> condition, TimeSpan? deadline = null, Func<string>? otherwise = null,
        [CallerArgumentExpression(nameof(condition))] string text = "") =>
        await Get<object>(async () => await condition() ? Holds : null, deadline, otherwise, text);

    /// <summary>Waits until <paramref name="look"/> gives something other than null, and returns it.</summary>
    public static async Task<T> Get<T>(
        Func<Task<T?>> look, TimeSpan? deadline = null, Func<string>? otherwise = null,
        [CallerArgumentExpression(nameof(look))] string text = "")
        where T : class
    {
        var limit = deadline ?? DefaultDeadline;
        var watch = Stopwatch.StartNew();
        Exception? last = null;
        do
        {
            try
            {
                if (await look() is { } found)
                {
                    return found;
                }
                last = null;
            }
            catch (Exception e) when (e is not XunitException)
            {
                last = e;
            }
            await Task.Delay(Pause);
        }
        while (watch.Elapsed < limit);

        var saw = otherwise is null ? "" : $"\nSeen instead: {otherwise()}";
        throw new XunitException($"Not within {limit.TotalSeconds:0.#} s: {text}{saw}{(last is null ? "" : $"\nLast error: {last}")}");
    }

    /// <summary>Repeats <paramref name="assertions"/> until they pass; at the deadline the last failure is the test's.</summary>
    public static async Task Passes(Func<Task> assertions, TimeSpan? deadline = null)
    {
        var limit = deadline ?? DefaultDeadline;
        var watch = Stopwatch.StartNew();
        while (true)
        {
            try
            {
                await assertions();
                return;
            }
            catch (Exception) when (watch.Elapsed < limit)
            {
                await Task.Delay(Pause);
            }
        }
    }

    /// <summary>Waits for a task, and says what was waited for when it takes too long.</summary>
    public static async Task<T> Within<T>(
        this Task<T> task, TimeSpan? deadline = null, Func<string>? otherwise = null,
        [CallerArgumentExpression(nameof(task))] string text = "")
    {
        var limit = deadline ?? DefaultDeadline;
        if (await Task.WhenAny(task, Task.Delay(limit)) != task)
        {
            throw new XunitException($"Not within {limit.TotalSeconds:0.#} s: {text}{(otherwise is null ? "" : $"\n{otherwise()}")}");
        }
        return await task;
    }

    private static readonly object Holds = new();
}
