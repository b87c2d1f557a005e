using IotHub.Harness;
using IotHub.Harness.Kill;
using Xunit;

namespace IotHub.EndToEnd;

/// <summary>
/// Promises P1 to P3 against a real process on a real disk. A thousand kills:
/// <c>dotnet run -c Release --project tests/benchmarks -- kill --kills 1000</c>.
/// </summary>
public sealed class BrokerKilled
{
    /// <param name="seed">Null for another one each time; the other kills four times while everybody is still coming back, so that on a slow
    /// machine nobody had said anything when the run ended.</param>
    [Theory]
    [InlineData(null)]
    [InlineData(30520260)]
    public async Task A_broker_that_is_killed_again_and_again_loses_doubles_and_reorders_nothing(int? seed)
    {
        using var files = new TempFolder("kill");
        var report = await KillTest.Run(
            new KillOptions { DataFolder = files.Combine("data"), Kills = 4, Seed = seed ?? Random.Shared.Next() });
        Assert.True(report.IsFaultless, report.Write());
        Assert.True(report is { Kills: >= 4, LeastAcknowledged: > 0 } && report.Deliveries >= report.Published, report.Write());
        Assert.True(report is { LongLived: > 0, Expired: > 0, BriefSessionsGone: > 0, RetainedLongLived: > 0, RetainedExpired: > 0 }, report.Write());
        Assert.True(report.Connections.All(count => count > 0), report.Write());
    }

    [Fact]
    public async Task The_kill_test_finds_out_a_broker_without_a_log()
    {
        var report = await KillTest.Run(new KillOptions { DataFolder = null, Kills = 3, Seed = 1, Patience = TimeSpan.FromSeconds(1) });
        Assert.Contains(KillFault.SessionForgotten, report.Faults.Keys);
        Assert.Contains(KillFault.Lost, report.Faults.Keys);
    }
}
