using System.Text.RegularExpressions;
using IotHub.Harness;
using Xunit;

namespace IotHub.Contract.Api;

/// <summary>The list of what is there names tests that are there.</summary>
public sealed partial class ChecklistTests
{
    [Fact]
    public async Task Every_test_that_the_checklist_names_exists()
    {
        var sources = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var file in Directory.EnumerateFiles(RepositoryRoot.Combine("tests"), "*.cs", SearchOption.AllDirectories))
        {
            sources[Path.GetFileNameWithoutExtension(file)] = await File.ReadAllTextAsync(file);
        }
        var named = TestName().Matches(await File.ReadAllTextAsync(RepositoryRoot.Combine("docs", "api-checklist.md")));
        Assert.True(named.Count > 60, $"only {named.Count} tests are named");
        Assert.All(named, test =>
        {
            Assert.True(sources.TryGetValue(test.Groups[1].Value, out var source), $"there is no {test.Groups[1].Value}.cs");
            Assert.Contains($" {test.Groups[2].Value}(", source, StringComparison.Ordinal);
        });
    }

    [GeneratedRegex(@"`([A-Z]\w+)\.([A-Z]\w+)`")]
    private static partial Regex TestName();
}
