using System.Reflection;
using System.Text;
using IotHub.Broker;
using IotHub.Harness;
using Xunit;

namespace IotHub.Conformance.Hostile;

/// <summary>Every limit has a test that goes one over it; the table of both is docs/limits.md, written from the code.</summary>
public sealed class LimitTable
{
    [Fact]
    public void The_table_of_limits_is_whole_and_up_to_date()
    {
        var tests = typeof(LimitTable).Assembly.GetTypes().SelectMany(t => t.GetMethods())
            .SelectMany(m => m.GetCustomAttributes<LimitAttribute>().Select(l => (Limit: l, Test: $"{m.DeclaringType!.Name}.{m.Name}")))
            .ToLookup(t => t.Limit.Name);
        var limits = typeof(BrokerLimits).GetProperties(BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly)
            .Where(p => p.Name != "EqualityContract").OrderBy(p => p.Name, StringComparer.Ordinal).ToList();
        var defaults = new BrokerLimits();
        var table = new StringBuilder(
            """
            # Limits of the broker

            Written by a test from `broker-container/BrokerLimits.cs`, where each limit has its reason. Every row is held by the test beside it.

            | limit | default | one over | test |
            |---|---|---|---|

            """);
        foreach (var limit in limits)
        {
            Assert.True(tests.Contains(limit.Name), $"no test goes over {limit.Name}: add one with [Limit(nameof(BrokerLimits.{limit.Name}), …)]");
            foreach (var (attribute, test) in tests[limit.Name].OrderBy(t => t.Test, StringComparer.Ordinal))
            {
                table.Append(System.Globalization.CultureInfo.InvariantCulture,
                    $"| {limit.Name} | {Shown(limit.GetValue(defaults))} | {attribute.Outcome} | {test} |\n");
            }
        }
        foreach (var unknown in tests.Select(t => t.Key).Except(limits.Select(l => l.Name)))
        {
            Assert.Fail($"a test names the limit {unknown}, which does not exist");
        }
        var file = RepositoryRoot.Combine("docs", "limits.md");
        var before = File.Exists(file) ? File.ReadAllText(file) : "";
        if (before != table.ToString())
        {
            File.WriteAllText(file, table.ToString());
        }
        Assert.True(before == table.ToString(), "docs/limits.md was out of date and has been written anew: commit it");
    }

    private static string Shown(object? value) => value is Enum name ? name.ToString()
        : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{value:N0}");
}
