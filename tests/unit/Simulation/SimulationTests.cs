using IotHub.Harness.Simulation;
using Xunit;
using Play = IotHub.Harness.Simulation.Simulation;

namespace IotHub.Unit.Simulation;

/// <summary>
/// The broker with clients, crashes, failing disks and jumping clocks, thousands of short runs. More of them, and the story of one:
/// <c>tests/benchmarks -- simulate</c>.
/// </summary>
public class SimulationTests
{
    private const int StepsPerSeed = 150;
    private const int SeedsPerTest = 500;

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Nothing_acknowledged_is_lost_and_nothing_comes_that_is_not_due(int part)
    {
        for (var seed = part * SeedsPerTest; seed < (part + 1) * SeedsPerTest; seed++)
        {
            Assert.Null(Failure(seed, StepsPerSeed));
        }
    }

    /// <summary>
    /// 72964: clearing a retained message that another had cleared, not on disk yet, was acknowledged at once. 103845: so was a CONNECT to
    /// a session whose end was not on disk yet. 591548: a QoS 2 message of a shared subscription that moved from a stored session to one that
    /// is not was sent before it was on disk that the first had it no longer. 10740: such a message kept the RETAIN that the first had asked
    /// for.
    /// </summary>
    [Theory]
    [InlineData(72964)]
    [InlineData(103845)]
    [InlineData(591548)]
    [InlineData(10740)]
    public void Seeds_that_found_a_bug(int seed) => Assert.Null(Failure(seed, StepsPerSeed));

    [Fact]
    public void A_seed_replays_exactly()
    {
        for (var seed = 5000; seed < 5010; seed++)
        {
            Assert.Equal(Story(seed), Story(seed));
        }
    }

    private static string? Failure(int seed, int steps) => Play.Play(SimulationSetup.Of(seed), Step.Schedule(seed, steps)) is { } failure
        ? $"seed {seed}, {steps} steps (benchmarks: simulate --seed {seed} --steps {steps}): {failure}" : null;

    private static List<string> Story(int seed)
    {
        var story = new List<string>();
        Assert.Null(Play.Play(SimulationSetup.Of(seed), Step.Schedule(seed, StepsPerSeed), story));
        Assert.True(story.Count > 50);
        return story;
    }
}
