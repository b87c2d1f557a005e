using System.Text.Json;
using IotHub.Harness;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Unit.Allocations;

/// <summary>Allocated bytes per delivered message may not grow above tests/benchmarks/allocations.json.</summary>
public sealed class AllocationTableTests
{
    public static TheoryData<string> Rows => [.. AllocationScenarios.All.Keys];

    [Theory]
    [MemberData(nameof(Rows))]
    public void A_hot_path_allocates_no_more_than_its_row_allows(string row)
    {
        var allowed = Table()[row];
        // A collection on another thread counts what is left of this thread's buffer as allocated: that can only add, and not each time.
        var measured = double.MaxValue;
        for (var attempt = 0; attempt < 5 && measured > allowed; attempt++)
        {
            measured = Math.Min(measured, AllocationScenarios.All[row]());
        }
        Assert.True(
            measured <= allowed + 0.05,
            $"{row}: {measured:F2} bytes per delivery, the table allows {allowed}; if the growth is right, change tests/benchmarks/allocations.json");
    }

    [Fact]
    public void Every_row_of_the_table_is_measured() => Assert.Equal(Table().Keys.Order(), AllocationScenarios.All.Keys.Order());

    private static Dictionary<string, double> Table() => JsonSerializer.Deserialize<Dictionary<string, double>>(
        File.ReadAllText(Path.Combine(RepositoryRoot.Path, "tests", "benchmarks", "allocations.json")))!;
}
