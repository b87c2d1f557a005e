using System.Reflection;
using System.Text;
using IotHub.Harness;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Conformance;

/// <summary>
/// Which test holds the broker to which statement of the two standards. The table docs/conformance.md is made from the tests' own
/// <see cref="StatementAttribute"/>s and from <see cref="NotObservableAttribute"/>s; the ids stand in statements/*.txt.
/// </summary>
public sealed class StatementTable
{
    private static readonly Dictionary<int, string[]> Statements = new()
    {
        [5] = File.ReadAllLines(RepositoryRoot.Combine("tests", "conformance", "statements", "mqtt5.txt")),
        [4] = File.ReadAllLines(RepositoryRoot.Combine("tests", "conformance", "statements", "mqtt311.txt")),
    };

    private readonly Dictionary<(int Version, string Id), SortedSet<string>> _tests = [];
    private readonly Dictionary<(int Version, string Id), string> _reasons = [];

    public StatementTable()
    {
        var assembly = typeof(StatementTable).Assembly;
        foreach (var method in assembly.GetTypes().SelectMany(t => t.GetMethods()).Where(m => m.GetCustomAttribute<FactAttribute>() is not null))
        {
            foreach (var statement in method.GetCustomAttributes<StatementAttribute>())
            {
                foreach (var id in statement.Ids)
                {
                    Tests((statement.Version, id)).Add($"{ClassName(method.DeclaringType!)}.{method.Name}");
                }
            }
        }
        foreach (var untested in assembly.GetCustomAttributes<NotObservableAttribute>())
        {
            _reasons.Add((untested.Version, untested.Id), untested.Reason);
        }
    }

    [Fact]
    public void Every_statement_has_a_test_or_a_reason_why_it_has_none()
    {
        var open = from version in Statements
                   from id in version.Value
                   where !_tests.ContainsKey((version.Key, id)) && !_reasons.ContainsKey((version.Key, id))
                   select $"{NameOf(version.Key)} {id}";
        Assert.Empty(open);
    }

    [Fact]
    public void Tests_and_reasons_name_only_statements_that_exist_and_never_both()
    {
        var unknown = _tests.Keys.Concat(_reasons.Keys).Where(s => !Statements[s.Version].Contains(s.Id));
        Assert.Empty(unknown);
        Assert.Empty(_tests.Keys.Intersect(_reasons.Keys));
    }

    /// <summary>Writes the table anew; fails when that changed it, so that the difference is looked at and committed.</summary>
    [Fact]
    public void The_table_in_docs_is_the_one_that_the_tests_make()
    {
        var file = RepositoryRoot.Combine("docs", "conformance.md");
        var made = Make();
        var kept = File.Exists(file) ? File.ReadAllText(file) : "";
        if (made != kept)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            File.WriteAllText(file, made);
        }
        Assert.True(made == kept, "docs/conformance.md did not fit the tests; it has been written anew, look at the difference and commit it");
    }

    private string Make()
    {
        var text = new StringBuilder();
        text.Append("# Conformance\n\n");
        text.Append("Which test holds the broker to which numbered statement of MQTT 5.0 and 3.1.1 (ids U5-… are rules of 5.0 that have no number).\n");
        text.Append("Made by `tests/conformance/StatementTable.cs` from the tests; do not edit. The tests are the outcome: all of them pass in CI.\n");
        foreach (var version in Statements.Keys.OrderDescending())
        {
            var ids = Statements[version].OrderBy(SortKey, StringComparer.Ordinal).ToList();
            var tested = ids.Count(id => _tests.ContainsKey((version, id)));
            var reasons = ids.Count(id => _reasons.ContainsKey((version, id)));
            text.Append($"\n## MQTT {NameOf(version)}\n\n{ids.Count} statements: {tested} tested, {reasons} not observable in a broker.\n\n");
            text.Append("| id | version | test, or why there is none |\n| --- | --- | --- |\n");
            foreach (var id in ids)
            {
                text.Append($"| {id} | {NameOf(version)} | {Cell((version, id))} |\n");
            }
        }
        return text.ToString();
    }

    private string Cell((int Version, string Id) statement) =>
        _tests.TryGetValue(statement, out var names) ? string.Join("<br>", names.Select(n => $"`{n}`"))
        : _reasons.TryGetValue(statement, out var reason) ? reason
        : "not covered yet";

    private SortedSet<string> Tests((int Version, string Id) statement)
    {
        if (!_tests.TryGetValue(statement, out var names))
        {
            names = new SortedSet<string>(StringComparer.Ordinal);
            _tests.Add(statement, names);
        }
        return names;
    }

    private static string NameOf(int version) => version == 5 ? "5.0" : "3.1.1";

    private static string ClassName(Type type) =>
        type.FullName![(typeof(StatementTable).Namespace!.Length + 1)..].Replace('+', '.');

    /// <summary>Numbers as numbers: 3.1.2-9 stands before 3.1.2-10.</summary>
    private static string SortKey(string id) => string.Concat(
        id.Split('.', '-').Select(part => int.TryParse(part, out var number) ? number.ToString("D4", null) : part));
}
